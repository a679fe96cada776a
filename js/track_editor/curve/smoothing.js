/** Free-hand strokes: noise smoothed away, and as few control points as keep the line. */

import { distance, imagePoint } from "./geometry.js";

/** @typedef {import("./geometry.js").ImagePoint} ImagePoint */

/**
 * Points at equal steps of `step` px along the stroke; the ends stay.
 * @type {(stroke: readonly ImagePoint[], step: number) => ImagePoint[]}
 */
function evenly(stroke, step) {
  if (stroke.length < 2) return [...stroke];
  const even = [stroke[0]];
  let rest = step;
  for (let i = 0; i + 1 < stroke.length; i++) {
    const [a, b] = [stroke[i], stroke[i + 1]];
    const length = distance(a, b);
    for (; rest <= length && length > 0; rest += step) {
      even.push(imagePoint(a.x + ((b.x - a.x) * rest) / length, a.y + ((b.y - a.y) * rest) / length));
    }
    rest -= length;
  }
  const [last, end] = [even[even.length - 1], stroke[stroke.length - 1]];
  if (distance(last, end) < step / 2 && even.length > 1) even.pop();
  even.push(end);
  return even;
}

/**
 * A binomial average over neighbours, `passes` times; the ends stay.
 * @type {(points: readonly ImagePoint[], passes: number) => ImagePoint[]}
 */
function averaged(points, passes) {
  let row = [...points];
  for (let pass = 0; pass < passes; pass++) {
    row = row.map((point, i) =>
      i === 0 || i === row.length - 1
        ? point
        : imagePoint((row[i - 1].x + 2 * point.x + row[i + 1].x) / 4, (row[i - 1].y + 2 * point.y + row[i + 1].y) / 4),
    );
  }
  return row;
}

const STROKE_STEP_PX = 10;
const MAX_STROKE_POINTS = 200;

/**
 * Control points of a drawn stroke, at even steps: a B-spline only comes near its points, so they must lie close.
 * smoothing 0..1; `pixel` is the size of a px of the surface in px of the image.
 * @type {(stroke: readonly ImagePoint[], smoothing: number, pixel: number) => ImagePoint[]}
 */
export function strokePoints(stroke, smoothing, pixel) {
  const even = evenly(stroke, 3 * pixel);
  if (even.length < 3) return even;
  const step = Math.max(STROKE_STEP_PX, (3 * even.length) / MAX_STROKE_POINTS) * pixel;
  return evenly(averaged(even, Math.round(1 + smoothing * 30)), step);
}

/**
 * A recorded drag as control points and keyframes: positions over time, as few as keep both within tolerance.
 * samples: position and frame, frames rising. Returns keyframes counted from the first sample.
 * @type {(samples: readonly {point: ImagePoint, frame: number}[], smoothing: number, pixel: number)
 *   => {points: ImagePoint[], keyframes: [number, number][], duration: number}}
 */
export function recordedPoints(samples, smoothing, pixel) {
  const distinct = samples.filter(({ frame }, i) => i === 0 || frame - samples[i - 1].frame > 0.02);
  const smooth = averaged(
    distinct.map(({ point }) => point),
    Math.round(smoothing * 6),
  );
  const start = samples[0].frame;
  const kept = simplifiedInTime(
    smooth,
    distinct.map(({ frame }) => frame),
    0.5 * pixel,
  );
  const duration = distinct[distinct.length - 1].frame - start;
  return {
    points: kept.map((index) => smooth[index]),
    keyframes: kept.map((index, i) => [distinct[index].frame - start, i]),
    duration,
  };
}

/**
 * Indices of the samples between which straight, even travel stays within `tolerance` px of all others (Ramer, Douglas
 * and Peucker's division, in time).
 * @type {(points: readonly ImagePoint[], frames: readonly number[], tolerance: number) => number[]}
 */
export function simplifiedInTime(points, frames, tolerance) {
  const kept = new Set([0, points.length - 1]);
  /** @type {[number, number][]} */
  const spans = [[0, points.length - 1]];
  for (let span = spans.pop(); span; span = spans.pop()) {
    const [first, last] = span;
    let [worst, index] = [tolerance, -1];
    for (let i = first + 1; i < last; i++) {
      const t = (frames[i] - frames[first]) / (frames[last] - frames[first]);
      const x = points[first].x + t * (points[last].x - points[first].x);
      const y = points[first].y + t * (points[last].y - points[first].y);
      const off = Math.hypot(points[i].x - x, points[i].y - y);
      if (off > worst) [worst, index] = [off, i];
    }
    if (index < 0) continue;
    kept.add(index);
    spans.push([first, index], [index, last]);
  }
  return [...kept].sort((a, b) => a - b);
}
