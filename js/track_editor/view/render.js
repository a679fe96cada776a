/**
 * The picture on the surface. Two layers: below, the image and every track that is not selected, painted anew only when
 * one of them or the view changes; above, what moves: points at the frame shown, the selection, the tool at work. Each
 * has its curves put in by whoever paints it: a few are stroked, many come as a bitmap (curve_bitmap.js).
 */

import { offsetsAt, positionAt, visibleAt } from "../document/sampling.js";
import { drawControls, drawKnob } from "./chosen.js";
import { OUTLINE } from "./colours.js";
import { byColour, inImage, inView, MANY_TRACKS } from "./curves.js";
import { drawCrosshair, drawOverlay, drawPlane } from "./overlays.js";
import { cutOf } from "./picture.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {CanvasRenderingContext2D} Context
 */

const FRAME_COLOUR = "#8a8f98";
const BACKGROUND = "#16181d";
const CLIP_COLOUR = "#262a31";

/**
 * The lower layer without its curves. image: drawn over the clip's frame as the sampler will fit it, where its form differs.
 * @type {(context: Context, size: Size, density: number, scene: {document: Document, view: Viewport, image: import("./picture.js").Picture | null, fit: import("./picture.js").Fit}) => void}
 */
export function drawBase(context, size, density, { document, view, image, fit }) {
  inView(context, density);
  context.fillStyle = BACKGROUND;
  context.fillRect(0, 0, size.width, size.height);
  inImage(context, view, density);
  const { width, height } = document.canvas;
  context.fillStyle = CLIP_COLOUR;
  context.fillRect(0, 0, width, height);
  if (image) {
    const cut = cutOf(image, document.canvas, fit);
    context.imageSmoothingEnabled = view.scale * density < 3;
    context.drawImage(image.source, cut.left, cut.top, cut.width, cut.height, 0, 0, width, height);
  }
  context.lineWidth = 1 / view.scale;
  context.strokeStyle = FRAME_COLOUR;
  context.strokeRect(0, 0, width, height);
}

/**
 * @typedef {object} TopScene
 * @property {Document} document
 * @property {import("../document/selection.js").Selection} selection
 * @property {number} frame
 * @property {Viewport} view
 * @property {import("./curves.js").Colours} colours
 * @property {boolean} controls  whether control points are there to be taken hold of
 * @property {((point: import("../curve/geometry.js").Vector) => {x: number, y: number, front: boolean}) | null} lens  where the camera sees a point; null as drawn
 * @property {import("../tools/tool.js").Overlay | null} overlay
 * @property {readonly import("../tools/tool.js").Overlay[]} marks
 * @property {import("../curve/geometry.js").ImagePoint | null} cursor
 */

/** The upper layer, over the curves of the selected. @type {(context: Context, size: Size, density: number, scene: TopScene) => void} */
export function drawTop(context, size, density, scene) {
  inView(context, density);
  if (scene.lens) drawPlane(context, scene.lens, scene);
  const selected = scene.document.tracks.filter(({ id }) => scene.selection.tracks.has(id));
  const few = selected.length <= MANY_TRACKS;
  drawNow(context, size, scene);
  if (few && scene.controls) for (const track of selected) drawControls(context, track, scene);
  drawNames(context, scene);
  if (selected.length === 1 && selected[0].region) drawKnob(context, selected[0], scene);
  for (const mark of scene.marks) drawOverlay(context, mark, scene);
  if (scene.overlay) drawOverlay(context, scene.overlay, scene);
  if (scene.cursor) drawCrosshair(context, scene.cursor, scene.view);
}

/** Names that tracks were given, beside where they are at the frame shown. @type {(context: Context, scene: TopScene) => void} */
function drawNames(context, { document, frame, view, lens, colours }) {
  [context.font, context.lineWidth, context.lineJoin] = ["600 11px system-ui, sans-serif", 3, "round"];
  for (const track of document.tracks) {
    if (!track.name) continue;
    const now = positionAt(track, frame);
    const at = lens ? lens(now) : { ...now, front: true };
    if (!at.front) continue;
    const [x, y] = [at.x * view.scale + view.x + 9, at.y * view.scale + view.y - 8];
    [context.strokeStyle, context.fillStyle] = ["rgba(0, 0, 0, 0.75)", colours(track)];
    context.strokeText(track.name, x, y);
    context.fillText(track.name, x, y);
  }
  context.lineJoin = "miter";
}

/** Where every point is at the frame shown; hollow where it cannot be seen. @type {(context: Context, size: Size, scene: TopScene) => void} */
function drawNow(context, size, { document, frame, view, selection, lens, colours }) {
  for (const [colour, alike] of byColour(document.tracks, colours)) {
    const [seen, unseen, chosen] = [new Path2D(), new Path2D(), new Path2D()];
    for (const track of alike) {
      const path = !visibleAt(track, frame) ? unseen : selection.tracks.has(track.id) ? chosen : seen;
      const now = positionAt(track, frame);
      for (const offset of offsetsAt(track, frame)) {
        const drawn = { x: now.x + offset.x, y: now.y + offset.y, front: true };
        const at = lens ? lens(drawn) : drawn;
        if (!at.front) continue;
        const [x, y] = [at.x * view.scale + view.x, at.y * view.scale + view.y];
        if (x < -9 || y < -9 || x > size.width + 9 || y > size.height + 9) continue;
        const radius = track.region ? 1.8 : track.grid ? 2.5 : 4.5;
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
