// The camera's moves against tests/data/camera.json, whose values come from sums of another kind, and against geometry.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { poseAt, project, shakeAt } from "../../js/track_editor/camera/projection.js";
import { serialise } from "../../js/track_editor/document/format.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import { sampleDocument, trailOf } from "../../js/track_editor/document/sampling.js";
import { TrackFormatError } from "../../js/track_editor/document/strict_json.js";

const data = JSON.parse(readFileSync(new URL("../data/camera.json", import.meta.url), "utf8"));
const CANVAS = { width: 320, height: 200, num_frames: 25, fps: 16 };
const read = (document) => parseDocument(JSON.stringify(document), CANVAS);

/** Both sampled [track][frame]: visible at the same times, and there at the same places. */
function same(sampled, points, visibility, words) {
  points.forEach((row, frame) => {
    assert.equal(row.length, sampled.length);
    row.forEach(([x, y], track) => {
      const point = sampled[track][frame];
      assert.equal(point.v, visibility[frame][track], `${words}: visibility at frame ${frame}`);
      const far = Math.hypot(point.x - x, point.y - y);
      assert.ok(!point.v || far < data.tolerance_px, `${words}, frame ${frame}: ${point.x}, ${point.y} for ${x}, ${y}`);
    });
  });
}

for (const each of data.valid) {
  test(`the camera sees what the reference sees: ${each.name}`, () => {
    const document = read(each.document);
    same(sampleDocument(document), each.points, each.visibility, each.name);
    const again = parseDocument(serialise(document), CANVAS);
    same(sampleDocument(again), each.points, each.visibility, "read again");
    assert.equal(serialise(again), serialise(document));
  });
}

for (const [index, each] of data.invalid.entries()) {
  test(`what is wrong with a camera is refused at its place: ${index} ${each.place}`, () => {
    assert.throws(
      () => read(each.document),
      (error) => error instanceof TrackFormatError && error.message.includes(each.place),
    );
  });
}

test("the hand-held shake is the reference's, wave by wave", () => {
  for (const { move, frames, degrees } of data.shakes) {
    for (const [i, frame] of frames.entries()) {
      for (const [axis, value] of shakeAt(move, frame).entries()) assert.ok(Math.abs(value - degrees[i][axis]) < 2e-9);
    }
  }
});

test("an orbit keeps the middle, a dolly halves the way, a zoom magnifies about the middle", () => {
  const seen = (move, amount, point) => project(poseAt([{ move, amount, start: 0, duration: 24 }], 24), CANVAS, point);
  const middle = seen("orbit", 70, { x: 160, y: 100 });
  assert.ok(Math.hypot(middle.x - 160, middle.y - 100) < 1e-9 && middle.front);
  for (const [move, amount] of [
    ["dolly", 0.5],
    ["zoom", 2],
  ]) {
    const { x, y } = seen(move, amount, { x: 200, y: 70 });
    assert.ok(Math.hypot(x - 240, y - 40) < 1e-9, `${move} ${x}, ${y}`);
  }
  assert.equal(seen("dolly", 1.5, { x: 160, y: 100 }).front, false);
});

test("a trail is the way of the track's middle as it is seen, without what cannot be", () => {
  const each = data.valid.find(({ name }) => name === "pan right");
  const document = read(each.document);
  const [anchor, ball] = document.tracks;
  const { points, interpolation } = trailOf(document, ball);
  assert.equal(interpolation, "linear");
  const shown = each.points.map((row) => row[6]).filter((_, frame) => each.visibility[frame][6]);
  assert.equal(points.length, shown.length);
  for (const [i, [x, y]] of points.entries())
    assert.ok(Math.hypot(x - shown[i][0], y - shown[i][1]) < data.tolerance_px);
  assert.equal(trailOf(document, anchor), trailOf(document, anchor));
});
