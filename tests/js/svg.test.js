// SVG path data against closed forms and hand-written control points.
import assert from "node:assert/strict";
import test from "node:test";

import { curveLength, makeCurve, pointAt } from "../../js/track_editor/curve/spline.js";
import { pathData, svgSubpaths } from "../../js/track_editor/io/svg.js";

const ends = (points) => points.map(([x, y]) => [x, y]);

test("lines, absolute and relative, repeated and closed", () => {
  assert.deepEqual(pathData("M1 2 3,4-5 6z m1,1 2 0V9h-1").map(ends), [
    [
      [1, 2],
      [3, 4],
      [-5, 6],
      [1, 2],
    ],
    [
      [2, 3],
      [4, 3],
      [4, 9],
      [3, 9],
    ],
  ]);
});

test("curves keep their control points, S and T mirror the one before", () => {
  const [cubic] = pathData("M0 0C1 2 3 4 5 6S9 9 10 6");
  assert.deepEqual(cubic, [
    [0, 0, 0, 0, 1, 2],
    [5, 6, -2, -2, 2, 2],
    [10, 6, -1, 3, 0, 0],
  ]);
  const [parabola] = pathData("M0 0Q3 6 6 0T12 0");
  assert.deepEqual(parabola, [
    [0, 0, 0, 0, 2, 4],
    [6, 0, -2, 4, 2, -4],
    [12, 0, -2, -4, 0, 0],
  ]);
});

test("an arc lies on its circle", () => {
  for (const [flags, expected] of [
    ["0 0", 0.5],
    ["1 1", 1.5],
    ["0 1", 0.5],
    ["1 0", 1.5],
  ]) {
    const [points] = pathData(`M100 0A100 100 0 ${flags} 0 100`);
    const curve = makeCurve(points, "bezier");
    assert.ok(Math.abs(curveLength(curve) / (100 * Math.PI) - expected) < 1e-3, `${flags}: ${curveLength(curve)}`);
    const centre = ["1 1", "0 0"].includes(flags) ? [100, 100] : [0, 0];
    for (let u = 0; u <= points.length - 1; u += 0.1) {
      const { x, y } = pointAt(curve, u);
      assert.ok(Math.abs(Math.hypot(x - centre[0], y - centre[1]) - 100) < 0.05, `${flags} u ${u}`);
    }
  }
});

test("flags of an arc need no spaces", () => {
  assert.deepEqual(pathData("M0 0a1 1 0 01.5.5"), pathData("M0 0a1 1 0 0 1 0.5 0.5"));
});

test("shapes of a file", () => {
  const svg = `<svg><g><path id="p" fill='none' d="M1 1L2 2"/></g><line x1="0" y1="1" x2="5" y2="1"/>
    <polygon points="0,0 4,0 4,4"/><rect x="1" y="1" width="2" height="3"/><circle cx="10" cy="10" r="5"/></svg>`;
  const found = svgSubpaths(svg);
  assert.deepEqual(found.slice(0, 4).map(ends), [
    [
      [1, 1],
      [2, 2],
    ],
    [
      [0, 1],
      [5, 1],
    ],
    [
      [0, 0],
      [4, 0],
      [4, 4],
      [0, 0],
    ],
    [
      [1, 1],
      [3, 1],
      [3, 4],
      [1, 4],
      [1, 1],
    ],
  ]);
  assert.ok(Math.abs(curveLength(makeCurve(found[4], "bezier")) - 10 * Math.PI) < 0.02);
});

test("what is malformed is named", () => {
  for (const [data, words] of [
    ["M0 0L", /'L' needs 2 numbers/],
    ["M0 0X1 2", /no command 'X'/],
    ["L1 2", /must begin with M/],
    ["1 2", /follows no command/],
    ["M0 0#", /"#" is no command/],
    ["M0 0z1 2", /follows no command/],
  ]) {
    assert.throws(() => pathData(data), words);
  }
});
