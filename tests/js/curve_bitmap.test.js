// The bitmap of many curves: when it may be shown once more, and where.
import assert from "node:assert/strict";
import test from "node:test";
import { panned, toView, zoomed } from "../../js/track_editor/curve/geometry.js";
import { movePoints } from "../../js/track_editor/document/edits.js";
import { kindColour } from "../../js/track_editor/view/colours.js";
import {
  carried,
  commonStep,
  hullOf,
  shapesOf,
  shows,
  worthPainting,
} from "../../js/track_editor/view/curve_bitmap.js";

const canvas = { width: 320, height: 200, num_frames: 25, fps: 16 };
const track = (id, points, kind = "path") => ({
  id,
  kind,
  interpolation: "catmull_rom",
  points,
  start: 0,
  duration: 24,
});
const document = {
  canvas,
  tracks: [
    track("a", [
      [10, 20],
      [60, 20],
      [90, 80],
    ]),
    track(
      "b",
      [
        [5, 5],
        [50, 90],
      ],
      "drag",
    ),
    track("c", [[7, 7]], "anchor"),
  ],
};
const shapes = shapesOf(document.tracks, kindColour);
const whole = (...ids) => new Map(ids.map((id) => [id, null]));
const all = whole("a", "b", "c");

test("what moved as one is found with its step, also after several moves", () => {
  assert.equal(shapes.length, 2); // a single point has no curve to paint
  assert.deepEqual(commonStep(shapes, shapes), { dx: 0, dy: 0 });
  const moved = movePoints(movePoints(document, all, 3, -4), all, 0.5, 1);
  assert.deepEqual(commonStep(shapes, shapesOf(moved.tracks, kindColour)), { dx: 3.5, dy: -3 });
});

test("any other change is no step", () => {
  const one = movePoints(document, whole("a"), 3, 0);
  const point = movePoints(document, new Map([["a", new Set([1])]]), 3, 0);
  const kind = { ...document, tracks: document.tracks.map((each) => ({ ...each, kind: "path" })) };
  const order = { ...document, tracks: [...document.tracks].reverse() };
  const fewer = { ...document, tracks: document.tracks.slice(1) };
  for (const changed of [one, point, kind, order, fewer])
    assert.equal(commonStep(shapes, shapesOf(changed.tracks, kindColour)), null);
});

test("a carried picture lies where its points lie now", () => {
  const before = { scale: 1.5, x: 20, y: -7 };
  const after = panned(zoomed(before, { x: 100, y: 50 }, 1.3), 11, -5);
  const step = { dx: 12.5, dy: -3 };
  const by = carried(before, after, step);
  for (const point of [
    { x: 0, y: 0 },
    { x: 33, y: 170 },
  ]) {
    const was = toView(before, point);
    const is = toView(after, { x: point.x + step.dx, y: point.y + step.dy });
    assert.ok(Math.hypot(was.x * by.scale + by.x - is.x, was.y * by.scale + by.y - is.y) < 1e-9);
  }
});

test("a picture of all there is serves anywhere; one cut out serves while its edges stay outside", () => {
  const size = { width: 400, height: 300 };
  const identity = { scale: 1, x: 0, y: 0 };
  const small = hullOf(shapes, { scale: 1, x: 0, y: 0 });
  assert.deepEqual(small, { left: 5, top: 5, right: small.right, bottom: 90 });
  const uncut = worthPainting(small, size, 1);
  assert.ok(shows(uncut, small, { scale: 1, x: 380, y: -200 }, size));
  const wide = { left: -5000, top: 10, right: 5000, bottom: 60 };
  const cut = worthPainting(wide, size, 1);
  assert.deepEqual(cut, { left: -200, top: 8, right: 600, bottom: 62 });
  assert.ok(shows(cut, wide, identity, size));
  assert.ok(shows(cut, wide, { scale: 1, x: 200, y: 999 }, size));
  assert.ok(!shows(cut, wide, { scale: 1, x: 201, y: 0 }, size));
  assert.ok(!shows(cut, wide, { scale: 0.5, x: 0, y: 0 }, size));
});

test("the bitmap stays within its budget, and on whole px of the screen", () => {
  const endless = { left: -1e6, top: -1e6, right: 1e6, bottom: 1e6 };
  const size = { width: 3000, height: 2000 };
  const box = worthPainting(endless, size, 1.25);
  for (const edge of Object.values(box)) assert.ok(Math.abs(edge * 1.25 - Math.round(edge * 1.25)) < 1e-6);
  assert.ok(
    (box.right - box.left) * (box.bottom - box.top) * 1.25 ** 2 < 1.01 * Math.max(2 ** 23, 3000 * 2000 * 1.25 ** 2),
  );
  assert.ok(box.left <= 0 && box.right >= 3000);
});
