/** Edits of a track's time: its span, its keyframes, the spans in which it is hidden. Each gives a new track. */

import { clamp } from "../curve/geometry.js";
import { parameterAtArc } from "../curve/spline.js";
import { curveOf, travelled } from "./sampling.js";

/** @typedef {import("./format.js").Track} Track */

/** Another span; keyframes keep their share of it. @type {(track: Track, start: number, duration: number) => Track} */
export function withSpan(track, start, duration) {
  const ratio = track.duration > 0 ? duration / track.duration : 0;
  const keyframes =
    track.keyframes && duration > 0
      ? spread(
          track.keyframes.map(([frame, u]) => [frame * ratio, u]),
          duration,
        )
      : undefined;
  const { keyframes: _, ...rest } = track;
  return { ...rest, start, duration: Math.max(0, duration), ...(keyframes && { keyframes }) };
}

const KEYFRAME_GAP = 0.01;

/**
 * Keyframes in order, no two closer than a hundredth of a frame (the later one wins), all within the span.
 * @type {(keyframes: readonly (readonly number[])[], duration: number) => [number, number][]}
 */
export function spread(keyframes, duration) {
  /** @type {[number, number][]} */
  const kept = [];
  for (const [frame, u] of [...keyframes].sort((a, b) => a[0] - b[0])) {
    const at = clamp(frame, 0, duration);
    if (kept.length && at - kept[kept.length - 1][0] < KEYFRAME_GAP) kept.pop();
    kept.push([at, u]);
  }
  return kept;
}

/**
 * A keyframe that puts the point at u, `frame` frames after the start. A track that had an easing gets keyframes at
 * both ends beside it, so that it goes on travelling.
 * @type {(track: Track, frame: number, u: number) => Track}
 */
export function withKeyframe(track, frame, u) {
  const { easing: _, ...rest } = track;
  const before = track.keyframes ?? [
    [0, 0],
    [track.duration, track.points.length - 1],
  ];
  const others = before.filter(([at]) => Math.abs(at - frame) >= 0.5);
  return { ...rest, keyframes: spread([...others, [frame, clamp(u, 0, track.points.length - 1)]], track.duration) };
}

/** A keyframe that pins the track's point to where it is at `frame` already. @type {(track: Track, frame: number) => Track} */
export function keyframeAt(track, frame) {
  const since = clamp(frame - track.start, 0, track.duration);
  return withKeyframe(track, since, parameterAtArc(curveOf(track), travelled(track, track.start + since)));
}

/** Without keyframe `index`; the last one leaves linear travel. @type {(track: Track, index: number) => Track} */
export function withoutKeyframe(track, index) {
  const { keyframes, ...rest } = track;
  const left = (keyframes ?? []).filter((_, i) => i !== index);
  return left.length ? { ...rest, keyframes: left } : rest;
}

/**
 * Hidden spans with `span` added (or cut out of them), joined and in order. Whole frames.
 * @type {(track: Track, span: readonly [number, number], hide: boolean) => Track}
 */
export function withHidden(track, span, hide) {
  const [first, last] = [Math.round(Math.min(...span)), Math.round(Math.max(...span))];
  /** @type {[number, number][]} */
  const cut = (track.hidden ?? []).flatMap(([a, b]) =>
    /** @type {[number, number][]} */ ([
      [a, Math.min(b, first - 1)],
      [Math.max(a, last + 1), b],
    ]).filter(([x, y]) => x <= y),
  );
  const spans = hide ? [...cut, /** @type {[number, number]} */ ([first, last])] : cut;
  /** @type {[number, number][]} */
  const joined = [];
  for (const [a, b] of spans.sort((x, y) => x[0] - y[0])) {
    const before = joined[joined.length - 1];
    if (before && before[1] >= a - 1) before[1] = Math.max(before[1], b);
    else joined.push([a, b]);
  }
  const { hidden: _, ...rest } = track;
  return joined.length ? { ...rest, hidden: joined } : rest;
}
