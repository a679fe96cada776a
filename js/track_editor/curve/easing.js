/** Spans of frames, and the share of the way that is done within one: as motionstream_core's tracks/drawn/timing.py. */

import { clamp } from "./geometry.js";

/**
 * @typedef {"linear" | "ease_in" | "ease_out" | "ease_in_out"} Easing
 * @typedef {{readonly start: number, readonly duration: number}} Span  in frames; start may lie outside the clip
 */

/** @type {readonly Easing[]} */
export const EASINGS = ["linear", "ease_in", "ease_out", "ease_in_out"];
export const FRAME_TOLERANCE = 1e-6;

/** The span of a whole clip. @type {(clip: {readonly num_frames: number}) => Span} */
export const wholeClip = ({ num_frames }) => ({ start: 0, duration: num_frames - 1 });

/** Share of the way at a share of the time, both 0..1. @type {(progress: number, easing: Easing) => number} */
export function eased(progress, easing) {
  if (easing === "ease_in") return progress * progress;
  if (easing === "ease_out") return 1 - (1 - progress) ** 2;
  if (easing === "ease_in_out") return progress * progress * (3 - 2 * progress);
  return progress;
}

/** Share of the way at `frame`, 0 before the span and 1 after it. @type {(span: Span & {readonly easing?: Easing}, frame: number) => number} */
export function shareAt({ start, duration, easing = "linear" }, frame) {
  const since = frame - start;
  return eased(duration > 0 ? clamp(since / duration, 0, 1) : Number(since >= -FRAME_TOLERANCE), easing);
}
