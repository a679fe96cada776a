/** Tracks as lines and areas: curves in their colours, which way they go, objects as painted. */

import { curveLength, pointAtArc } from "../curve/spline.js";
import { curveOf } from "../document/sampling.js";
import { placesAt, sizeOf } from "../tools/region.js";
import { OUTLINE } from "./colours.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {(track: Track) => string} Colours
 */

/** From this many tracks on, speed counts. */
export const MANY_TRACKS = 60;

/** @type {WeakMap<Float64Array, Path2D>} */
const paths = new WeakMap();

/** Made once for the pieces of a curve. @type {(p: Float64Array, straight: boolean) => Path2D} */
function makePath(p, straight) {
  const path = new Path2D();
  path.moveTo(p[0], p[1]);
  for (let at = 0; at < p.length; at += 8) {
    if (straight) path.lineTo(p[at + 6], p[at + 7]);
    else path.bezierCurveTo(p[at + 2], p[at + 3], p[at + 4], p[at + 5], p[at + 6], p[at + 7]);
  }
  paths.set(p, path);
  return path;
}

/** The curve stroked, in px of the image. @type {(context: Context, track: Track) => void} */
function strokeCurve(context, track) {
  const { pieces, dx, dy } = curveOf(track);
  const path = paths.get(pieces) ?? makePath(pieces, track.interpolation === "linear");
  if (!dx && !dy) return context.stroke(path);
  // A moved curve is the same path elsewhere.
  context.translate(dx, dy);
  context.stroke(path);
  context.translate(-dx, -dy);
}

/** Px of the surface, at the screen's density. @type {(context: Context, density: number) => void} */
export const inView = (context, density) => context.setTransform(density, 0, 0, density, 0, 0);

/** Px of the image. @type {(context: Context, view: Viewport, density: number) => void} */
export const inImage = (context, { scale, x, y }, density) =>
  context.setTransform(scale * density, 0, 0, scale * density, x * density, y * density);

/** Tracks by their colours: a change of colour costs, and many tracks have few. @type {(tracks: readonly Track[], colours: Colours) => Map<string, Track[]>} */
export function byColour(tracks, colours) {
  /** @type {Map<string, Track[]>} */
  const found = new Map();
  for (const track of tracks) {
    const colour = colours(track);
    const alike = found.get(colour);
    if (alike) alike.push(track);
    else found.set(colour, [track]);
  }
  return found;
}

/** Curves in their colours, in px of the image; `width` in px of the surface. @type {(context: Context, tracks: readonly Track[], view: Viewport, width: number, opacity: number, colours: Colours) => void} */
export function strokeTracks(context, tracks, view, width, opacity, colours) {
  context.lineJoin = "round";
  context.globalAlpha = opacity;
  context.lineWidth = width / view.scale;
  const moving = tracks.filter(({ points }) => points.length > 1);
  for (const [colour, alike] of byColour(moving, colours)) {
    context.strokeStyle = colour;
    for (const track of alike) strokeCurve(context, track);
  }
  context.globalAlpha = 1;
}

/** What makes the curves of a few selected tracks stand out. @type {(context: Context, tracks: readonly Track[], view: Viewport) => void} */
export function strokeOutlines(context, tracks, view) {
  context.strokeStyle = OUTLINE;
  context.lineWidth = 5 / view.scale;
  for (const track of tracks) if (track.points.length > 1) strokeCurve(context, track);
}

const ARROW_PX = 9;
const LONG_PX = 110;

/** Which way curves go: a head at the end, and one on the middle of what is long. In px of the surface. @type {(context: Context, tracks: readonly Track[], view: Viewport, opacity: number, colours: Colours) => void} */
export function drawArrows(context, tracks, view, opacity, colours) {
  context.globalAlpha = opacity;
  for (const track of tracks) {
    if (track.points.length < 2) continue;
    const curve = curveOf(track);
    const length = curveLength(curve);
    if (length * view.scale < 1.5 * ARROW_PX) continue;
    context.fillStyle = colours(track);
    context.strokeStyle = OUTLINE;
    context.lineWidth = 1;
    if (length * view.scale > LONG_PX) arrowAt(context, curve, length / 2, view);
    arrowAt(context, curve, length, view);
  }
  context.globalAlpha = 1;
}

/** @type {(context: Context, curve: import("../curve/spline.js").Curve, arc: number, view: Viewport) => void} */
function arrowAt(context, curve, arc, view) {
  const back = ARROW_PX / view.scale;
  const [tip, tail] = [pointAtArc(curve, arc), pointAtArc(curve, arc - back)];
  const [dx, dy] = [(tip.x - tail.x) / back, (tip.y - tail.y) / back];
  const [x, y] = [tip.x * view.scale + view.x, tip.y * view.scale + view.y];
  const [bx, by] = [x - dx * ARROW_PX, y - dy * ARROW_PX];
  context.beginPath();
  context.moveTo(x + dx, y + dy);
  context.lineTo(bx - dy * ARROW_PX * 0.48, by + dx * ARROW_PX * 0.48);
  context.lineTo(bx + dy * ARROW_PX * 0.48, by - dx * ARROW_PX * 0.48);
  context.closePath();
  context.fill();
  context.stroke();
}

/** Objects as painted, where they are at first; in px of the surface. @type {(context: Context, tracks: readonly Track[], frame: number, view: Viewport, opacity: number, colours: Colours) => void} */
export function drawRegions(context, tracks, frame, view, opacity, colours) {
  for (const track of tracks)
    if (track.region) fillRegion(context, track, placesAt(track, frame), view, opacity, colours);
}

/** @type {(context: Context, track: Track, places: readonly {x: number, y: number}[], view: Viewport, opacity: number, colours: Colours, scale?: number) => void} */
export function fillRegion(context, track, places, view, opacity, colours, scale = 1) {
  const radius = 0.75 * sizeOf(track).spacing * view.scale * scale;
  const path = new Path2D();
  for (const { x, y } of places) {
    const [px, py] = [x * view.scale + view.x, y * view.scale + view.y];
    path.moveTo(px + radius, py);
    path.arc(px, py, radius, 0, 7);
  }
  [context.globalAlpha, context.fillStyle] = [opacity, colours(track)];
  context.fill(path);
  context.globalAlpha = 1;
}
