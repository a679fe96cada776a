// The object brush: what is painted or clicked becomes points; they are dragged, turned and scaled as one.
import assert from "node:assert/strict";
import test from "node:test";

import { positionAt } from "../../js/track_editor/document/sampling.js";
import { NOTHING } from "../../js/track_editor/document/selection.js";
import { brushTool, objectAt, withObject } from "../../js/track_editor/tools/brush.js";
import * as masks from "../../js/track_editor/tools/mask.js";
import { covers, knobOf, placesAt, placesAtEnd, sizeOf, withKnob } from "../../js/track_editor/tools/region.js";
import { Bench, CANVAS, near, path } from "./bench.js";

/** Pixels in `ground` but for those that `isShape` says, in `colour`. */
function picture(columns, rows, ground, colour, isShape) {
  const data = new Uint8ClampedArray(4 * columns * rows);
  for (let i = 0; i < columns * rows; i++) {
    data.set([...(isShape(i % columns, Math.floor(i / columns)) ? colour : ground), 255], 4 * i);
  }
  return { width: columns, height: rows, data };
}

const SQUARE = [
  [-10, -10],
  [10, -10],
  [-10, 10],
  [10, 10],
];
/** Four corners of 20 px around the first of `points`. */
const object = (points, region = {}) => path("o", points, { region: { points: SQUARE, ...region } });
const within = (value, low, high, what) => assert.ok(low <= value && value <= high, `${what}: ${value}`);

test("a mask's cells lie over the whole canvas, at most 256 along its longer side", () => {
  const mask = masks.emptyMask({ width: 1024, height: 512 });
  assert.deepEqual([mask.columns, mask.rows, mask.cell], [256, 128, 4]);
  assert.equal(masks.areaOf(mask), 0);
  const small = masks.emptyMask({ width: 16, height: 8 });
  assert.deepEqual([small.columns, small.rows, small.cell], [64, 32, 0.25]);
});

test("a stroke covers its length and width, and what is wiped out is gone", () => {
  const line = [
    { x: 100, y: 100 },
    { x: 200, y: 100 },
  ];
  const painted = masks.withStroke(masks.emptyMask(CANVAS), line, 10);
  const wanted = 100 * 20 + Math.PI * 100; // a rod with round ends
  within(masks.areaOf(painted), 0.97 * wanted, 1.03 * wanted, "area");
  const half = masks.withStroke(painted, [{ x: 200, y: 100 }], 50, true);
  const points = masks.pointsIn(half, 40);
  within(Math.max(...points.map(({ x }) => x)), 140, 152, "right end");
  assert.equal(masks.areaOf(masks.withStroke(painted, line, 30, true)), 0);
  assert.equal(masks.areaOf(masks.emptyMask(CANVAS)), 0); // masks are not changed in place
});

test("points lie evenly over what is covered, about as many as asked for, with it in their middle", () => {
  const disc = masks.withStroke(masks.emptyMask(CANVAS), [{ x: 160, y: 100 }], 40);
  for (const count of [12, 40, 200]) {
    const points = masks.pointsIn(disc, count);
    within(points.length, 0.7 * count, 1.3 * count, `points for ${count}`);
    const [x, y] = ["x", "y"].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
    near({ x, y }, 160, 100, 1);
    for (const point of points) within(Math.hypot(point.x - 160, point.y - 100), 0, 42, "distance from the middle");
    const step = Math.sqrt((Math.PI * 1600) / count);
    within(masks.spacingOf(points), 0.9 * step, 1.1 * step, "between neighbours");
  }
  assert.deepEqual(masks.pointsIn(masks.emptyMask(CANVAS), 40), []);
});

test("what is smaller than the distance between points still has one, on it, wherever it lies", () => {
  for (let shift = 0; shift < 20; shift++) {
    const ends = [
      { x: 20 + shift / 3, y: 60 },
      { x: 300, y: 140 - shift / 5 },
    ];
    const two = ends.reduce((mask, end) => masks.withStroke(mask, [end], 2), masks.emptyMask(CANVAS));
    const points = masks.pointsIn(two, 1);
    within(points.length, 1, 2, "points");
    for (const point of points)
      within(Math.min(...ends.map(({ x, y }) => Math.hypot(point.x - x, point.y - y))), 0, 3, "distance from an end");
  }
});

test("a click takes what is of one colour and joined, with its holes, and no more", () => {
  const empty = masks.emptyMask(CANVAS);
  const { columns, rows, cell } = empty;
  const cells = (px) => px / cell;
  const inBox = (x, y, left, top, size) =>
    cells(left) <= x && x < cells(left + size) && cells(top) <= y && y < cells(top + size);
  // A red square of 60 px with a hole, another beside it that does not touch.
  const isShape = (x, y) =>
    (inBox(x, y, 50, 50, 60) && !inBox(x, y, 70, 70, 10)) || (inBox(x, y, 200, 50, 60) && !inBox(x, y, 205, 55, 1));
  const pixels = picture(columns, rows, [20, 30, 60], [220, 40, 40], isShape);
  const taken = masks.likeHere(empty, pixels, { x: 60, y: 60 }, 0.35);
  within(masks.areaOf(taken), 0.95 * 3600, 1.05 * 3600, "area");
  for (const { x, y } of masks.pointsIn(taken, 40)) assert.ok(x > 48 && x < 112 && y > 48 && y < 112, `${x},${y}`);
  assert.equal(masks.areaOf(masks.likeHere(empty, pixels, { x: -5, y: 60 }, 0.35)), 0);
  // Half as red: like it for who takes much, unlike for who takes little.
  const shade = picture(columns, rows, [120, 40, 40], [220, 40, 40], isShape);
  assert.ok(masks.areaOf(masks.likeHere(empty, shade, { x: 60, y: 60 }, 1)) > 50_000);
  within(masks.areaOf(masks.likeHere(empty, shade, { x: 60, y: 60 }, 0)), 0.95 * 3600, 1.05 * 3600, "area");
});

test("a picture's bright, opaque parts are what it covers", () => {
  const empty = masks.emptyMask({ width: 1, height: 1 });
  const pixels = { width: 4, height: 4, data: new Uint8ClampedArray(64) };
  pixels.data.set([255, 255, 255, 255], 0);
  pixels.data.set([255, 255, 255, 100], 4);
  pixels.data.set([100, 255, 255, 255], 8);
  assert.deepEqual([...masks.ofPicture(empty, pixels).covered.slice(0, 4)], [1, 0, 0, 0]);
});

test("a mask found again from points covers what they were taken from", () => {
  const square = masks.withStroke(masks.emptyMask(CANVAS), [{ x: 160, y: 100 }], 40);
  const again = masks.ofPoints(CANVAS, masks.pointsIn(square, 60));
  within(masks.areaOf(again), 0.85 * masks.areaOf(square), 1.2 * masks.areaOf(square), "area");
});

test("an object's size, and where it is taken hold of", () => {
  const still = object([[100, 100]]);
  assert.deepEqual(sizeOf(still), { spacing: 20, radius: Math.hypot(10, 10) + 10 });
  assert.deepEqual(sizeOf(path("a", [[0, 0]])), { spacing: 8, radius: 8 });
  assert.ok(covers(still, 0, { x: 112, y: 112 }));
  assert.ok(!covers(still, 0, { x: 130, y: 100 }));
});

test("an object turns and grows with its way: points of a square, halfway and at the end", () => {
  const moving = object(
    [
      [100, 100],
      [200, 100],
    ],
    { turn: 180, scale: 4 },
  );
  // Halfway: a quarter turn, twice the size. (-10, -10) turned by 90 degrees clockwise on the screen is (10, -10).
  near(placesAt(moving, 12)[0], 150 + 20, 100 - 20);
  near(placesAtEnd(moving)[0], 200 + 40, 100 + 40);
  near(placesAt(moving, 24)[0], 200 + 40, 100 + 40);
  near(placesAt(moving, 0)[0], 90, 90);
});

test("the knob stands above the object where it ends, and goes with turn and scale", () => {
  const view = { scale: 2, x: 5, y: 7 };
  const radius = Math.hypot(10, 10) + 10;
  const way = [
    [100, 50],
    [60, 40],
  ];
  const { middle, knob } = knobOf(object(way), view);
  near(middle, 2 * 60 + 5, 2 * 40 + 7);
  near(knob, middle.x, middle.y - 2 * radius - 20);
  const turned = knobOf(object(way, { turn: 90, scale: 3 }), view);
  near(turned.knob, middle.x + 3 * 2 * radius + 20, middle.y);
});

test("what the knob is pulled to is what it comes to; more than once around counts on; small slips are none", () => {
  const view = { scale: 2, x: 5, y: 7 };
  const document = { canvas: CANVAS, tracks: [object([[100, 60]])] };
  const { middle } = knobOf(document.tracks[0], view);
  const full = 2 * sizeOf(document.tracks[0]).radius;
  const pulled = (angle, far, { turns = false, before = 0 } = {}) => {
    const radians = ((angle - 90) * Math.PI) / 180;
    const at = { x: middle.x + far * Math.cos(radians), y: middle.y + far * Math.sin(radians) };
    return withKnob(document, "o", at, view, turns, before).tracks[0].region;
  };
  for (const [angle, scale] of [
    [50, 2],
    [-120, 0.5],
  ]) {
    const { turn, scale: made } = pulled(angle, full * scale + 20);
    near({ x: turn, y: made }, angle, scale, 1e-6);
  }
  near({ x: pulled(10, full + 20, { before: 350 }).turn, y: 0 }, 370, 0, 1e-6);
  near({ x: pulled(-10, full + 20, { before: -355 }).turn, y: 0 }, -370, 0, 1e-6);
  assert.equal(pulled(52, full + 20, { turns: true }).turn, 45);
  assert.deepEqual([pulled(2, full * 1.04 + 20).turn, pulled(2, full * 1.04 + 20).scale], [0, 1]);
  assert.equal(pulled(0, 0).scale, 0.05);
});

test("an object is painted, dragged from where it is taken hold of, and keeps its form", () => {
  const bench = new Bench(brushTool, [], { brush: 20, smoothing: 0 });
  bench.drag([
    [100, 100],
    [110, 100],
    [140, 100],
  ]);
  const [painted] = bench.document.tracks;
  near({ x: painted.points[0][0], y: painted.points[0][1] }, 120, 100, 2);
  within(painted.region.points.length, 30, 50, "points");
  assert.deepEqual([...bench.selection.tracks], [painted.id]);
  // Taken hold of beside its middle: it goes as far as the hand goes, and does not jump to it.
  bench.drag([
    [130, 105],
    [150, 105],
    [180, 125],
    [230, 145],
  ]);
  const [moved] = bench.document.tracks;
  near(positionAt(moved, 0), painted.points[0][0], painted.points[0][1], 0.6);
  near(positionAt(moved, 24), painted.points[0][0] + 100, painted.points[0][1] + 40, 0.6);
  assert.deepEqual(moved.region, painted.region);
  assert.deepEqual([bench.document.tracks.length, bench.commits], [1, 2]);
});

test("strokes before it has a way add to it; then Shift adds, Alt wipes out, and all of it wiped out is none", () => {
  const bench = new Bench(brushTool, [], { brush: 10 });
  const right = () => Math.max(...placesAt(bench.document.tracks[0], 0).map(({ x }) => x));
  const from = (x, to) => [
    [x, 100],
    [(x + to) / 2, 100],
    [to, 100],
  ];
  bench.drag(from(100, 140)).drag(from(160, 200));
  assert.equal(bench.document.tracks.length, 1);
  within(right(), 195, 212, "right end");
  bench.drag([
    [120, 100],
    [120, 120],
    [120, 150],
  ]);
  assert.equal(bench.document.tracks[0].points.length > 1, true, "it has no way");
  const origin = positionAt(bench.document.tracks[0], 0);
  bench.drag(from(230, 250), { shift: true });
  within(right(), 245, 262, "right end");
  near(positionAt(bench.document.tracks[0], 0), origin.x, origin.y); // the way stays where it is
  bench.drag(from(300, 180), { alt: true });
  within(right(), 150, 182, "right end");
  assert.equal(bench.document.tracks.length, 1);
  bench.drag(from(60, 300), { alt: true, reach: 0 });
  bench.options.brush = 60;
  bench.drag(from(60, 300), { alt: true });
  assert.deepEqual(bench.document.tracks, []);
});

test("a second object beside one that has a way is another one", () => {
  const bench = new Bench(brushTool, [], { brush: 10 });
  bench.drag([
    [60, 60],
    [70, 60],
    [80, 60],
  ]);
  bench.drag([
    [70, 60],
    [90, 80],
    [90, 100],
  ]);
  bench.drag([
    [200, 150],
    [210, 150],
    [230, 150],
  ]);
  assert.equal(bench.document.tracks.length, 2);
  assert.equal(objectAt({ ...bench, frame: 0 }, { x: 215, y: 150 }).id, bench.document.tracks[1].id);
  assert.equal(objectAt({ ...bench, frame: 0 }, { x: 300, y: 20 }), null);
});

test("a click without a picture paints a disc; in a picture, what is of one colour", () => {
  const plain = new Bench(brushTool, [], { brush: 20 }).click(100, 100);
  within(sizeOf(plain.document.tracks[0]).radius, 17, 24, "radius");
  const bench = new Bench(brushTool, []);
  bench.pixels = (columns, rows) =>
    picture(columns, rows, [0, 0, 0], [255, 255, 255], (x) => x >= columns / 2 && x < columns / 2 + columns / 8);
  bench.click(170, 30);
  const places = placesAt(bench.document.tracks[0], 0);
  within(Math.min(...places.map(({ x }) => x)), 160, 168, "left end");
  within(Math.max(...places.map(({ x }) => x)), 190, 200, "right end");
  within(Math.max(...places.map(({ y }) => y)) - Math.min(...places.map(({ y }) => y)), 180, 200, "height");
});

test("the knob is pulled in steps of the pointer, Escape gives back", () => {
  const bench = new Bench(brushTool, [object([[160, 100]])]);
  bench.selection = { ...NOTHING, tracks: new Set(["o"]) };
  const radius = Math.hypot(10, 10) + 10;
  const at = (angle, far) => [
    160 + far * Math.sin((angle * Math.PI) / 180),
    100 - far * Math.cos((angle * Math.PI) / 180),
  ];
  bench.send("down", ...at(0, radius + 20));
  bench.send("move", ...at(90, radius + 20)).send("cancel");
  assert.equal(bench.draft.tracks[0].region.turn, undefined);
  bench.drag([0, 90, 180, 270, 359, 450].map((angle) => at(angle, 2 * radius + 20 - (angle ? 0 : radius))));
  const { turn, scale } = bench.document.tracks[0].region;
  near({ x: turn, y: scale }, 450, 2, 0.01);
});

test("a mask that covers nothing makes no object; one that covers makes one in its middle", () => {
  const document = { canvas: CANVAS, tracks: [] };
  assert.deepEqual(withObject(document, masks.emptyMask(CANVAS), 40), {});
  const mask = masks.withStroke(masks.emptyMask(CANVAS), [{ x: 40, y: 150 }], 15);
  const made = withObject(document, mask, 20);
  const [track] = made.document.tracks;
  near({ x: track.points[0][0], y: track.points[0][1] }, 40, 150, 1);
  assert.deepEqual([track.start, track.duration], [0, 24]);
});
