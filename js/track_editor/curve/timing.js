/** When a track is where: the same rules as motionstream_core's tracks/drawn/timing.py, in docs/tracks-format.md. */

import { arcAt, curveLength, makeCurve, pointAtArc } from "./curve.js";
import { clamp } from "./geometry.js";

/**
 * @typedef {import("../document/document.js").Track} Track
 * @typedef {import("../document/document.js").Easing} Easing
 * @typedef {import("./curve.js").Curve} Curve
 * @typedef {import("./geometry.js").ImagePoint} ImagePoint
 */

export const FRAME_TOLERANCE = 1e-6;

/** @type {WeakMap<readonly (readonly number[])[], Map<string, Curve>>} */
const curves = new WeakMap();

/**
 * The track's curve; made once per list of points, since tracks are never changed in place.
 * @type {(track: Track) => Curve}
 */
export function curveOf(track) {
  let kinds = curves.get(track.points);
  if (!kinds) curves.set(track.points, (kinds = new Map()));
  let made = kinds.get(track.interpolation);
  if (!made) kinds.set(track.interpolation, (made = makeCurve(track.points, track.interpolation)));
  return made;
}

/** Tells that `track`'s curve is known already. @type {(track: Track, curve: Curve) => void} */
export const rememberCurve = (track, curve) => void curves.set(track.points, new Map([[track.interpolation, curve]]));

/** Share of the way at a share of the time. @type {(progress: number, easing: Easing) => number} */
export function eased(progress, easing) {
  if (easing === "ease_in") return progress * progress;
  if (easing === "ease_out") return 1 - (1 - progress) ** 2;
  if (easing === "ease_in_out") return progress * progress * (3 - 2 * progress);
  return progress;
}

/** Share of the way, or of a move, at `frame`. @type {(span: {start: number, duration: number, easing?: Easing}, frame: number) => number} */
export function shareAt({ start, duration, easing = "linear" }, frame) {
  const since = frame - start;
  return eased(duration > 0 ? clamp(since / duration, 0, 1) : Number(since >= -FRAME_TOLERANCE), easing);
}

/** Length of arc travelled at `frame`. @type {(track: Track, frame: number) => number} */
export function travelled(track, frame) {
  const curve = curveOf(track);
  const since = frame - track.start;
  const { keyframes } = track;
  if (keyframes) {
    const next = keyframes.findIndex(([at]) => at > since);
    if (next === 0) return arcAt(curve, keyframes[0][1]);
    if (next < 0) return arcAt(curve, keyframes[keyframes.length - 1][1]);
    const [[f0, u0], [f1, u1]] = [keyframes[next - 1], keyframes[next]];
    const [a0, a1] = [arcAt(curve, u0), arcAt(curve, u1)];
    return a0 + ((since - f0) / (f1 - f0)) * (a1 - a0);
  }
  return shareAt(track, frame) * curveLength(curve);
}

/** Where the track's point is at `frame`. @type {(track: Track, frame: number) => ImagePoint} */
export const positionAt = (track, frame) => pointAtArc(curveOf(track), travelled(track, frame));

/** Whether it can be seen at `frame`. @type {(track: Track, frame: number) => boolean} */
export function visibleAt(track, frame) {
  if (track.before === "hide" && frame < track.start - FRAME_TOLERANCE) return false;
  if (track.after === "hide" && frame > track.start + track.duration + FRAME_TOLERANCE) return false;
  return !(track.hidden ?? []).some(
    ([first, last]) => first - FRAME_TOLERANCE <= frame && frame <= last + FRAME_TOLERANCE,
  );
}

/** Offsets of a grid's copies, row by row; one zero offset without a grid. @type {(track: Track) => {x: number, y: number}[]} */
export function gridOffsets({ grid }) {
  if (!grid) return [{ x: 0, y: 0 }];
  const { columns, rows, dx, dy } = grid;
  return Array.from({ length: columns * rows }, (_, i) => ({
    x: ((i % columns) - (columns - 1) / 2) * dx,
    y: (Math.floor(i / columns) - (rows - 1) / 2) * dy,
  }));
}
