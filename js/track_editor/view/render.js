/**
 * The picture on the surface. Two layers: below, the image and every track that is not selected, painted anew only when
 * one of them or the view changes; above, what moves: points at the frame shown, the selection, the tool at work. Each
 * has its curves put in by whoever paints it: a few are stroked, many come as a bitmap (curve_bitmap.js).
 */

import { project } from "../camera/projection.js";
import { curveLength, pointAtArc } from "../curve/spline.js";
import { curveOf, gridOffsets, offsetsAt, positionAt, visibleAt } from "../document/sampling.js";
import { knobOf, placesAt, placesAtEnd, sizeOf } from "../tools/region.js";
import { CAMERA_COLOUR, COLOURS } from "./colours.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {(track: Track) => string} Colours
 */

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
 * The lower layer without its curves. image: drawn over the clip's frame as the sampler will fit it, where its form differs.
 * @type {(context: Context, size: Size, density: number, scene: {document: Document, view: Viewport, image: Picture | null, fit: Fit}) => void}
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
 * @typedef {{source: CanvasImageSource, width: number, height: number}} Picture
 * @typedef {"crop" | "stretch"} Fit
 */

/** What of a picture comes into the clip's frame, in px of the picture: its middle, or all of it. @type {(picture: Size, canvas: Size, fit: Fit) => {left: number, top: number, width: number, height: number}} */
export function cutOf(picture, canvas, fit) {
  if (fit === "stretch") return { left: 0, top: 0, width: picture.width, height: picture.height };
  const scale = Math.max(canvas.width / picture.width, canvas.height / picture.height);
  const [width, height] = [canvas.width / scale, canvas.height / scale];
  return { left: (picture.width - width) / 2, top: (picture.height - height) / 2, width, height };
}

/** Tracks by their colours: a change of colour costs, and many tracks have few. @type {(tracks: readonly Track[], colours: Colours) => Map<string, Track[]>} */
function byColour(tracks, colours) {
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

/**
 * @typedef {object} TopScene
 * @property {Document} document
 * @property {import("../document/selection.js").Selection} selection
 * @property {number} frame
 * @property {Viewport} view
 * @property {Colours} colours
 * @property {boolean} controls  whether control points are there to be taken hold of
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
  const selected = scene.document.tracks.filter(({ id }) => scene.selection.tracks.has(id));
  const few = selected.length <= MANY_TRACKS;
  if (few && !scene.lens) for (const track of selected) drawSpacing(context, track, scene);
  drawNow(context, size, scene);
  if (few && scene.controls) for (const track of selected) drawControls(context, track, scene);
  if (selected.length === 1 && selected[0].region) drawKnob(context, selected[0], scene);
  for (const mark of scene.marks) drawOverlay(context, mark, scene);
  if (scene.overlay) drawOverlay(context, scene.overlay, scene);
  if (scene.cursor) drawCrosshair(context, scene.cursor, scene.view);
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
function fillRegion(context, track, places, view, opacity, colours, scale = 1) {
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

/** @type {WeakMap<Track, Float64Array>} */
const spacings = new WeakMap();
const MAX_DOTS = 600;
const MIN_GAP_PX = 3;

/** Where its point is in every frame of its travel: dots that lie close where it is slow. x and y by turns, px of the image; made once. @type {(track: Track, numFrames: number) => Float64Array} */
function spacingOf(track, numFrames) {
  const known = spacings.get(track);
  if (known) return known;
  const [first, last] = [
    Math.max(0, Math.ceil(track.start)),
    Math.min(numFrames - 1, Math.floor(track.start + track.duration)),
  ];
  const count = Math.max(0, last - first + 1);
  const step = Math.max(1, Math.ceil(count / MAX_DOTS));
  const dots = new Float64Array(2 * Math.ceil(count / step));
  for (let i = 0; 2 * i < dots.length; i++) {
    const { x, y } = positionAt(track, first + i * step);
    [dots[2 * i], dots[2 * i + 1]] = [x, y];
  }
  spacings.set(track, dots);
  return dots;
}

/** Speed, to be seen: as many dots as frames, thinned where they would lie on one another. @type {(context: Context, track: Track, scene: TopScene) => void} */
function drawSpacing(context, track, { document, view }) {
  if (track.points.length < 2) return;
  const dots = spacingOf(track, document.canvas.num_frames);
  const mean = (curveLength(curveOf(track)) * view.scale) / Math.max(1, dots.length / 2 - 1);
  const step = [1, 2, 5, 10, 20, 50].find((each) => each * mean >= MIN_GAP_PX) ?? 100;
  const path = new Path2D();
  for (let i = 0; i < dots.length; i += 2 * step) {
    const [x, y] = [dots[i] * view.scale + view.x, dots[i + 1] * view.scale + view.y];
    path.moveTo(x + 1.7, y);
    path.arc(x, y, 1.7, 0, 7);
  }
  [context.fillStyle, context.strokeStyle, context.lineWidth] = ["#ffffff", "rgba(0, 0, 0, 0.7)", 1.4];
  context.stroke(path);
  context.fill(path);
}

/** What a chosen object comes to, and the knob by which it is turned and scaled. @type {(context: Context, track: Track, scene: TopScene) => void} */
function drawKnob(context, track, { view, colours }) {
  const { turn = 0, scale = 1 } = track.region ?? {};
  const moves = track.points.length > 1 || turn || scale !== 1;
  if (moves) fillRegion(context, track, placesAtEnd(track), view, 0.22, colours, scale);
  const { middle, knob } = knobOf(track, view);
  [context.strokeStyle, context.lineWidth] = ["#ffffff", 1];
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(middle.x, middle.y);
  context.lineTo(knob.x, knob.y);
  context.stroke();
  context.setLineDash([]);
  [context.fillStyle, context.strokeStyle, context.lineWidth] = ["#ffffff", "#101216", 1.5];
  context.beginPath();
  context.arc(knob.x, knob.y, 5.5, 0, 7);
  context.fill();
  context.stroke();
  context.beginPath();
  context.arc(knob.x, knob.y, 2.6, 0.6, 5.2);
  context.stroke();
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
function drawControls(context, track, { view, selection, colours }) {
  const chosen = selection.points.get(track.id);
  const place = (/** @type {number} */ x, /** @type {number} */ y) => [
    x * view.scale + view.x,
    y * view.scale + view.y,
  ];
  const colour = colours(track);
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
  } else if (overlay.kind === "paint") {
    drawPaint(context, overlay, view);
  } else {
    context.fillStyle = overlay.anchor ? COLOURS.anchor : COLOURS.path;
    for (const { x, y } of gridOffsets(overlay)) {
      const [vx, vy] = place({ x: overlay.at.x + x, y: overlay.at.y + y });
      context.fillRect(vx - 2, vy - 2, 4, 4);
    }
  }
}

/** A stroke of the object brush, and the ring that it is painted with. @type {(context: Context, paint: Extract<import("../tools/tool.js").Overlay, {kind: "paint"}>, view: Viewport) => void} */
function drawPaint(context, { points, radius, wipe }, view) {
  const places = points.map(({ x, y }) => [x * view.scale + view.x, y * view.scale + view.y]);
  const [x, y] = places[places.length - 1];
  if (places.length > 1) {
    context.beginPath();
    for (const [px, py] of places) context.lineTo(px, py);
    [context.lineWidth, context.lineCap, context.lineJoin] = [2 * radius, "round", "round"];
    context.strokeStyle = wipe ? "rgba(20, 22, 28, 0.55)" : "rgba(255, 255, 255, 0.45)";
    context.stroke();
    context.lineCap = "butt";
  }
  for (const [colour, width] of /** @type {[string, number][]} */ ([
    ["rgba(0, 0, 0, 0.6)", 3],
    [wipe ? "#ff9b9b" : "#ffffff", 1.3],
  ])) {
    [context.strokeStyle, context.lineWidth] = [colour, width];
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.stroke();
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
