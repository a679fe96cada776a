/** What a document comes to: where every point is seen, frame by frame, as motionstream_core's tracks/drawn/document.py has it. */

import { poseAt, seenAt } from "../camera/pose.js";
import { gridOffsets, positionAt, visibleAt } from "../curve/timing.js";
import { movesOf } from "../document/document.js";

/**
 * @typedef {import("../document/document.js").Document} Document
 * @typedef {import("../document/document.js").Track} Track
 */

/**
 * Every point of the document, grids spread out, as the camera sees it, at `numFrames` times over the whole clip.
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
    return gridOffsets(track).map((offset) =>
      path.map(({ x, y, v }, i) => {
        const point = { x: x + offset.x, y: y + offset.y };
        if (!poses) return { ...point, v };
        const seen = seenAt(poses[i], canvas, point);
        return { x: seen.x, y: seen.y, v: seen.front ? v : 0 };
      }),
    );
  });
}

const MAX_TRAIL = 200;
/** @type {WeakMap<readonly import("../document/document.js").Move[], WeakMap<Track, Track>>} */
const trails = new WeakMap();

/**
 * The way that the camera sees a track's middle go, as a track of straight lines; made once for a track and the moves.
 * @type {(document: Document, track: Track) => Track}
 */
export function trailOf(document, track) {
  const moves = movesOf(document);
  let made = trails.get(moves);
  if (!made) trails.set(moves, (made = new WeakMap()));
  let trail = made.get(track);
  if (!trail) made.set(track, (trail = { ...track, interpolation: "linear", points: trailPoints(document, track) }));
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
    const { x, y, front } = seenAt(poseAt(movesOf(document), frame), canvas, positionAt(track, frame));
    if (front && visibleAt(track, frame)) points.push([x, y]);
  }
  return points.length ? points : [[0, 0]];
}
