/** Spans of frames, and the share of the way that is done within one: as motionstream_core's tracks/drawn/timing.py. */

import { clamp } from "./geometry.js";

/**
 * @typedef {"linear" | "ease_in" | "ease_out" | "ease_in_out"} Easing
 * @typedef {readonly [number, number, number, number]} Bend  x1, y1, x2, y2, each 0..1: a cubic Bezier from (0, 0) to (1, 1), time across, way up
 * @typedef {Easing | Bend} Pace
 * @typedef {{readonly start: number, readonly duration: number}} Span  in frames; start may lie outside the clip
 */

/** @type {readonly Easing[]} */
export const EASINGS = ["linear", "ease_in", "ease_out", "ease_in_out"];
export const FRAME_TOLERANCE = 1e-6;
const BEND_STEPS = 40;

/** The span of a whole clip. @type {(clip: {readonly num_frames: number}) => Span} */
export const wholeClip = ({ num_frames }) => ({ start: 0, duration: num_frames - 1 });

/** The named easings as what they are, exactly. @type {Readonly<Record<Easing, Bend>>} */
const BENDS = {
  linear: [1 / 3, 1 / 3, 2 / 3, 2 / 3],
  ease_in: [1 / 3, 0, 2 / 3, 1 / 3],
  ease_out: [1 / 3, 2 / 3, 2 / 3, 1],
  ease_in_out: [1 / 3, 0, 2 / 3, 1],
};

/** @type {(pace: Pace) => Bend} */
export const bendOf = (pace) => (typeof pace === "string" ? BENDS[pace] : pace);

/** Share of the way at a share of the time, both 0..1. @type {(progress: number, easing: Pace) => number} */
export function eased(progress, easing) {
  if (typeof easing !== "string") return bent(progress, easing);
  if (easing === "ease_in") return progress * progress;
  if (easing === "ease_out") return 1 - (1 - progress) ** 2;
  if (easing === "ease_in_out") return progress * progress * (3 - 2 * progress);
  return progress;
}

/** The curve's height at `progress` across, by halving: it rises across, so there is one place. @type {(progress: number, bend: Bend) => number} */
function bent(progress, [x1, y1, x2, y2]) {
  if (progress <= 0 || progress >= 1) return clamp(progress, 0, 1);
  let [low, high] = [0, 1];
  for (let step = 0; step < BEND_STEPS; step++) {
    const middle = (low + high) / 2;
    if (along(middle, x1, x2) < progress) low = middle;
    else high = middle;
  }
  return along((low + high) / 2, y1, y2);
}

/** @type {(t: number, a: number, b: number) => number} */
const along = (t, a, b) => t * (3 * (1 - t) * ((1 - t) * a + t * b) + t * t);

/** Share of the way at `frame`, 0 before the span and 1 after it. @type {(span: Span & {readonly easing?: Pace}, frame: number) => number} */
export function shareAt({ start, duration, easing = "linear" }, frame) {
  const since = frame - start;
  return eased(duration > 0 ? clamp(since / duration, 0, 1) : Number(since >= -FRAME_TOLERANCE), easing);
}
