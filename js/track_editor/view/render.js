/**
 * The picture on the surface. Two layers: below, the image and every track that is not selected, painted anew only when
 * one of them or the view changes; above, what moves: points at the frame shown, the selection, the tool at work. Each
 * has its curves put in by whoever paints it: a few are stroked, many come as a bitmap (curve_bitmap.js).
 */

import { project } from "../camera/projection.js";
import { curveOf, gridOffsets, positionAt, visibleAt } from "../document/sampling.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {CanvasRenderingContext2D} Context
 */

/** The paper's colours: green dragged live, blue drawn path, red static anchor. */
export const COLOURS = { drag: "#35d06a", path: "#4aa3ff", anchor: "#ff5d5d" };
/** What belongs to the camera. */
export const CAMERA_COLOUR = "#b98cff";
const OUTLINE = "rgba(0, 0, 0, 0.55)";
const FRAME_COLOUR = "#8a8f98";
/** From this many tracks on, speed counts. */
export const MANY_TRACKS = 60;
const BACKGROUND = "#16181d";
const CLIP_COLOUR = "#262a31";

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

/**
 * The lower layer without its curves. image: drawn over the clip's frame, its middle cut out where its form differs (as `fit: crop`).
 * @type {(context: Context, size: Size, density: number, scene: {document: Document, view: Viewport, image: Picture | null}) => void}
 */
export function drawBase(context, size, density, { document, view, image }) {
  inView(context, density);
  context.fillStyle = BACKGROUND;
  context.fillRect(0, 0, size.width, size.height);
  inImage(context, view, density);
  const { width, height } = document.canvas;
  context.fillStyle = CLIP_COLOUR;
  context.fillRect(0, 0, width, height);
  if (image) {
    const scale = Math.max(width / image.width, height / image.height);
    const [cutWidth, cutHeight] = [width / scale, height / scale];
    const [left, top] = [(image.width - cutWidth) / 2, (image.height - cutHeight) / 2];
    context.imageSmoothingEnabled = view.scale * density < 3;
    context.drawImage(image.source, left, top, cutWidth, cutHeight, 0, 0, width, height);
  }
  context.lineWidth = 1 / view.scale;
  context.strokeStyle = FRAME_COLOUR;
  context.strokeRect(0, 0, width, height);
}

/** @typedef {{source: CanvasImageSource, width: number, height: number}} Picture */

/** Curves in their colours, in px of the image; `width` in px of the surface. @type {(context: Context, tracks: readonly Track[], view: Viewport, width: number, opacity: number) => void} */
export function strokeTracks(context, tracks, view, width, opacity) {
  context.lineJoin = "round";
  context.globalAlpha = opacity;
  for (const [kind, colour] of Object.entries(COLOURS)) {
    context.strokeStyle = colour;
    context.lineWidth = width / view.scale;
    for (const track of tracks) if (track.kind === kind && track.points.length > 1) strokeCurve(context, track);
  }
  context.globalAlpha = 1;
}

/**
 * @typedef {object} TopScene
 * @property {Document} document
 * @property {import("../document/selection.js").Selection} selection
 * @property {number} frame
 * @property {Viewport} view
 * @property {((point: import("../curve/geometry.js").Vector) => {x: number, y: number, front: boolean}) | null} lens  where the camera sees a point; null as drawn
 * @property {import("../tools/tool.js").Overlay | null} overlay
 * @property {readonly import("../tools/tool.js").Overlay[]} marks
 * @property {import("../curve/geometry.js").ImagePoint | null} cursor
 */

/** What makes the curves of a few selected tracks stand out. @type {(context: Context, tracks: readonly Track[], view: Viewport) => void} */
export function strokeOutlines(context, tracks, view) {
  context.strokeStyle = OUTLINE;
  context.lineWidth = 5 / view.scale;
  for (const track of tracks) if (track.points.length > 1) strokeCurve(context, track);
}

/** The upper layer, over the curves of the selected. @type {(context: Context, size: Size, density: number, scene: TopScene) => void} */
export function drawTop(context, size, density, scene) {
  inView(context, density);
  if (scene.lens) drawPlane(context, scene.lens, scene);
  drawNow(context, size, scene);
  const selected = scene.document.tracks.filter(({ id }) => scene.selection.tracks.has(id));
  if (selected.length <= MANY_TRACKS) for (const track of selected) drawControls(context, track, scene);
  for (const mark of scene.marks) drawOverlay(context, mark, scene);
  if (scene.overlay) drawOverlay(context, scene.overlay, scene);
  if (scene.cursor) drawCrosshair(context, scene.cursor, scene.view);
}

/** Where every point is at the frame shown; hollow where it cannot be seen. @type {(context: Context, size: Size, scene: TopScene) => void} */
function drawNow(context, size, { document, frame, view, selection, lens }) {
  for (const [kind, colour] of Object.entries(COLOURS)) {
    const [seen, unseen, chosen] = [new Path2D(), new Path2D(), new Path2D()];
    for (const track of document.tracks) {
      if (track.kind !== kind) continue;
      const path = !visibleAt(track, frame) ? unseen : selection.tracks.has(track.id) ? chosen : seen;
      const now = positionAt(track, frame);
      for (const offset of gridOffsets(track)) {
        const drawn = { x: now.x + offset.x, y: now.y + offset.y, front: true };
        const at = lens ? lens(drawn) : drawn;
        if (!at.front) continue;
        const [x, y] = [at.x * view.scale + view.x, at.y * view.scale + view.y];
        if (x < -9 || y < -9 || x > size.width + 9 || y > size.height + 9) continue;
        const radius = track.grid ? 2.5 : 4.5;
        path.moveTo(x + radius, y);
        path.arc(x, y, radius, 0, 7);
      }
    }
    [context.fillStyle, context.strokeStyle, context.lineWidth] = [colour, OUTLINE, 1.2];
    context.fill(seen);
    context.stroke(seen);
    context.fill(chosen);
    context.strokeStyle = "#ffffff";
    context.stroke(chosen);
    context.strokeStyle = colour;
    context.stroke(unseen);
  }
}

/** The clip's frame as the camera sees it now: the plane on which everything is drawn. @type {(context: Context, lens: NonNullable<TopScene["lens"]>, scene: Pick<TopScene, "document" | "view">) => void} */
function drawPlane(context, lens, { document, view }) {
  const { width, height } = document.canvas;
  const corners = [
    [0, 0],
    [width, 0],
    [width, height],
    [0, height],
  ].map(([x, y]) => lens({ x, y }));
  if (!corners.every(({ front }) => front)) return;
  context.strokeStyle = CAMERA_COLOUR;
  context.lineWidth = 1.5;
  context.setLineDash([6, 4]);
  context.beginPath();
  for (const { x, y } of corners) context.lineTo(x * view.scale + view.x, y * view.scale + view.y);
  context.closePath();
  context.stroke();
  context.setLineDash([]);
}

/** Control points as squares (chosen ones white), the first one larger; Bezier handles. @type {(context: Context, track: Track, scene: TopScene) => void} */
function drawControls(context, track, { view, selection }) {
  const chosen = selection.points.get(track.id);
  const place = (/** @type {number} */ x, /** @type {number} */ y) => [
    x * view.scale + view.x,
    y * view.scale + view.y,
  ];
  const colour = COLOURS[track.kind];
  context.lineWidth = 1;
  if (track.interpolation === "bezier") drawHandles(context, track, view);
  track.points.forEach(([px, py], index) => {
    const [x, y] = place(px, py);
    const half = index === 0 ? 4.5 : track.points.length > 40 ? 2 : 3.5;
    context.fillStyle = chosen?.has(index) ? "#ffffff" : colour;
    context.strokeStyle = chosen?.has(index) ? colour : "#101216";
    context.fillRect(x - half, y - half, 2 * half, 2 * half);
    context.strokeRect(x - half, y - half, 2 * half, 2 * half);
  });
}

/** @type {(context: Context, track: Track, view: Viewport) => void} */
function drawHandles(context, track, view) {
  const [lines, ends] = [new Path2D(), new Path2D()];
  for (const [x, y, inX = 0, inY = 0, outX = 0, outY = 0] of track.points) {
    const [px, py] = [x * view.scale + view.x, y * view.scale + view.y];
    for (const [dx, dy] of [
      [inX, inY],
      [outX, outY],
    ]) {
      if (!dx && !dy) continue;
      const [hx, hy] = [px + dx * view.scale, py + dy * view.scale];
      lines.moveTo(px, py);
      lines.lineTo(hx, hy);
      ends.moveTo(hx + 3.5, hy);
      ends.arc(hx, hy, 3.5, 0, 7);
    }
  }
  context.strokeStyle = "#e8eaee";
  context.stroke(lines);
  context.fillStyle = "#e8eaee";
  context.fill(ends);
}

/** @type {(context: Context, overlay: import("../tools/tool.js").Overlay, scene: Pick<TopScene, "document" | "view">) => void} */
function drawOverlay(context, overlay, scene) {
  const { view } = scene;
  const place = (/** @type {{x: number, y: number}} */ { x, y }) =>
    /** @type {[number, number]} */ ([x * view.scale + view.x, y * view.scale + view.y]);
  context.strokeStyle = "#ffffff";
  context.lineWidth = 1.5;
  if (overlay.kind === "line") {
    context.beginPath();
    for (const point of overlay.points) context.lineTo(...place(point)); // the first one moves there
    context.stroke();
  } else if (overlay.kind === "box") {
    const [[x0, y0], [x1, y1]] = [place(overlay.from), place(overlay.to)];
    context.setLineDash([4, 3]);
    context.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    context.setLineDash([]);
  } else if (overlay.kind === "plane") {
    drawPlane(context, (point) => project(overlay.pose, scene.document.canvas, point), scene);
  } else if (overlay.kind === "hand") {
    drawHand(context, overlay, view);
  } else {
    context.fillStyle = overlay.anchor ? COLOURS.anchor : COLOURS.path;
    for (const { x, y } of gridOffsets(overlay)) {
      const [vx, vy] = place({ x: overlay.at.x + x, y: overlay.at.y + y });
      context.fillRect(vx - 2, vy - 2, 4, 4);
    }
  }
}

/** A grid in hand; faint while it is only where a hand would take hold. @type {(context: Context, hand: Extract<import("../tools/tool.js").Overlay, {kind: "hand"}>, view: Viewport) => void} */
function drawHand(context, hand, view) {
  const [dots, radius] = [new Path2D(), hand.held ? 3 : 2.5];
  for (const offset of gridOffsets(hand)) {
    const [x, y] = [(hand.at.x + offset.x) * view.scale + view.x, (hand.at.y + offset.y) * view.scale + view.y];
    dots.moveTo(x + radius, y);
    dots.arc(x, y, radius, 0, 7);
  }
  context.globalAlpha = hand.held ? 1 : 0.6;
  [context.fillStyle, context.strokeStyle, context.lineWidth] = [COLOURS.drag, OUTLINE, 1.2];
  context.fill(dots);
  context.stroke(dots);
  context.globalAlpha = 1;
}

/** @type {(context: Context, at: {x: number, y: number}, view: Viewport) => void} */
function drawCrosshair(context, at, view) {
  const [x, y] = [at.x * view.scale + view.x, at.y * view.scale + view.y];
  for (const [colour, width] of /** @type {[string, number][]} */ ([
    ["#000000", 3],
    ["#ffffff", 1],
  ])) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x - 12, y);
    context.lineTo(x + 12, y);
    context.moveTo(x, y - 12);
    context.lineTo(x, y + 12);
    context.stroke();
  }
}
