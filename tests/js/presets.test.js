// Presets and interchange against closed forms; strokes against the line that was drawn.
import assert from "node:assert/strict";
import test from "node:test";
import { recordedPoints, strokePoints } from "../../js/track_editor/curve/smoothing.js";
import { curveLength, makeCurve, pointAtArc } from "../../js/track_editor/curve/spline.js";
import { serialise } from "../../js/track_editor/document/format.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import * as presets from "../../js/track_editor/document/presets.js";
import { positionAt, sampleDocument, visibleAt } from "../../js/track_editor/document/sampling.js";
import { ATI_NUM_SAMPLES, fromCoordinates, toCoordinates } from "../../js/track_editor/io/coordinates.js";
import { toSvg } from "../../js/track_editor/io/svg.js";
import { importText } from "../../js/track_editor/io/transfer.js";

const CANVAS = { width: 320, height: 200, num_frames: 25, fps: 16 };
const drawn = (...shapes) => ({ canvas: CANVAS, tracks: shapes.map((shape, i) => ({ id: `t${i + 1}`, ...shape })) });
const path = (points, more = {}) => ({
  kind: "path",
  interpolation: "linear",
  points,
  start: 0,
  duration: 24,
  ...more,
});
const near = (a, x, y, tolerance = 0.01) =>
  assert.ok(Math.hypot(a.x - x, a.y - y) < tolerance, `${a.x},${a.y} for ${x},${y}`);
const readable = (document) => parseDocument(serialise(document), CANVAS);

test("circle: round, once, clockwise from the top", () => {
  const {
    tracks: [track],
  } = readable(drawn(presets.circle(CANVAS, { x: 100, y: 90 }, 40)));
  for (let frame = 0; frame <= 24; frame++) {
    const angle = (2 * Math.PI * frame) / 24;
    near(positionAt(track, frame), 100 + 40 * Math.sin(angle), 90 - 40 * Math.cos(angle), 0.05);
  }
});

test("wave, shake and fall stay where they should", () => {
  const {
    tracks: [wave, shake, fall],
  } = readable(
    drawn(
      presets.wave(CANVAS, { x: 10, y: 100 }, 200, 30),
      presets.shake(CANVAS, { x: 50, y: 60 }, 5),
      presets.fall(CANVAS, { x: 70, y: 20 }),
    ),
  );
  near(positionAt(wave, 24), 210, 100);
  assert.ok(Math.abs(Math.min(...wave.points.map(([, y]) => y)) - 70) < 1e-6);
  assert.deepEqual(presets.shake(CANVAS, { x: 50, y: 60 }, 5), presets.shake(CANVAS, { x: 50, y: 60 }, 5));
  for (const [x, y] of shake.points.slice(1, -1)) assert.ok(Math.abs(Math.hypot(x - 50, y - 60) - 5) < 0.01);
  near(positionAt(fall, 12), 70, 20 + 180 * 0.25);
  near(positionAt(fall, 24), 70, 200);
});

test("follow takes over way and time, from the follower's own place", () => {
  const document = drawn(
    path(
      [
        [0, 0],
        [40, 20],
      ],
      { start: 6, duration: 10, easing: "ease_in" },
    ),
    { ...path([[200, 100]]), grid: { columns: 2, rows: 2, dx: 3, dy: 3 } },
  );
  const {
    tracks: [leader, follower],
  } = presets.follow(document, new Set(["t1", "t2"]), document.tracks[0]);
  assert.equal(leader, document.tracks[0]);
  assert.deepEqual(follower.grid, { columns: 2, rows: 2, dx: 3, dy: 3 });
  for (let frame = 0; frame <= 24; frame++) {
    const { x, y } = positionAt(leader, frame);
    near(positionAt(follower, frame), x + 200, y + 100);
  }
});

test("mirror and reverse", () => {
  const document = drawn(
    path(
      [
        [10, 10, 0, 0, 20, 5],
        [110, 30, -20, 5, 0, 0],
      ],
      { interpolation: "bezier", easing: "ease_in" },
    ),
    path(
      [
        [0, 0],
        [60, 0],
      ],
      {
        keyframes: [
          [0, 0],
          [6, 0.5],
          [12, 0.5],
          [20, 1],
        ],
      },
    ),
  );
  const back = presets.reverse(document, new Set(["t1", "t2"]));
  const flat = presets.mirror(
    drawn(
      path([
        [10, 10],
        [110, 30],
      ]),
    ),
    new Set(["t1"]),
    "x",
  );
  assert.deepEqual(flat.tracks[0].points, [
    [110, 10],
    [10, 30],
  ]);
  assert.deepEqual(presets.mirror(document, new Set(["t1"]), "y").tracks[0].points[0], [10, 30, 0, -0, 20, -5]);
  for (let frame = 0; frame <= 24; frame++) {
    for (const i of [0, 1]) {
      const { x, y } = positionAt(document.tracks[i], 24 - frame);
      near(positionAt(back.tracks[i], frame), x, y);
    }
  }
});

test("border anchors run along the edges, background anchors keep clear of what moves", () => {
  const border = readable(presets.borderAnchors(drawn(), 40));
  const places = sampleDocument(border).map(([first]) => first);
  assert.equal(new Set(places.map(({ x, y }) => `${x.toFixed(2)},${y.toFixed(2)}`)).size, places.length);
  for (const { x, y } of places) assert.ok([x - 2, 318 - x, y - 2, 198 - y].some((gap) => Math.abs(gap) < 1e-6));
  assert.equal(places.length, 2 * 9 + 2 * 4);
  const moving = drawn(
    path(
      [
        [0, 100],
        [320, 100],
      ],
      { grid: { columns: 1, rows: 3, dx: 0, dy: 10 } },
    ),
  );
  const background = readable(presets.backgroundAnchors(moving, 20, 25));
  const anchors = background.tracks.slice(1).map(({ points: [[x, y]] }) => ({ x, y }));
  assert.ok(anchors.length > 50);
  for (const { y } of anchors) assert.ok(Math.abs(y - 100) > 35);
  assert.deepEqual([...new Set(background.tracks.slice(1).map(({ group }) => group))], ["g1"]);
});

test("coordinate lists come back as they went, at every frame", () => {
  const document = drawn(
    path(
      [
        [10, 20],
        [110, 20],
        [110, 90],
      ],
      {
        interpolation: "catmull_rom",
        easing: "ease_in_out",
        start: 3,
        duration: 15,
        hidden: [
          [5, 8],
          [24, 24],
        ],
      },
    ),
    { ...path([[33, 44]]), kind: "anchor" },
  );
  const text = toCoordinates(document);
  const lists = JSON.parse(text);
  assert.deepEqual(
    lists.map((list) => list.length),
    [25, 25],
  );
  const again = drawn(...importText(text, CANVAS));
  readable(again);
  assert.equal(again.tracks[1].kind, "anchor");
  for (const [track, row] of sampleDocument(document).entries()) {
    for (const [frame, { x, y, v }] of row.entries()) {
      assert.equal(visibleAt(again.tracks[track], frame), v === 1, `track ${track} frame ${frame}`);
      if (v) near(positionAt(again.tracks[track], frame), x, y, 0.02);
    }
  }
});

test("ATI has 121 samples over the whole clip", () => {
  const lists = JSON.parse(
    toCoordinates(
      drawn(
        path([
          [0, 0],
          [240, 0],
        ]),
      ),
      ATI_NUM_SAMPLES,
    ),
  );
  assert.equal(lists[0].length, 121);
  for (const [i, { x }] of lists[0].entries()) assert.ok(Math.abs(x - 2 * i) < 0.01);
  const [shape] = importText(JSON.stringify(lists), CANVAS);
  near(positionAt({ id: "a", ...shape }, 6), 60, 0);
});

test("other spellings of coordinate lists", () => {
  const expected = [
    [10, 20],
    [30, 40],
  ];
  for (const text of [
    "[{'x': 10, 'y': 20}, {'x': 30, 'y': 40}]",
    "[[10, 20], [30, 40]]",
    '["[{\\"x\\":10,\\"y\\":20},{\\"x\\":30,\\"y\\":40}]"]',
    "[[[10, 20, 1], [30, 40, 1]]]",
  ]) {
    assert.deepEqual(
      importText(text, CANVAS).map(({ points }) => points),
      [expected],
      text,
    );
  }
  const [long, short] = fromCoordinates("[[[0,0],[1,0],[2,0],[3,0],[4,0]],[[0,9],[8,9]]]", CANVAS);
  assert.equal(long.hidden, undefined);
  assert.deepEqual(
    [0, 6, 7, 24].map((frame) => visibleAt({ id: "a", ...short }, frame)),
    [true, true, false, false],
  );
  for (const text of ["[]", "{}", "nonsense", "[[{'x': 1}]]", '[[{"x": "1", "y": 2}]]']) {
    assert.throws(() => importText(text, CANVAS), { name: "Error" }, text);
  }
});

test("SVG out and in again keeps the curves", () => {
  const document = drawn(
    path(
      [
        [10, 20],
        [110, 20],
        [110, 90],
      ],
      { interpolation: "freehand" },
    ),
    path([
      [0, 0],
      [50, 60],
    ]),
    presets.circle(CANVAS, { x: 100, y: 90 }, 40),
  );
  const svg = toSvg(document, () => "#4aa3ff");
  const again = importText(svg, CANVAS);
  assert.deepEqual(
    again.map(({ interpolation }) => interpolation),
    ["bezier", "linear", "bezier"],
  );
  again.forEach((shape, i) => {
    for (const frame of [0, 7, 12, 24]) {
      const { x, y } = positionAt(document.tracks[i], frame);
      near(positionAt({ id: "a", ...shape }, frame), x, y, 0.05);
    }
  });
});

test("a noisy stroke comes out smooth and near what was meant", () => {
  let seed = 1;
  const noise = () => {
    seed = (seed * 16807) % 2147483647;
    return (seed / 2147483647 - 0.5) * 3;
  };
  const stroke = Array.from({ length: 200 }, (_, i) => ({
    x: 20 + i + noise(),
    y: 100 + 40 * Math.sin(i / 40) + noise(),
  }));
  const points = strokePoints(stroke, 0.5, 1).map(({ x, y }) => [x, y]);
  assert.ok(points.length < 40, `${points.length} points`);
  const curve = makeCurve(points, "freehand");
  for (let arc = 10; arc < curveLength(curve) - 10; arc += 5) {
    const { x, y } = pointAtArc(curve, arc);
    assert.ok(Math.abs(y - (100 + 40 * Math.sin((x - 20) / 40))) < 1.5, `at ${x}`);
  }
});

test("a recorded drag keeps its pauses and its pace", () => {
  const at = (frame) => (frame < 8 ? 10 * frame : frame < 16 ? 80 : 80 + 5 * (frame - 16));
  const samples = Array.from({ length: 241 }, (_, i) => ({ point: { x: at(i / 10), y: 50 }, frame: 3 + i / 10 }));
  const { points, keyframes, duration } = recordedPoints(samples, 0, 1);
  const shape = {
    kind: "drag",
    interpolation: "catmull_rom",
    points: points.map(({ x, y }) => [x, y]),
    start: 3,
    duration,
    keyframes,
  };
  const {
    tracks: [track],
  } = readable(drawn(shape));
  for (let frame = 0; frame <= 24; frame++) near(positionAt(track, frame + 3), at(frame), 50, 1);
  assert.ok(points.length < 12, `${points.length} points`);
});
