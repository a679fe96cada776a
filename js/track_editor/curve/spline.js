/**
 * Curves through control points and travel along them at constant speed: the same sums as motionstream_core's
 * tracks/drawn/spline.py, held to it by tests/data/curves.json. A curve is a chain of cubic Bezier pieces over u in
 * [0, k - 1], where u = i is control point i.
 */

import { imagePoint } from "./geometry.js";

/**
 * @typedef {"freehand" | "catmull_rom" | "bezier" | "linear"} Interpolation
 * @typedef {import("./geometry.js").ImagePoint} ImagePoint
 * @typedef {readonly number[]} ControlPoint  [x, y], or [x, y, in_dx, in_dy, out_dx, out_dy] for bezier
 */

/**
 * knots: m + 1 values of u, rising. pieces: m times 8 numbers, four Bezier points each, all (dx, dy) px off their place.
 * lengths: of arc from the start to every border of a part, made when they are first needed; moved curves share them.
 * @typedef {{readonly knots: Float64Array, readonly pieces: Float64Array, readonly lengths: {table: Float64Array | null},
 *   readonly dx: number, readonly dy: number}} Curve
 */

/** @type {readonly Interpolation[]} */
export const INTERPOLATIONS = ["freehand", "catmull_rom", "bezier", "linear"];

const COINCIDENT_PX = 1e-6;
const SPANS = 16;
const NEWTON_STEPS = 12;
const GAUSS = [
  [0.5, 64 / 225],
  ...[-1, 1].flatMap((sign) => [
    [0.5 + (sign * Math.sqrt(5 - 2 * Math.sqrt(10 / 7))) / 6, (322 + 13 * Math.sqrt(70)) / 1800],
    [0.5 + (sign * Math.sqrt(5 + 2 * Math.sqrt(10 / 7))) / 6, (322 - 13 * Math.sqrt(70)) / 1800],
  ]),
];
const GAUSS_AT = Float64Array.from(GAUSS, ([at]) => at);
const GAUSS_WEIGHT = Float64Array.from(GAUSS, ([, weight]) => weight);

/** @type {(points: readonly ControlPoint[], interpolation: Interpolation) => Curve} */
export function makeCurve(points, interpolation) {
  if (points.length === 1) {
    const [x, y] = points[0];
    return curveOfPieces(Float64Array.of(0, 1), Float64Array.of(x, y, x, y, x, y, x, y));
  }
  if (interpolation === "freehand") return bSpline(points);
  const pieces = new Float64Array((points.length - 1) * 8);
  for (let i = 0; i + 1 < points.length; i++) {
    const [a, d] = [points[i], points[i + 1]];
    const [bx, by, cx, cy] =
      interpolation === "linear"
        ? [(d[0] - a[0]) / 3, (d[1] - a[1]) / 3, (a[0] - d[0]) / 3, (a[1] - d[1]) / 3]
        : interpolation === "bezier"
          ? [a[4] ?? 0, a[5] ?? 0, d[2] ?? 0, d[3] ?? 0]
          : catmullRomHandles(points[i - 1], a, d, points[i + 2]);
    pieces.set([a[0], a[1], a[0] + bx, a[1] + by, d[0] + cx, d[1] + cy, d[0], d[1]], i * 8);
  }
  return curveOfPieces(
    Float64Array.from(points, (_, i) => i),
    pieces,
  );
}

/** @type {(knots: Float64Array, pieces: Float64Array) => Curve} */
const curveOfPieces = (knots, pieces) => ({ knots, pieces, lengths: { table: null }, dx: 0, dy: 0 });

/** @type {(points: readonly ControlPoint[]) => Curve} */
function bSpline(points) {
  const last = points.length - 1;
  const pieces = new Float64Array((last + 1) * 8);
  const knots = new Float64Array(last + 2);
  for (let i = 0; i <= last; i++) {
    const start = i === 0 ? points[0] : middle(points[i - 1], points[i]);
    const stop = i === last ? points[last] : middle(points[i], points[i + 1]);
    const control = i === 0 || i === last ? middle(start, stop) : points[i];
    for (let axis = 0; axis < 2; axis++) {
      const [s, c, e] = [start[axis], control[axis], stop[axis]];
      pieces[i * 8 + axis] = s;
      pieces[i * 8 + 2 + axis] = s + ((c - s) * 2) / 3;
      pieces[i * 8 + 4 + axis] = e + ((c - e) * 2) / 3;
      pieces[i * 8 + 6 + axis] = e;
    }
    knots[i + 1] = Math.min(i + 0.5, last);
  }
  return curveOfPieces(knots, pieces);
}

/** @type {(a: ControlPoint, b: ControlPoint) => [number, number]} */
const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/** @type {(a: ControlPoint, b: ControlPoint) => number} */
const chord = (a, b) => Math.hypot(b[0] - a[0], b[1] - a[1]);

/** @type {(a: ControlPoint, b: ControlPoint) => [number, number]} */
const mirror = (a, b) => [2 * a[0] - b[0], 2 * a[1] - b[1]];

/**
 * Offsets of the two inner Bezier points of the segment from `start` to `stop`.
 * @type {(before: ControlPoint | undefined, start: ControlPoint, stop: ControlPoint, after: ControlPoint | undefined)
 *   => [number, number, number, number]}
 */
function catmullRomHandles(before, start, stop, after) {
  const step = chord(start, stop);
  if (step < COINCIDENT_PX) return [0, 0, 0, 0];
  if (!before || chord(before, start) < COINCIDENT_PX) before = mirror(start, stop);
  if (!after || chord(stop, after) < COINCIDENT_PX) after = mirror(stop, start);
  const [d0, d1, d2] = [Math.sqrt(chord(before, start)), Math.sqrt(step), Math.sqrt(chord(stop, after))];
  const leaving = [0, 1].map(
    (i) => (((start[i] - before[i]) / d0 - (stop[i] - before[i]) / (d0 + d1)) * d1 + stop[i] - start[i]) / 3,
  );
  const arriving = [0, 1].map(
    (i) => -(((after[i] - stop[i]) / d2 - (after[i] - start[i]) / (d1 + d2)) * d1 + stop[i] - start[i]) / 3,
  );
  return [leaving[0], leaving[1], arriving[0], arriving[1]];
}

/** Length of arc in px. @type {(curve: Curve) => number} */
export const curveLength = (curve) => arcTable(curve)[arcTable(curve).length - 1];

/** @type {(curve: Curve, u: number) => ImagePoint} */
export function pointAt(curve, u) {
  const { piece, t } = locate(curve, u);
  return pieceAt(curve, piece * 8, t);
}

/** Length of arc in px from the start to parameter u. @type {(curve: Curve, u: number) => number} */
export function arcAt(curve, u) {
  const { piece, t } = locate(curve, u);
  const part = Math.min(Math.floor(t * SPANS), SPANS - 1);
  return arcTable(curve)[piece * SPANS + part] + arcBetween(curve.pieces, piece * 8, part / SPANS, t);
}

/** The point `arc` px of travel from the start, held within the ends. @type {(curve: Curve, arc: number) => ImagePoint} */
export function pointAtArc(curve, arc) {
  const { piece, t } = atArc(curve, arc);
  return pieceAt(curve, piece * 8, t);
}

/** The parameter u that lies `arc` px of travel from the start. @type {(curve: Curve, arc: number) => number} */
export function parameterAtArc(curve, arc) {
  const { piece, t } = atArc(curve, arc);
  return curve.knots[piece] + t * (curve.knots[piece + 1] - curve.knots[piece]);
}

/** @type {(curve: Curve, arc: number) => {piece: number, t: number}} */
function atArc(curve, arc) {
  const table = arcTable(curve);
  arc = Math.min(Math.max(arc, 0), table[table.length - 1]);
  const part = Math.min(lastAtMost(table, arc), table.length - 2);
  const piece = Math.floor(part / SPANS);
  const start = (part % SPANS) / SPANS;
  let [low, high] = [start, start + 1 / SPANS];
  const rest = arc - table[part];
  const whole = table[part + 1] - table[part];
  let t = low + (whole > 0 ? rest / whole : 0) / SPANS;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const excess = arcBetween(curve.pieces, piece * 8, start, t) - rest;
    if (Math.abs(excess) < 1e-9) break;
    if (excess < 0) low = t;
    else high = t;
    const speed = speedAt(curve.pieces, piece * 8, t);
    const next = t - excess / speed;
    t = speed > 0 && next >= low && next <= high ? next : (low + high) / 2;
  }
  return { piece, t };
}

/** The curve moved by (dx, dy) px; it shares all there is to share. @type {(curve: Curve, dx: number, dy: number) => Curve} */
export const movedCurve = (curve, dx, dy) => ({ ...curve, dx: curve.dx + dx, dy: curve.dy + dy });

/**
 * Points along the curve for drawing and hit tests, with their u; `perPiece` steps for every bent piece.
 * @type {(curve: Curve, perPiece?: number) => {u: number, x: number, y: number}[]}
 */
export function polyline(curve, perPiece = 10) {
  const { knots, pieces } = curve;
  const line = [{ u: knots[0], x: pieces[0] + curve.dx, y: pieces[1] + curve.dy }];
  for (let piece = 0; piece + 1 < knots.length; piece++) {
    const steps = isStraight(pieces, piece * 8) ? 1 : perPiece;
    for (let step = 1; step <= steps; step++) {
      const t = step / steps;
      const point = pieceAt(curve, piece * 8, t);
      line.push({ u: knots[piece] + t * (knots[piece + 1] - knots[piece]), x: point.x, y: point.y });
    }
  }
  return line;
}

/** @type {(p: Float64Array, at: number) => boolean} */
function isStraight(p, at) {
  const [dx, dy] = [p[at + 6] - p[at], p[at + 7] - p[at + 1]];
  const off = (/** @type {number} */ i) => Math.abs((p[at + i] - p[at]) * dy - (p[at + i + 1] - p[at + 1]) * dx);
  return off(2) + off(4) <= 0.02 * Math.hypot(dx, dy);
}

/** @type {(curve: Curve) => Float64Array} */
function arcTable(curve) {
  if (curve.lengths.table) return curve.lengths.table;
  const numPieces = curve.knots.length - 1;
  const table = new Float64Array(numPieces * SPANS + 1);
  for (let part = 0; part < numPieces * SPANS; part++) {
    const [piece, start] = [Math.floor(part / SPANS), (part % SPANS) / SPANS];
    table[part + 1] = table[part] + arcBetween(curve.pieces, piece * 8, start, start + 1 / SPANS);
  }
  curve.lengths.table = table;
  return table;
}

/** @type {(curve: Curve, u: number) => {piece: number, t: number}} */
function locate(curve, u) {
  const { knots } = curve;
  u = Math.min(Math.max(u, knots[0]), knots[knots.length - 1]);
  const piece = Math.min(lastAtMost(knots, u), knots.length - 2);
  return { piece, t: (u - knots[piece]) / (knots[piece + 1] - knots[piece]) };
}

/** Index of the last of the rising `values` that is not above `value`. @type {(values: Float64Array, value: number) => number} */
function lastAtMost(values, value) {
  let [low, high] = [0, values.length];
  while (high - low > 1) {
    const mid = (low + high) >> 1;
    if (values[mid] <= value) low = mid;
    else high = mid;
  }
  return low;
}

/** @type {(curve: Curve, at: number, t: number) => ImagePoint} */
function pieceAt({ pieces: p, dx, dy }, at, t) {
  const r = 1 - t;
  const [a, b, c, d] = [r * r * r, 3 * r * r * t, 3 * r * t * t, t * t * t];
  return imagePoint(
    a * p[at] + b * p[at + 2] + c * p[at + 4] + d * p[at + 6] + dx,
    a * p[at + 1] + b * p[at + 3] + c * p[at + 5] + d * p[at + 7] + dy,
  );
}

/** @type {(p: Float64Array, at: number, t: number) => number} */
function speedAt(p, at, t) {
  const r = 1 - t;
  const [a, b, c] = [r * r, 2 * r * t, t * t];
  const x = a * (p[at + 2] - p[at]) + b * (p[at + 4] - p[at + 2]) + c * (p[at + 6] - p[at + 4]);
  const y = a * (p[at + 3] - p[at + 1]) + b * (p[at + 5] - p[at + 3]) + c * (p[at + 7] - p[at + 5]);
  return 3 * Math.sqrt(x * x + y * y);
}

/** @type {(p: Float64Array, at: number, start: number, stop: number) => number} */
function arcBetween(p, at, start, stop) {
  const width = stop - start;
  let sum = 0;
  for (let i = 0; i < 5; i++) sum += GAUSS_WEIGHT[i] * speedAt(p, at, start + width * GAUSS_AT[i]);
  return sum * width;
}
