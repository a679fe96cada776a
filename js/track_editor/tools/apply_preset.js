/** The presets' sizes, and what each one does to the model. */

import { findTrack } from "./edits.js";
import * as presets from "./presets.js";

/**
 * @typedef {import("../model.js").EditorModel} EditorModel
 * @typedef {import("./presets.js").Shape} Shape
 */

/** @type {(model: EditorModel, name: string) => void} */
export function applyPreset(model, name) {
  const document = model.history.present;
  const { canvas } = document;
  const [size, middle] = [Math.min(canvas.width, canvas.height), { x: canvas.width / 2, y: canvas.height / 2 }];
  const ids = model.selection.tracks;
  if (name === "circle") applyShape(model, presets.circle(canvas, middle, size / 6));
  if (name === "wave")
    applyShape(model, presets.wave(canvas, { x: canvas.width / 4, y: middle.y }, canvas.width / 2, size / 10));
  if (name === "shake") applyShape(model, presets.shake(canvas, middle, size / 40));
  if (name === "fall") applyShape(model, presets.fall(canvas, middle));
  if (name === "mirror_x") model.commit(presets.mirror(document, ids, "x"));
  if (name === "mirror_y") model.commit(presets.mirror(document, ids, "y"));
  if (name === "reverse") model.commit(presets.reverse(document, ids));
  if (name === "border") model.commit(presets.borderAnchors(document, size / 8));
  if (name === "background") model.commit(presets.backgroundAnchors(document, size / 8, size / 8));
  if (name === "follow") {
    const leader = findTrack(document, [...ids][ids.size - 1] ?? "");
    if (leader) model.commit(presets.follow(document, ids, leader));
  }
}

/** A preset's motion: given to what is selected, each from its own place; else a new track. @type {(model: EditorModel, shape: Shape) => void} */
function applyShape(model, shape) {
  if (!model.selection.tracks.size) return model.add([shape]);
  model.commit(presets.follow(model.history.present, model.selection.tracks, { id: "", ...shape }));
}
