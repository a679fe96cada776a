/** What lies under the pointer. Points come before curves, and what is selected before what is not. */

import { bounds, toSegment, toView } from "../curve/geometry.js";
import { polyline } from "../curve/spline.js";
import { curveOf, positionAt } from "../document/sampling.js";
import { knobOf, placesAt, sizeOf } from "./region.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../curve/geometry.js").ViewPoint} ViewPoint
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("../curve/geometry.js").ImageBox} ImageBox
 * @typedef {{document: import("../document/format.js").Document, selection: import("../document/selection.js").Selection, frame: number, view: Viewport}} Scene
 */

/**
 * @typedef {{part: "point", id: string, index: number}
 *   | {part: "handle", id: string, index: number, side: "in" | "out"}
 *   | {part: "now" | "knob", id: string}
 *   | {part: "curve", id: string, u: number}} Hit
 */

const REACH_PX = 9;

/** @type {WeakMap<import("../curve/spline.js").Curve, {line: {u: number, x: number, y: number}[], box: ImageBox | null}>} */
const lines = new WeakMap();

/** The track's curve as a line, with the box around it; made once. @type {(track: Track) => {line: {u: number, x: number, y: number}[], box: ImageBox | null}} */
function lineOf(track) {
  const curve = curveOf(track);
  const known = lines.get(curve);
  if (known) return known;
  const line = polyline(curve);
  const made = { line, box: bounds(line) };
  lines.set(curve, made);
  return made;
}

/**
 * `reach` is in px of the surface; fingers take a larger one than a mouse.
 * @type {(scene: Scene, at: ViewPoint, reach?: number) => Hit | null}
 */
export function hitTest(scene, at, reach = REACH_PX) {
  const near = scene.document.tracks.filter((track) => mayReach(track, scene.view, at, reach));
  const chosen = near.filter(({ id }) => scene.selection.tracks.has(id));
  const others = near.filter(({ id }) => !scene.selection.tracks.has(id));
  return (
    nearest(scene.selection.tracks.size === 1 ? chosen : [], (track) => knobHits(track, scene, at), reach) ??
    nearest(chosen, (track) => handleHits(track, scene, at), reach) ??
    nearest(chosen, (track) => pointHits(track, scene, at), reach) ??
    nearest(others, (track) => pointHits(track, scene, at), reach) ??
    nearest(near, (track) => nowHits(track, scene, at), reach) ??
    nearest(chosen, (track) => curveHits(track, scene, at), reach) ??
    nearest(others, (track) => curveHits(track, scene, at), reach) ??
    nearest(near, (track) => regionHits(track, scene, at), reach)
  );
}

/** @type {(track: Track, view: Viewport, at: ViewPoint, reach: number) => boolean} */
function mayReach(track, view, at, reach) {
  const { box } = lineOf(track);
  // Control points may lie off the curve, and handles do: only a curve through its points stands for them.
  if (!box || track.region || track.interpolation === "freehand" || track.interpolation === "bezier") return true;
  const [low, high] = [toView(view, { x: box.left, y: box.top }), toView(view, { x: box.right, y: box.bottom })];
  return low.x - reach <= at.x && at.x <= high.x + reach && low.y - reach <= at.y && at.y <= high.y + reach;
}

/** @type {(tracks: Track[], find: (track: Track) => {hit: Hit, distance: number}[], reach: number) => Hit | null} */
function nearest(tracks, find, reach) {
  /** @type {{hit: Hit, distance: number} | null} */
  let best = null;
  for (const track of tracks) {
    for (const found of find(track)) {
      // The one drawn later lies on top, so it wins a draw.
      if (found.distance <= Math.min(reach, best?.distance ?? Infinity)) best = found;
    }
  }
  return best?.hit ?? null;
}

/** @type {(track: Track, scene: Scene, at: ViewPoint) => {hit: Hit, distance: number}[]} */
const pointHits = (track, { view }, at) =>
  track.points.map(([x, y], index) => ({
    hit: { part: /** @type {const} */ ("point"), id: track.id, index },
    distance: viewDistance(view, x, y, at),
  }));

/** @type {(track: Track, scene: Scene, at: ViewPoint) => {hit: Hit, distance: number}[]} */
const handleHits = (track, { view }, at) =>
  track.interpolation !== "bezier"
    ? []
    : track.points.flatMap(([x, y, inX = 0, inY = 0, outX = 0, outY = 0], index) =>
        /** @type {["in" | "out", number, number][]} */ ([
          ["in", inX, inY],
          ["out", outX, outY],
        ])
          .filter(([, dx, dy]) => dx || dy)
          .map(([side, dx, dy]) => ({
            hit: { part: /** @type {const} */ ("handle"), id: track.id, index, side },
            distance: viewDistance(view, x + dx, y + dy, at),
          })),
      );

/** @type {(track: Track, scene: Scene, at: ViewPoint) => {hit: Hit, distance: number}[]} */
function nowHits(track, { view, frame }, at) {
  const now = positionAt(track, frame);
  return [{ hit: { part: "now", id: track.id }, distance: viewDistance(view, now.x, now.y, at) }];
}

/** @type {(track: Track, scene: Scene, at: ViewPoint) => {hit: Hit, distance: number}[]} */
function knobHits(track, { view }, at) {
  if (!track.region) return [];
  const { knob } = knobOf(track, view);
  return [{ hit: { part: "knob", id: track.id }, distance: Math.hypot(knob.x - at.x, knob.y - at.y) }];
}

/** @type {(track: Track, scene: Scene, at: ViewPoint) => {hit: Hit, distance: number}[]} */
function regionHits(track, { view, frame }, at) {
  if (!track.region) return [];
  const reach = 0.75 * sizeOf(track).spacing * view.scale;
  return placesAt(track, frame).map(({ x, y }) => ({
    hit: { part: /** @type {const} */ ("now"), id: track.id },
    distance: Math.max(0, viewDistance(view, x, y, at) - reach),
  }));
}

/** @type {(track: Track, scene: Scene, at: ViewPoint) => {hit: Hit, distance: number}[]} */
function curveHits(track, { view }, at) {
  const { line } = lineOf(track);
  const found = [];
  for (let i = 0; i + 1 < line.length; i++) {
    const [a, b] = [line[i], line[i + 1]];
    const { distance, t } = toSegment(at, toView(view, a), toView(view, b));
    found.push({ hit: /** @type {Hit} */ ({ part: "curve", id: track.id, u: a.u + t * (b.u - a.u) }), distance });
  }
  return found;
}

/** @type {(view: Viewport, x: number, y: number, at: ViewPoint) => number} */
const viewDistance = (view, x, y, at) => Math.hypot(x * view.scale + view.x - at.x, y * view.scale + view.y - at.y);
