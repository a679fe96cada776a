/**
 * Points, boxes and the way between the two spaces. A ViewPoint is in CSS px of the drawing surface, an ImagePoint in
 * px of the clip; the types differ so that the checker finds where one is taken for the other.
 */

/**
 * @typedef {{readonly x: number, readonly y: number}} Vector
 * @typedef {Vector & {readonly __space?: "view"}} ViewPoint
 * @typedef {Vector & {readonly __space?: "image"}} ImagePoint
 * @typedef {{readonly left: number, readonly top: number, readonly right: number, readonly bottom: number}} ImageBox
 * @typedef {{readonly width: number, readonly height: number}} Size
 */

/**
 * Where the clip lies on the surface: view = image * scale + offset.
 * @typedef {{readonly scale: number, readonly x: number, readonly y: number}} Viewport
 */

const MIN_SCALE = 0.02;
const MAX_SCALE = 64;

/** @type {(x: number, y: number) => ViewPoint} */
export const viewPoint = (x, y) => ({ x, y });

/** @type {(x: number, y: number) => ImagePoint} */
export const imagePoint = (x, y) => ({ x, y });

/** @type {(view: Viewport, point: ViewPoint) => ImagePoint} */
export const toImage = (view, point) => imagePoint((point.x - view.x) / view.scale, (point.y - view.y) / view.scale);

/** @type {(view: Viewport, point: ImagePoint) => ViewPoint} */
export const toView = (view, point) => viewPoint(point.x * view.scale + view.x, point.y * view.scale + view.y);

/** @type {(a: Vector, b: Vector) => number} */
export const distance = (a, b) => Math.hypot(b.x - a.x, b.y - a.y);

/** To a thousandth, as numbers are written; never minus zero. @type {(value: number) => number} */
export const rounded = (value) => Math.round(value * 1000) / 1000 + 0;

/** @type {(value: number, low: number, high: number) => number} */
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * The viewport that shows the whole clip in the middle of a surface, `margin` px from its edges.
 * @type {(surface: Size, clip: Size, margin?: number) => Viewport}
 */
export function fitted(surface, clip, margin = 12) {
  const scale = clamp(
    Math.min((surface.width - 2 * margin) / clip.width, (surface.height - 2 * margin) / clip.height),
    MIN_SCALE,
    MAX_SCALE,
  );
  return { scale, x: (surface.width - clip.width * scale) / 2, y: (surface.height - clip.height * scale) / 2 };
}

/**
 * Zoom by `factor` with the image point under `at` staying there.
 * @type {(view: Viewport, at: ViewPoint, factor: number) => Viewport}
 */
export function zoomed(view, at, factor) {
  const scale = clamp(view.scale * factor, MIN_SCALE, MAX_SCALE);
  const ratio = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
}

/** @type {(view: Viewport, dx: number, dy: number) => Viewport} */
export const panned = (view, dx, dy) => ({ ...view, x: view.x + dx, y: view.y + dy });

/** @type {(a: ImagePoint, b: ImagePoint) => ImageBox} */
export const boxOf = (a, b) => ({
  left: Math.min(a.x, b.x),
  top: Math.min(a.y, b.y),
  right: Math.max(a.x, b.x),
  bottom: Math.max(a.y, b.y),
});

/** @type {(box: ImageBox, point: Vector) => boolean} */
export const inBox = (box, point) =>
  box.left <= point.x && point.x <= box.right && box.top <= point.y && point.y <= box.bottom;

/**
 * The smallest box around points; null without a point.
 * @type {(points: Iterable<Vector>) => ImageBox | null}
 */
export function bounds(points) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of points) {
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x);
    bottom = Math.max(bottom, y);
  }
  return left > right ? null : { left, top, right, bottom };
}

/**
 * Distance from `point` to the segment a-b, and how far along it the nearest place is (0..1).
 * @type {(point: Vector, a: Vector, b: Vector) => {distance: number, t: number}}
 */
export function toSegment(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const squared = dx * dx + dy * dy;
  const t = squared > 0 ? clamp(((point.x - a.x) * dx + (point.y - a.y) * dy) / squared, 0, 1) : 0;
  return { distance: Math.hypot(a.x + t * dx - point.x, a.y + t * dy - point.y), t };
}
