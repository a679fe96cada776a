/**
 * Many curves at once, at the price of one picture: painted into a bitmap, which moves and zooms with them, and painted
 * anew when they change otherwise.
 */

import { curveOf } from "../document/sampling.js";
import { strokeTracks } from "./curves.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../curve/spline.js").Curve} Curve
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {import("../curve/geometry.js").ImageBox} Box
 * @typedef {{readonly colour: string, readonly curve: Curve}} Shape
 */

/**
 * Where and how the curves are painted. width: of the lines in px of the surface.
 * @typedef {{size: Size, density: number, view: Viewport, width: number, opacity: number,
 *   colours: import("./curves.js").Colours}} Place
 */

/** How far beyond the surface the bitmap reaches, in sizes of the surface. */
const MARGIN = 0.5;
const MAX_BITMAP_PX = 2 ** 23;
const MAX_ZOOM = 2;
/** A picture moved by whole px of the screen is up to half a px off. */
const EXACT_PX = 1e-3;

/** @type {(tracks: readonly Track[], colours: import("./curves.js").Colours) => Shape[]} */
export const shapesOf = (tracks, colours) =>
  tracks.filter(({ points }) => points.length > 1).map((track) => ({ colour: colours(track), curve: curveOf(track) }));

/**
 * The step in px of the image by which every shape went alike; null where one of them changed otherwise.
 * @type {(before: readonly Shape[], after: readonly Shape[]) => {dx: number, dy: number} | null}
 */
export function commonStep(before, after) {
  if (before.length !== after.length) return null;
  if (!before.length) return { dx: 0, dy: 0 };
  const [dx, dy] = [after[0].curve.dx - before[0].curve.dx, after[0].curve.dy - before[0].curve.dy];
  const same = before.every(({ colour, curve }, i) => {
    const now = after[i].curve;
    const far = Math.abs(now.dx - curve.dx - dx) + Math.abs(now.dy - curve.dy - dy);
    return now.pieces === curve.pieces && colour === after[i].colour && far < 1e-9;
  });
  return same ? { dx, dy } : null;
}

/**
 * How a picture painted under `before` is put under `after`, when what it shows went by `step`: scaled, then shifted by
 * (x, y) px of the surface.
 * @type {(before: Viewport, after: Viewport, step: {dx: number, dy: number}) => Viewport}
 */
export function carried(before, after, step) {
  const scale = after.scale / before.scale;
  return {
    scale,
    x: after.x + step.dx * after.scale - before.x * scale,
    y: after.y + step.dy * after.scale - before.y * scale,
  };
}

/** The box around the curves' Bezier points, in px of the surface. @type {(shapes: readonly Shape[], view: Viewport) => Box} */
export function hullOf(shapes, view) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { curve } of shapes) {
    for (let at = 0; at < curve.pieces.length; at += 2) {
      const [x, y] = [curve.pieces[at] + curve.dx, curve.pieces[at + 1] + curve.dy];
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  const { scale } = view;
  return {
    left: left * scale + view.x,
    top: top * scale + view.y,
    right: right * scale + view.x,
    bottom: bottom * scale + view.y,
  };
}

/** What of `hull` is worth painting: on the surface, or a little beyond it. @type {(hull: Box, size: Size, density: number) => Box} */
export function worthPainting(hull, { width, height }, density) {
  const room = Math.sqrt(MAX_BITMAP_PX / Math.max(1, width * height * density * density));
  const margin = Math.max(0, Math.min(MARGIN, (room - 1) / 2));
  // Whole px of the screen, so that the picture lies on them.
  const [low, high] = [
    (/** @type {number} */ x) => Math.floor(x * density) / density,
    (/** @type {number} */ x) => Math.ceil(x * density) / density,
  ];
  return {
    left: low(Math.max(hull.left - 2, -margin * width)),
    top: low(Math.max(hull.top - 2, -margin * height)),
    right: high(Math.min(hull.right + 2, (1 + margin) * width)),
    bottom: high(Math.min(hull.bottom + 2, (1 + margin) * height)),
  };
}

/**
 * Whether a picture of `box`, cut out of `hull` and carried by `by`, shows all that there is to see on the surface.
 * @type {(box: Box, hull: Box, by: Viewport, size: Size) => boolean}
 */
export function shows(box, hull, by, { width, height }) {
  return (
    (box.left <= hull.left || box.left * by.scale + by.x <= 0) &&
    (box.top <= hull.top || box.top * by.scale + by.y <= 0) &&
    (box.right >= hull.right || box.right * by.scale + by.x >= width) &&
    (box.bottom >= hull.bottom || box.bottom * by.scale + by.y >= height)
  );
}

export class CurveBitmap {
  /** @type {{shapes: readonly Shape[], place: Place, hull: Box, box: Box} | null} */
  painted = null;
  /** @type {HTMLCanvasElement | null} */
  bitmap = null;

  /** The next picture is painted anew. */
  forget() {
    this.painted = null;
    this.bitmap = null;
  }

  /** Paints the curves; returns whether they lie exactly. @type {(context: CanvasRenderingContext2D, tracks: readonly Track[], place: Place) => boolean} */
  draw(context, tracks, place) {
    const { density } = place;
    const shapes = shapesOf(tracks, place.colours);
    if (!shapes.length) {
      this.forget();
      return true;
    }
    let by = this.reusable(shapes, place);
    if (!by) {
      this.repaint(tracks, shapes, place);
      by = { scale: 1, x: 0, y: 0 };
    }
    if (!this.painted || !this.bitmap) return true;
    const { box } = this.painted;
    let [x, y] = [(by.x + box.left * by.scale) * density, (by.y + box.top * by.scale) * density];
    // At whole px the lines stay as sharp as they are.
    if (by.scale === 1) [x, y] = [Math.round(x), Math.round(y)];
    context.setTransform(by.scale, 0, 0, by.scale, x, y);
    context.imageSmoothingEnabled = by.scale !== 1;
    context.drawImage(this.bitmap, 0, 0);
    return by.scale === 1 && Math.hypot(by.x, by.y) < EXACT_PX;
  }

  /** How the bitmap is to be carried to serve once more; null where it cannot. @type {(shapes: readonly Shape[], place: Place) => Viewport | null} */
  reusable(shapes, place) {
    if (!this.painted) return null;
    const { shapes: before, place: then, hull, box } = this.painted;
    const { size, density, width, opacity, view } = place;
    const step = commonStep(before, shapes);
    if (!step || then.size !== size || then.density !== density || then.width !== width || then.opacity !== opacity)
      return null;
    const by = carried(then.view, view, step);
    const near = by.scale <= MAX_ZOOM && by.scale >= 1 / MAX_ZOOM;
    return near && shows(box, hull, by, size) ? by : null;
  }
  /** @type {(tracks: readonly Track[], shapes: readonly Shape[], place: Place) => void} */
  repaint(tracks, shapes, place) {
    const { size, density, view, width, opacity, colours } = place;
    const hull = hullOf(shapes, view);
    const box = worthPainting(hull, size, density);
    this.painted = null;
    if (box.right <= box.left || box.bottom <= box.top) return;
    this.bitmap ??= document.createElement("canvas");
    this.bitmap.width = Math.round((box.right - box.left) * density);
    this.bitmap.height = Math.round((box.bottom - box.top) * density);
    const context = this.bitmap.getContext("2d");
    if (!context) return;
    const scale = view.scale * density;
    context.setTransform(scale, 0, 0, scale, (view.x - box.left) * density, (view.y - box.top) * density);
    strokeTracks(context, tracks, view, width, opacity, colours);
    this.painted = { shapes, place, hull, box };
  }
}
