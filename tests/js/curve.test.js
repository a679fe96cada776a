// Curves against tests/data/curves.json, whose values come from slow sums of another kind.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import {
  arcAt,
  curveLength,
  makeCurve,
  movedCurve,
  parameterAtArc,
  pointAt,
  pointAtArc,
  polyline,
} from "../../js/track_editor/curve/spline.js";

const data = JSON.parse(readFileSync(new URL("../data/curves.json", import.meta.url), "utf8"));
const near = (point, [x, y], words) =>
  assert.ok(
    Math.hypot(point.x - x, point.y - y) < data.tolerance_px,
    `${words}: ${point.x}, ${point.y} for ${x}, ${y}`,
  );

for (const each of data.cases) {
  test(`curve agrees with the reference: ${each.name}`, () => {
    const curve = makeCurve(each.points, each.interpolation);
    assert.ok(Math.abs(curveLength(curve) - each.length) < data.tolerance_px);
    each.u.forEach((u, i) => {
      near(pointAt(curve, u), each.at[i], `u ${u}`);
      assert.ok(Math.abs(arcAt(curve, u) - each.arc_at[i]) < data.tolerance_px, `arc at u ${u}`);
    });
    each.share.forEach((share, i) => {
      const arc = share * curveLength(curve);
      near(pointAtArc(curve, arc), each.at_share[i], `share ${share}`);
      near(pointAt(curve, parameterAtArc(curve, arc)), each.at_share[i], `parameter at share ${share}`);
    });
  });
}

test("a moved curve is the curve of moved points", () => {
  const points = [
    [0, 0],
    [50, 80],
    [120, -10],
  ];
  const moved = movedCurve(makeCurve(points, "catmull_rom"), 7, -3);
  const anew = makeCurve(
    points.map(([x, y]) => [x + 7, y - 3]),
    "catmull_rom",
  );
  for (let arc = 0; arc < 250; arc += 9) {
    const { x, y } = pointAtArc(anew, arc);
    near(pointAtArc(moved, arc), [x, y], `arc ${arc}`);
  }
});

test("a polyline runs through the curve and takes one step where it is straight", () => {
  const straight = polyline(
    makeCurve(
      [
        [0, 0],
        [10, 0],
        [10, 10],
      ],
      "linear",
    ),
  );
  assert.deepEqual(
    straight.map(({ u, x, y }) => [u, x, y]),
    [
      [0, 0, 0],
      [1, 10, 0],
      [2, 10, 10],
    ],
  );
  const bent = makeCurve(
    [
      [0, 0],
      [50, 80],
      [120, -10],
    ],
    "catmull_rom",
  );
  for (const { u, x, y } of polyline(bent)) near(pointAt(bent, u), [x, y], `u ${u}`);
});
