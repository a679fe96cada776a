/**
 * Where tracks are, frame by frame, and what the camera sees of them: the same rules as motionstream_core's
 * tracks/drawn/timing.py and document.py, in docs/tracks-format.md.
 */

import { poseAt, project } from "../camera/projection.js";
import { FRAME_TOLERANCE, shareAt } from "../curve/easing.js";
import { arcAt, curveLength, makeCurve, pointAtArc } from "../curve/spline.js";
import { movesOf } from "./format.js";

/**
 * @typedef {import("./format.js").Document} Document
 * @typedef {import("./format.js").Track} Track
 * @typedef {import("./format.js").Move} Move
 * @typedef {import("../curve/spline.js").Curve} Curve
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 */

/** @type {WeakMap<readonly (readonly number[])[], Map<string, Curve>>} */
const curves = new WeakMap();

/**
 * The track's curve; made once per list of points, since tracks are never changed in place.
 * @type {(track: Track) => Curve}
 */
export function curveOf(track) {
  const known = curves.get(track.points)?.get(track.interpolation);
  if (known) return known;
  const curve = makeCurve(track.points, track.interpolation);
  const ofPoints = curves.get(track.points) ?? new Map();
  curves.set(track.points, ofPoints.set(track.interpolation, curve));
  return curve;
}

/** Tells that `track`'s curve is known already. @type {(track: Track, curve: Curve) => void} */
export const rememberCurve = (track, curve) => void curves.set(track.points, new Map([[track.interpolation, curve]]));

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

/** Offsets of a grid's copies, row by row; one zero offset without a grid. @type {(track: Pick<Track, "grid">) => {x: number, y: number}[]} */
export function gridOffsets({ grid }) {
  if (!grid) return [{ x: 0, y: 0 }];
  const { columns, rows, dx, dy } = grid;
  return Array.from({ length: columns * rows }, (_, i) => ({
    x: ((i % columns) - (columns - 1) / 2) * dx,
    y: (Math.floor(i / columns) - (rows - 1) / 2) * dy,
  }));
}

/**
 * Offsets of all of a track's points from its own at `frame`, in px: a grid's copies, or a region's points, turned and
 * scaled as far as it has come by then.
 * @type {(track: Track, frame: number) => readonly {x: number, y: number}[]}
 */
export function offsetsAt(track, frame) {
  const { region } = track;
  if (!region) return gridOffsets(track);
  return regionOffsets(region, shareOf(track, frame));
}

/** @type {(region: import("./format.js").Region, share: number) => {x: number, y: number}[]} */
export function regionOffsets({ points, turn = 0, scale = 1 }, share) {
  const [angle, factor] = [(turn * share * Math.PI) / 180, scale ** share];
  const [cos, sin] = [Math.cos(angle) * factor, Math.sin(angle) * factor];
  return points.map(([dx, dy]) => ({ x: dx * cos - dy * sin, y: dx * sin + dy * cos }));
}

/** The share of its way that a track has covered at `frame`; of its time, where the way has no length. @type {(track: Track, frame: number) => number} */
export function shareOf(track, frame) {
  if (!track.keyframes) return shareAt(track, frame);
  const length = curveLength(curveOf(track));
  return length > 0 ? travelled(track, frame) / length : 0;
}

/**
 * Every point of the document, grids and regions spread out, as the camera sees it, at `numFrames` times over the whole clip.
 * @type {(document: Document, numFrames?: number) => {x: number, y: number, v: 0 | 1}[][]}
 */
export function sampleDocument(document, numFrames = document.canvas.num_frames) {
  const { canvas, tracks } = document;
  const step = (canvas.num_frames - 1) / Math.max(1, numFrames - 1);
  const frames = Array.from({ length: numFrames }, (_, i) => i * step);
  const moves = movesOf(document);
  const poses = moves.length ? frames.map((frame) => poseAt(moves, frame)) : null;
  return tracks.flatMap((track) => {
    const path = frames.map((frame) => ({
      ...positionAt(track, frame),
      v: /** @type {0 | 1} */ (Number(visibleAt(track, frame))),
    }));
    const offsets = track.region ? frames.map((frame) => offsetsAt(track, frame)) : [gridOffsets(track)];
    return offsets[0].map((_, k) =>
      path.map(({ x, y, v }, i) => {
        const offset = offsets[track.region ? i : 0][k];
        const point = { x: x + offset.x, y: y + offset.y };
        if (!poses) return { ...point, v };
        const seen = project(poses[i], canvas, point);
        return { x: seen.x, y: seen.y, v: seen.front ? v : 0 };
      }),
    );
  });
}

const MAX_TRAIL = 200;
/** @type {WeakMap<readonly Move[], WeakMap<Track, Track>>} */
const trails = new WeakMap();

/**
 * The way that the camera sees a track's middle go, as a track of straight lines; made once for a track and the moves.
 * @type {(document: Document, track: Track) => Track}
 */
export function trailOf(document, track) {
  const moves = movesOf(document);
  const known = trails.get(moves)?.get(track);
  if (known) return known;
  const trail = { ...track, interpolation: /** @type {const} */ ("linear"), points: trailPoints(document, track) };
  const ofMoves = trails.get(moves) ?? new WeakMap();
  trails.set(moves, ofMoves.set(track, trail));
  return trail;
}

/** @type {(document: Document, track: Track) => [number, number][]} */
function trailPoints(document, track) {
  const { canvas } = document;
  const count = Math.min(canvas.num_frames, MAX_TRAIL);
  /** @type {[number, number][]} */
  const points = [];
  for (let i = 0; i < count; i++) {
    const frame = (i * (canvas.num_frames - 1)) / Math.max(1, count - 1);
    const { x, y, front } = project(poseAt(movesOf(document), frame), canvas, positionAt(track, frame));
    if (front && visibleAt(track, frame)) points.push([x, y]);
  }
  return points.length ? points : [[0, 0]];
}
