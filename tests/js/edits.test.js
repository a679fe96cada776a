// Edits: what changes, what stays, and what is shared.
import assert from "node:assert/strict";
import test from "node:test";
import { fitted, panned, toImage, toView, zoomed } from "../../js/track_editor/curve/geometry.js";
import { curveLength, makeCurve, pointAt } from "../../js/track_editor/curve/spline.js";
import * as edits from "../../js/track_editor/document/edits.js";
import { serialise } from "../../js/track_editor/document/format.js";
import { record, redo, startHistory, undo } from "../../js/track_editor/document/history.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import { curveOf, positionAt, visibleAt } from "../../js/track_editor/document/sampling.js";
import * as selections from "../../js/track_editor/document/selection.js";
import * as times from "../../js/track_editor/document/time_edits.js";
import { hitTest } from "../../js/track_editor/tools/hit.js";

const CANVAS = { width: 320, height: 200, num_frames: 25, fps: 16 };
const path = (id, points, more = {}) => ({
  id,
  kind: "path",
  interpolation: "linear",
  points,
  start: 0,
  duration: 24,
  ...more,
});
const drawn = (...tracks) => ({ canvas: CANVAS, tracks });
const near = (a, b, tolerance = 0.01) =>
  assert.ok(Math.hypot(a.x - b.x, a.y - b.y) < tolerance, `${a.x},${a.y} for ${b.x},${b.y}`);
const readable = (document) => parseDocument(serialise(document), CANVAS);

test("moving shares what it leaves alone and knows the moved curve", () => {
  const document = drawn(
    path(
      "a",
      [
        [0, 0],
        [10, 20],
        [40, 0],
      ],
      { interpolation: "catmull_rom" },
    ),
    path("b", [
      [5, 5],
      [6, 6],
    ]),
  );
  curveLength(curveOf(document.tracks[0]));
  const moved = edits.movePoints(document, new Map([["a", null]]), 3, -4);
  assert.equal(moved.tracks[1], document.tracks[1]);
  assert.notEqual(curveOf(moved.tracks[0]).lengths.table, null);
  near(positionAt(moved.tracks[0], 7), {
    x: positionAt(document.tracks[0], 7).x + 3,
    y: positionAt(document.tracks[0], 7).y - 4,
  });
  const points = edits.movePoints(document, new Map([["a", new Set([1])]]), 1, 1);
  assert.deepEqual(points.tracks[0].points, [
    [0, 0],
    [11, 21],
    [40, 0],
  ]);
});

test("an inserted point lies on the curve, and a straight or Bezier curve keeps its form", () => {
  for (const interpolation of ["linear", "bezier"]) {
    const handles = interpolation === "bezier" ? [0, -30, 40, 30] : [];
    const track = path(
      "a",
      [
        [0, 0, ...handles],
        [100, 0, ...handles],
        [100, 90, ...handles],
      ],
      { interpolation },
    );
    for (const u of [0.25, 1.5, 1, 0]) {
      const [split] = edits.insertPoint(drawn(track), "a", u).tracks;
      assert.equal(split.points.length, 4);
      for (let frame = 0; frame <= 24; frame++) near(positionAt(split, frame), positionAt(track, frame));
    }
  }
});

test("times stay at their place on the curve when points come and go", () => {
  const keyframes = [
    [0, 0],
    [6, 0.5],
    [12, 1],
    [18, 1.75],
    [24, 2],
  ];
  const track = path(
    "a",
    [
      [0, 0],
      [100, 0],
      [200, 0],
    ],
    { keyframes },
  );
  for (const u of [0.3, 0.5, 1.25]) {
    const [split] = edits.insertPoint(drawn(track), "a", u).tracks;
    for (let frame = 0; frame <= 24; frame++) near(positionAt(split, frame), positionAt(track, frame));
  }
  const [split] = edits.insertPoint(drawn(track), "a", 1.5).tracks;
  const [back] = edits.deletePoints(drawn(split), new Map([["a", new Set([2])]])).tracks;
  for (let frame = 0; frame <= 24; frame++) near(positionAt(back, frame), positionAt(track, frame));
  const [cut] = edits.deletePoints(drawn(track), new Map([["a", new Set([0])]])).tracks;
  readable(drawn(cut));
  near(positionAt(cut, 0), { x: 100, y: 0 });
  assert.deepEqual(edits.deletePoints(drawn(track), new Map([["a", new Set([0, 1, 2])]])).tracks, []);
});

test("handles turn together, or by themselves when broken", () => {
  const document = drawn(path("a", [[0, 0, -10, 0, 20, 0]], { interpolation: "bezier" }));
  const smooth = edits.moveHandle(document, "a", 0, "out", { x: 0, y: 8 }, false).tracks[0].points[0];
  assert.deepEqual(
    smooth.map((v) => Math.round(v * 1e6) / 1e6 + 0),
    [0, 0, 0, -10, 0, 8],
  );
  assert.deepEqual(
    edits.moveHandle(document, "a", 0, "in", { x: 1, y: 2 }, true).tracks[0].points[0],
    [0, 0, 1, 2, 20, 0],
  );
});

test("copies have new names, and groups stay groups", () => {
  const document = drawn(
    path("t1", [[0, 0]], { group: "g1" }),
    path("t2", [[1, 1]], { group: "g1" }),
    path("t4", [[2, 2]]),
  );
  const { document: pasted, ids } = edits.pasteTracks(document, document.tracks, 5, 6);
  assert.deepEqual([...ids], ["t3", "t5", "t6"]);
  assert.deepEqual(
    pasted.tracks.slice(3).map(({ group }) => group),
    ["g2", "g2", undefined],
  );
  assert.deepEqual(pasted.tracks[4].points, [[6, 7]]);
  readable(pasted);
});

test("a curve that becomes Bezier keeps its form", () => {
  const points = [
    [0, 0],
    [80, 60],
    [120, -20],
    [200, 40],
  ];
  for (const interpolation of ["linear", "catmull_rom"]) {
    const track = path("a", points, { interpolation });
    const bezier = edits.withInterpolation(track, "bezier");
    for (let u = 0; u <= 3; u += 0.1)
      near(pointAt(curveOf(bezier), u), pointAt(makeCurve(points, interpolation), u), 1e-9);
    assert.deepEqual(edits.withInterpolation(bezier, "linear").points, points);
  }
  assert.equal(edits.withInterpolation(path("a", [[1, 2]]), "bezier").points[0].length, 6);
});

test("keyframes: the first one keeps the travel, close ones replace each other, the last one takes them all away", () => {
  const track = path(
    "a",
    [
      [0, 0],
      [100, 0],
    ],
    { easing: "ease_in" },
  );
  const once = times.withKeyframe(track, 12, 0.25);
  assert.deepEqual(once.keyframes, [
    [0, 0],
    [12, 0.25],
    [24, 1],
  ]);
  assert.equal(once.easing, undefined);
  const twice = times.withKeyframe(once, 12.2, 0.75);
  assert.deepEqual(twice.keyframes, [
    [0, 0],
    [12.2, 0.75],
    [24, 1],
  ]);
  assert.equal([2, 1, 0].reduce(times.withoutKeyframe, twice).keyframes, undefined);
  assert.deepEqual(times.withSpan(once, 2, 12).keyframes, [
    [0, 0],
    [6, 0.25],
    [12, 1],
  ]);
  assert.equal(times.withSpan(once, 2, 0).keyframes, undefined);
  readable(drawn(twice, { ...times.withSpan(once, 3, 0.005), id: "b" }));
});

test("hidden spans join, and can be cut", () => {
  let track = path("a", [[0, 0]]);
  for (const span of [
    [3, 5],
    [9, 12],
    [6, 6],
  ])
    track = times.withHidden(track, span, true);
  assert.deepEqual(track.hidden, [
    [3, 6],
    [9, 12],
  ]);
  track = times.withHidden(track, [11, 10], false);
  assert.deepEqual(track.hidden, [
    [3, 6],
    [9, 9],
    [12, 12],
  ]);
  assert.deepEqual(
    [8, 9, 10, 11, 12, 13].map((frame) => visibleAt(track, frame)),
    [true, false, true, true, false, true],
  );
  assert.equal(times.withHidden(track, [0, 24], false).hidden, undefined);
  readable(drawn(track));
});

test("another canvas scales places and times", () => {
  const track = path(
    "a",
    [
      [10, 20],
      [110, 20],
    ],
    { start: 6, duration: 12, hidden: [[3, 6]], grid: { columns: 2, rows: 1, dx: 4, dy: 2 } },
  );
  const { tracks, canvas } = edits.onCanvas(drawn(track), { width: 640, height: 100, num_frames: 49, fps: 24 });
  assert.deepEqual(canvas, { width: 640, height: 100, num_frames: 49, fps: 24 });
  assert.deepEqual(
    [tracks[0].start, tracks[0].duration, tracks[0].hidden, tracks[0].grid],
    [12, 24, [[6, 12]], { columns: 2, rows: 1, dx: 8, dy: 1 }],
  );
  near(positionAt(tracks[0], 24), { x: 120, y: 10 });
});

test("undo and redo, without limit", () => {
  let history = startHistory(0);
  for (let i = 1; i <= 5000; i++) history = record(history, i);
  assert.equal(record(history, 5000), history);
  for (let i = 0; i < 5000; i++) history = undo(history);
  assert.equal(history.present, 0);
  assert.equal(undo(history), history);
  for (let i = 0; i < 3; i++) history = redo(history);
  assert.equal(history.present, 3);
  history = record(history, 99);
  assert.equal(redo(history).present, 99);
  assert.equal(undo(history).present, 3);
});

test("view and image points go back and forth, zoom keeps its place", () => {
  const view = fitted({ width: 500, height: 300 }, CANVAS);
  near(toView(view, { x: 160, y: 100 }), { x: 250, y: 150 });
  near(toImage(view, toView(view, { x: 12, y: 34 })), { x: 12, y: 34 }, 1e-9);
  const at = { x: 100, y: 90 };
  const closer = panned(zoomed(view, at, 3), 5, 6);
  near(toView(closer, toImage(view, at)), { x: 105, y: 96 }, 1e-9);
});

const scene = (document, more = {}) => ({
  document,
  selection: selections.NOTHING,
  frame: 0,
  view: { scale: 1, x: 0, y: 0 },
  ...more,
});

test("points can be had under curves of others", () => {
  const document = drawn(
    path(
      "under",
      [
        [50, 50],
        [90, 50],
      ],
      { start: 24 },
    ),
    path(
      "over",
      [
        [0, 51],
        [200, 51],
      ],
      { start: 24 },
    ),
  );
  assert.deepEqual(hitTest(scene(document), { x: 51, y: 51 }), { part: "point", id: "under", index: 0 });
  assert.deepEqual(hitTest(scene(document), { x: 120, y: 53 })?.id, "over");
  const selected = scene(document, { selection: selections.selectTracks(document, ["under"]) });
  assert.equal(hitTest(selected, { x: 70, y: 53 })?.id, "under");
  assert.equal(hitTest(scene(document), { x: 70, y: 80 }), null);
});

test("the moving point and Bezier handles are found", () => {
  const document = drawn(
    path("a", [
      [0, 0],
      [100, 0],
    ]),
    path("b", [[200, 100, 0, -40, 0, 40]], { interpolation: "bezier" }),
  );
  assert.deepEqual(hitTest(scene(document, { frame: 12 }), { x: 50, y: 2 }), { part: "now", id: "a" });
  assert.notEqual(hitTest(scene(document), { x: 200, y: 60 })?.part, "handle");
  const selected = scene(document, { selection: selections.selectTracks(document, ["b"]) });
  assert.deepEqual(hitTest(selected, { x: 200, y: 60 }), { part: "handle", id: "b", index: 0, side: "in" });
});

test("selection: boxes, groups, toggles, neighbours", () => {
  const document = drawn(
    path("a", [
      [0, 0],
      [50, 0],
    ]),
    path("b", [[10, 10]], { group: "g" }),
    path("c", [[300, 150]], { group: "g" }),
  );
  const box = selections.selectBox(document, { left: -5, top: -5, right: 20, bottom: 20 });
  assert.deepEqual([...box.tracks], ["a", "b", "c"]);
  assert.deepEqual([...box.points], [["a", new Set([0])]]);
  assert.deepEqual(
    [...selections.movablePoints(document, selections.selectTracks(document, ["b"])).keys()],
    ["b", "c"],
  );
  const toggled = selections.toggleTrack(document, selections.selectTracks(document, ["b"]), "c");
  assert.equal(toggled.tracks.size, 0);
  assert.deepEqual([...selections.neighbourTrack(document, selections.NOTHING, -1).tracks], ["c"]);
  let point = selections.neighbourPoint(document, selections.selectTracks(document, ["a"]), -1);
  assert.deepEqual([...point.points], [["a", new Set([1])]]);
  point = selections.neighbourPoint(document, point, 1);
  assert.deepEqual([...point.points], [["a", new Set([0])]]);
  assert.equal(selections.pruned(drawn(), point).tracks.size, 0);
});
