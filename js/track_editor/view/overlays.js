/** What a tool shows while it is at work, and the camera's plane. */

import { project } from "../camera/projection.js";
import { gridOffsets } from "../document/sampling.js";
import { CAMERA_COLOUR, COLOURS, OUTLINE } from "./colours.js";

/**
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("./render.js").TopScene} TopScene
 * @typedef {CanvasRenderingContext2D} Context
 */

/** The clip's frame as the camera sees it now: the plane on which everything is drawn. @type {(context: Context, lens: NonNullable<TopScene["lens"]>, scene: Pick<TopScene, "document" | "view">) => void} */
export function drawPlane(context, lens, { document, view }) {
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

/** @type {(context: Context, overlay: import("../tools/tool.js").Overlay, scene: Pick<TopScene, "document" | "view">) => void} */
export function drawOverlay(context, overlay, scene) {
  const { view } = scene;
  const place = (/** @type {{x: number, y: number}} */ { x, y }) =>
    /** @type {[number, number]} */ ([x * view.scale + view.x, y * view.scale + view.y]);
  context.strokeStyle = "#ffffff";
  context.lineWidth = 1.5;
  if (overlay.kind === "line") {
    drawLine(context, overlay.points.map(place));
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

/** What is being drawn, seen on light and on dark. @type {(context: Context, places: readonly [number, number][]) => void} */
function drawLine(context, places) {
  context.beginPath();
  for (const place of places) context.lineTo(...place); // the first one moves there
  [context.lineCap, context.lineJoin] = ["round", "round"];
  for (const [colour, width] of /** @type {[string, number][]} */ ([
    [OUTLINE, 5],
    ["#ffffff", 2.5],
  ])) {
    [context.strokeStyle, context.lineWidth] = [colour, width];
    context.stroke();
  }
  [context.lineCap, context.lineJoin] = ["butt", "miter"];
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
export function drawCrosshair(context, at, view) {
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
