/** Documents that are sent off to be played: of a drawn path, of the camera's moves. */

import { scaledInTime } from "../track_editor/camera/moves.js";
import { emptyDocument, movesOf, serialise } from "../track_editor/document/format.js";
import { backgroundAnchors } from "../track_editor/document/presets.js";

/**
 * @typedef {import("../track_editor/document/format.js").Document} Document
 * @typedef {import("../track_editor/document/format.js").Canvas} Canvas
 * @typedef {import("../track_editor/document/format.js").Track} Track
 * @typedef {import("../track_editor/document/format.js").Move} Move
 */

/** Background points are this share of the frame's shorter side apart. */
const BACKGROUND = 1 / 8;

/** The canvas of what takes `seconds` to play. @type {(hello: {width: number, height: number, fps: number}, seconds: number) => Canvas} */
export const canvasFor = ({ width, height, fps }, seconds) => ({
  width,
  height,
  num_frames: Math.max(2, Math.round(seconds * fps) + 1),
  fps,
});

/** What is there on a canvas of another length: moves go along with it, paths and anchors have times of their own. @type {(document: Document, canvas: Canvas) => Document} */
export function lengthened(document, canvas) {
  const ratio = (canvas.num_frames - 1) / Math.max(1, document.canvas.num_frames - 1);
  const camera = scaledInTime(movesOf(document), ratio);
  return { canvas, tracks: document.tracks, ...(camera.length && { camera }) };
}

/** The path alone, from now on over the whole canvas. @type {(track: Track, canvas: Canvas) => object} */
export const pathDocument = (track, canvas) =>
  plain({ canvas, tracks: [{ ...track, start: 0, duration: canvas.num_frames - 1 }] });

/** The moves over points of the whole frame: what lies still is what the camera is seen to pass. @type {(moves: readonly Move[], canvas: Canvas) => object} */
export function cameraDocument(moves, canvas) {
  const spacing = Math.min(canvas.width, canvas.height) * BACKGROUND;
  return plain({ ...backgroundAnchors(emptyDocument(canvas), spacing, 0), camera: moves });
}

/** @type {(document: Document) => object} */
const plain = (document) => JSON.parse(serialise(document));
