/** What a selected track shows of itself: its pace, its control points, and the knob of an object. */

import { curveLength } from "../curve/spline.js";
import { curveOf, positionAt } from "../document/sampling.js";
import { knobOf, placesAtEnd } from "../tools/region.js";
import { OUTLINE } from "./colours.js";
import { fillRegion } from "./curves.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("./render.js").TopScene} TopScene
 * @typedef {CanvasRenderingContext2D} Context
 */

/** @type {WeakMap<Track, Float64Array>} */
const spacings = new WeakMap();
const MAX_DOTS = 600;
const MIN_GAP_PX = 8;
const DOT_PX = 1.6;

/** Where its point is in every frame of its travel: dots that lie close where it is slow. x and y by turns, px of the image; made once. @type {(track: Track, numFrames: number) => Float64Array} */
function spacingOf(track, numFrames) {
  const known = spacings.get(track);
  if (known) return known;
  const [first, last] = [
    Math.max(0, Math.ceil(track.start)),
    Math.min(numFrames - 1, Math.floor(track.start + track.duration)),
  ];
  const count = Math.max(0, last - first + 1);
  const step = Math.max(1, Math.ceil(count / MAX_DOTS));
  const dots = new Float64Array(2 * Math.ceil(count / step));
  for (let i = 0; 2 * i < dots.length; i++) {
    const { x, y } = positionAt(track, first + i * step);
    [dots[2 * i], dots[2 * i + 1]] = [x, y];
  }
  spacings.set(track, dots);
  return dots;
}

/** Speed, to be seen: a dot for every frame, or for every second, fifth and so on where they would hide the curve. @type {(context: Context, track: Track, numFrames: number, view: Viewport) => void} */
export function drawSpacing(context, track, numFrames, view) {
  if (track.points.length < 2) return;
  const dots = spacingOf(track, numFrames);
  const mean = (curveLength(curveOf(track)) * view.scale) / Math.max(1, dots.length / 2 - 1);
  const step = [1, 2, 5, 10, 20, 50].find((each) => each * mean >= MIN_GAP_PX) ?? 100;
  const path = new Path2D();
  for (let i = 0; i < dots.length; i += 2 * step) {
    const [x, y] = [dots[i] * view.scale + view.x, dots[i + 1] * view.scale + view.y];
    path.moveTo(x + DOT_PX, y);
    path.arc(x, y, DOT_PX, 0, 7);
  }
  [context.fillStyle, context.strokeStyle, context.lineWidth] = ["#ffffff", "rgba(0, 0, 0, 0.7)", 1.4];
  context.stroke(path);
  context.fill(path);
}

/** What a chosen object comes to, and the knob by which it is turned and scaled. @type {(context: Context, track: Track, scene: TopScene) => void} */
export function drawKnob(context, track, { view, colours }) {
  const { turn = 0, scale = 1 } = track.region ?? {};
  const moves = track.points.length > 1 || turn || scale !== 1;
  if (moves) fillRegion(context, track, placesAtEnd(track), view, 0.22, colours, scale);
  const { middle, knob } = knobOf(track, view);
  [context.strokeStyle, context.lineWidth] = ["#ffffff", 1];
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(middle.x, middle.y);
  context.lineTo(knob.x, knob.y);
  context.stroke();
  context.setLineDash([]);
  [context.fillStyle, context.strokeStyle, context.lineWidth] = ["#ffffff", "#101216", 1.5];
  context.beginPath();
  context.arc(knob.x, knob.y, 5.5, 0, 7);
  context.fill();
  context.stroke();
  context.beginPath();
  context.arc(knob.x, knob.y, 2.6, 0.6, 5.2);
  context.stroke();
}

/** Control points as squares (chosen ones white), the first one larger; Bezier handles. @type {(context: Context, track: Track, scene: TopScene) => void} */
export function drawControls(context, track, { view, selection, colours }) {
  const chosen = selection.points.get(track.id);
  const place = (/** @type {number} */ x, /** @type {number} */ y) => [
    x * view.scale + view.x,
    y * view.scale + view.y,
  ];
  const colour = colours(track);
  if (track.interpolation === "bezier") drawHandles(context, track, view);
  context.lineWidth = 1;
  const small = squareOf(track, view);
  track.points.forEach(([px, py], index) => {
    const [x, y] = place(px, py);
    const half = index === 0 ? 4.5 : chosen?.has(index) ? 3.5 : small;
    context.fillStyle = chosen?.has(index) ? "#ffffff" : colour;
    context.strokeStyle = chosen?.has(index) ? colour : "#101216";
    context.fillRect(x - half, y - half, 2 * half, 2 * half);
    context.strokeRect(x - half, y - half, 2 * half, 2 * half);
  });
}

/** Half a side of a point's square, in px of the surface: less where many points lie close, so that the curve is seen. @type {(track: Track, view: Viewport) => number} */
function squareOf(track, view) {
  const gap = (curveLength(curveOf(track)) * view.scale) / Math.max(1, track.points.length - 1);
  return Math.min(3.5, Math.max(1.5, gap / 5));
}

/** @type {(context: Context, track: Track, view: Viewport) => void} */
function drawHandles(context, track, view) {
  const [lines, ends] = [new Path2D(), new Path2D()];
  for (const [x, y, inX = 0, inY = 0, outX = 0, outY = 0] of track.points) {
    const [px, py] = [x * view.scale + view.x, y * view.scale + view.y];
    for (const [dx, dy] of [
      [inX, inY],
      [outX, outY],
    ]) {
      if (!dx && !dy) continue;
      const [hx, hy] = [px + dx * view.scale, py + dy * view.scale];
      lines.moveTo(px, py);
      lines.lineTo(hx, hy);
      ends.moveTo(hx + 3.5, hy);
      ends.arc(hx, hy, 3.5, 0, 7);
    }
  }
  for (const [colour, width] of /** @type {[string, number][]} */ ([
    [OUTLINE, 3],
    ["#ffffff", 1.2],
  ])) {
    [context.strokeStyle, context.lineWidth] = [colour, width];
    context.stroke(lines);
  }
  [context.fillStyle, context.strokeStyle, context.lineWidth] = ["#ffffff", "#101216", 1];
  context.fill(ends);
  context.stroke(ends);
}
