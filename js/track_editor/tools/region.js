/** An object that was brushed: where it is taken hold of, and the knob that turns and scales it. */

import { clamp, distance, toView } from "../curve/geometry.js";
import { changeTracks, findTrack } from "../document/edits.js";
import { offsetsAt, positionAt, regionOffsets } from "../document/sampling.js";
import { spacingOf } from "./mask.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("../curve/geometry.js").ViewPoint} ViewPoint
 * @typedef {import("../curve/geometry.js").Vector} Vector
 */

/** How far the knob stands off the object, in px of the surface. */
const KNOB_PX = 20;
const MAX_TURN = 3600;
const MAX_SCALE = 100;

/** @type {WeakMap<object, {spacing: number, radius: number}>} */
const sizes = new WeakMap();

/** Between neighbouring points, and from the middle to the farthest, in px of the image; made once. @type {(track: Track) => {spacing: number, radius: number}} */
export function sizeOf({ region }) {
  if (!region) return { spacing: 8, radius: 8 };
  const known = sizes.get(region.points);
  if (known) return known;
  const points = region.points.map(([x, y]) => ({ x, y }));
  const spacing = spacingOf(points);
  const made = { spacing, radius: Math.max(...points.map(({ x, y }) => Math.hypot(x, y))) + spacing / 2 };
  sizes.set(region.points, made);
  return made;
}

/** Where its points are at `frame`, in px of the image. @type {(track: Track, frame: number) => Vector[]} */
export function placesAt(track, frame) {
  const now = positionAt(track, frame);
  return offsetsAt(track, frame).map(({ x, y }) => ({ x: now.x + x, y: now.y + y }));
}

/** Where its points come to at the end of its way. @type {(track: Track) => Vector[]} */
export function placesAtEnd(track) {
  const [x, y] = track.points[track.points.length - 1];
  return track.region ? regionOffsets(track.region, 1).map((each) => ({ x: x + each.x, y: y + each.y })) : [];
}

/** Whether `at`, in px of the image, lies on the object at `frame`. @type {(track: Track, frame: number, at: Vector) => boolean} */
export function covers(track, frame, at) {
  const reach = 0.75 * sizeOf(track).spacing;
  return placesAt(track, frame).some((each) => distance(each, at) <= reach);
}

/** Where the knob is on the surface: above the object at the end of its way, as far as it turns and grows. @type {(track: Track, view: Viewport) => {knob: ViewPoint, middle: ViewPoint}} */
export function knobOf(track, view) {
  const { turn = 0, scale = 1 } = track.region ?? {};
  const [x, y] = track.points[track.points.length - 1];
  const middle = toView(view, { x, y });
  const angle = ((turn - 90) * Math.PI) / 180;
  const far = sizeOf(track).radius * scale * view.scale + KNOB_PX;
  return { middle, knob: { x: middle.x + far * Math.cos(angle), y: middle.y + far * Math.sin(angle) } };
}

/** The object turned and scaled so that its knob comes to `at` of the surface; more than once around is counted on. @type {(document: Document, id: string, at: ViewPoint, view: Viewport, turns: boolean, before: number) => Document} */
export function withKnob(document, id, at, view, turns, before) {
  const found = findTrack(document, id);
  if (!found?.region) return document;
  const { middle } = knobOf(found, view);
  const [dx, dy] = [at.x - middle.x, at.y - middle.y];
  const angle = (Math.atan2(dy, dx) * 180) / Math.PI + 90;
  const near = angle + 360 * Math.round((before - angle) / 360);
  const turn = turns ? Math.round(near / 15) * 15 : Math.abs(near) < 3 ? 0 : near;
  const full = (Math.hypot(dx, dy) - KNOB_PX) / Math.max(1e-6, sizeOf(found).radius * view.scale);
  const scale = Math.abs(full - 1) < 0.06 ? 1 : clamp(full, 0.05, MAX_SCALE);
  return changeTracks(document, new Set([id]), (track) => ({
    ...track,
    ...(track.region && { region: { ...track.region, turn: clamp(turn, -MAX_TURN, MAX_TURN), scale } }),
  }));
}
