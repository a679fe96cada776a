// Documents: what Python and the browser must both accept, refuse and come to (tests/data/documents.json).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { emptyDocument, newGroup, newIds, serialise } from "../../js/track_editor/document/format.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import { sampleDocument } from "../../js/track_editor/document/sampling.js";
import { TrackFormatError } from "../../js/track_editor/document/strict_json.js";

const data = JSON.parse(readFileSync(new URL("../data/documents.json", import.meta.url), "utf8"));
const CANVAS = { width: 64, height: 48, num_frames: 9, fps: 16 };

for (const each of data.valid) {
  test(`document samples to the reference: ${each.name}`, () => {
    const document = parseDocument(JSON.stringify(each.document), CANVAS);
    const sampled = sampleDocument(document);
    each.points.forEach((row, frame) => {
      assert.equal(row.length, sampled.length);
      row.forEach(([x, y], track) => {
        const point = sampled[track][frame];
        assert.ok(Math.hypot(point.x - x, point.y - y) < data.tolerance_px, `frame ${frame}: ${point.x}, ${point.y}`);
        assert.equal(point.v, each.visibility[frame][track], `visibility at frame ${frame}`);
      });
    });
  });

  test(`document survives writing and reading: ${each.name}`, () => {
    const document = parseDocument(JSON.stringify(each.document), CANVAS);
    const again = parseDocument(serialise(document), CANVAS);
    const [before, after] = [sampleDocument(document), sampleDocument(again)];
    for (const [track, path] of before.entries()) {
      for (const [frame, { x, y, v }] of path.entries()) {
        const point = after[track][frame];
        assert.ok(Math.hypot(point.x - x, point.y - y) < data.tolerance_px && point.v === v);
      }
    }
    assert.equal(serialise(again), serialise(document));
  });
}

for (const [index, each] of data.invalid.entries()) {
  test(`what is wrong is refused at its place: ${index} ${each.place}`, () => {
    assert.throws(
      () => parseDocument(JSON.stringify(each.document), CANVAS),
      (error) => error instanceof TrackFormatError && error.message.includes(each.place),
    );
  });
}

test("empty text is a document without tracks, other text is refused", () => {
  assert.deepEqual(parseDocument(" \n", CANVAS), emptyDocument(CANVAS));
  for (const text of ["{", "null", "[[1,2]]", '{"format":NaN}', "x".repeat(9999)]) {
    assert.throws(() => parseDocument(text, CANVAS), TrackFormatError);
  }
});

test("a byte-order mark is no part of the text", () => {
  const [{ document }] = data.valid;
  const plain = parseDocument(JSON.stringify(document), CANVAS);
  assert.deepEqual(parseDocument(`\uFEFF${JSON.stringify(document)}`, CANVAS), plain);
  assert.deepEqual(parseDocument("\uFEFF", CANVAS), emptyDocument(CANVAS));
});

test("names are new", () => {
  const tracks = [{ id: "t1", group: "g1" }, { id: "t3" }];
  assert.deepEqual(newIds({ canvas: CANVAS, tracks }, 3), ["t2", "t4", "t5"]);
  assert.equal(newGroup({ canvas: CANVAS, tracks }), "g2");
});

test("numbers are written to a thousandth, without minus zero", () => {
  const track = {
    id: "a",
    kind: "path",
    interpolation: "linear",
    points: [[1.23456, -0.00001]],
    start: 0,
    duration: 3,
  };
  assert.match(serialise({ canvas: CANVAS, tracks: [track] }), /\[\[1\.235,0\]\]/);
});
