/** What the keyboard's commands, the buttons of that name and the menus of presets do to the model. */

import { MAX_MOVES } from "../camera/moves.js";
import * as edits from "../document/edits.js";
import { addMoves } from "../document/edits.js";
import { movesOf } from "../document/format.js";
import * as histories from "../document/history.js";
import * as presets from "../document/presets.js";
import * as selections from "../document/selection.js";
import { keyframeAt, withHidden } from "../document/time_edits.js";

/**
 * @typedef {import("./model.js").EditorModel} EditorModel
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {import("./keyboard.js").Command} Command
 */

const PASTE_OFFSET_PX = 10;

/** What was copied last, in any editor of the page. @type {readonly Track[]} */
let clipboard = [];

/** @type {Record<string, (model: EditorModel, command: Command, view?: Viewport) => void>} */
const COMMANDS = {
  undo: (model) => model.stepHistory(histories.undo),
  redo: (model) => model.stepHistory(histories.redo),
  tool: (model, { tool }) => model.setTool(tool ?? "select"),
  select_all: (model) => model.select(selections.selectAll(model.history.present)),
  next_track: (model, { step = 1 }) =>
    model.select(selections.neighbourTrack(model.history.present, model.selection, step)),
  next_point: (model, { step = 1 }) =>
    model.select(selections.neighbourPoint(model.history.present, model.selection, step)),
  copy: (model) => copyTracks(model),
  cut: (model) => {
    copyTracks(model);
    deleteTracks(model);
  },
  duplicate: (model) => pasteTracks(model, model.selectedTracks),
  paste: (model) => pasteTracks(model, clipboard),
  delete: (model) => deleteChosen(model),
  back: (model, _, view) => (isDrawingByPoints(model) ? model.send({ type: "back" }, view) : deleteChosen(model)),
  nudge: (model, { dx = 0, dy = 0 }, view) => nudge(model, dx, dy, view),
  press: (model, _, view) => press(model, view),
  escape: (model, _, view) => stepOut(model, view),
  first_frame: (model) => model.setFrame(0),
  last_frame: (model) => model.setFrame(model.lastFrame),
  step_frame: (model, { step = 1 }) => model.setFrame(Math.round(model.frame) + step),
  insert_point: (model) => insertPoints(model),
  keyframe: (model) =>
    model.changeSelected((track) =>
      track.kind === "anchor" || track.points.length < 2 ? track : keyframeAt(track, model.frame),
    ),
  hide_frame: (model) => toggleHidden(model),
  camera_view: (model) => model.setCameraView(!model.cameraView),
  group: (model) => model.commit(edits.regroup(model.history.present, model.selection.tracks, true)),
  ungroup: (model) => model.commit(edits.regroup(model.history.present, model.selection.tracks, false)),
};

/** Whether `command` was one of the model's. @type {(model: EditorModel, command: Command, view?: Viewport) => boolean} */
export function runCommand(model, command, view) {
  if (!Object.hasOwn(COMMANDS, command.name)) return false;
  if (model.problem === null) COMMANDS[command.name](model, command, view);
  return true;
}

/** @type {(model: EditorModel) => boolean} */
const isDrawingByPoints = (model) => model.tool.name === "pen" && Boolean(model.toolState.id);

/** @type {(model: EditorModel) => void} */
function copyTracks(model) {
  clipboard = edits.tracksWith(model.history.present, model.selection.tracks);
}

/** Copies of tracks, a little aside, selected. @type {(model: EditorModel, tracks: readonly Track[]) => void} */
function pasteTracks(model, tracks) {
  if (!tracks.length) return;
  const { document, ids } = edits.pasteTracks(model.history.present, tracks, PASTE_OFFSET_PX, PASTE_OFFSET_PX);
  model.commit(document, { tracks: ids, points: new Map() });
}

/** A whole document, added: its tracks, and its camera's moves, as many as may be. @type {(model: EditorModel, pasted: import("../document/format.js").Document) => void} */
export function pasteDocument(model, pasted) {
  const before = model.history.present;
  const moves = movesOf(pasted).slice(0, MAX_MOVES - movesOf(before).length);
  const { document, ids } = edits.pasteTracks(
    moves.length ? addMoves(before, moves) : before,
    pasted.tracks,
    PASTE_OFFSET_PX,
    PASTE_OFFSET_PX,
  );
  model.commit(document, { tracks: ids, points: new Map() });
}

/** @type {(model: EditorModel) => void} */
function deleteTracks(model) {
  model.commit(edits.removeTracks(model.history.present, model.selection.tracks), selections.NOTHING);
}

/** The chosen points, or else the chosen tracks, or else the camera's move. @type {(model: EditorModel) => void} */
function deleteChosen(model) {
  const { points, tracks } = model.selection;
  if (!tracks.size && model.move !== null) return model.removeMove();
  if (!points.size) return deleteTracks(model);
  model.commit(edits.deletePoints(model.history.present, points), { tracks, points: new Map() });
}

/** A point in the middle of the segment after each chosen point, or of every segment of the chosen tracks. @type {(model: EditorModel) => void} */
function insertPoints(model) {
  let document = model.history.present;
  for (const track of edits.tracksWith(document, model.selection.tracks)) {
    const after = [...(model.selection.points.get(track.id) ?? track.points.keys())].sort((a, b) => b - a);
    for (const index of after)
      if (index + 1 < track.points.length) document = edits.insertPoint(document, track.id, index + 0.5);
  }
  model.commit(document, { tracks: model.selection.tracks, points: new Map() });
}

/** @type {(model: EditorModel) => void} */
function toggleHidden(model) {
  const frame = Math.round(model.frame);
  const isHidden = (/** @type {Track} */ { hidden = [] }) => hidden.some(([a, b]) => a <= frame && frame <= b);
  const hide = !model.selectedTracks.every(isHidden);
  model.changeSelected((track) => withHidden(track, [frame, frame], hide));
}

/** Arrow keys move the selection; with nothing selected, or while drawing, the crosshair. @type {(model: EditorModel, dx: number, dy: number, view?: Viewport) => void} */
function nudge(model, dx, dy, view) {
  const document = model.history.present;
  if (model.tool.name === "select" && model.selection.tracks.size) {
    return model.commit(edits.movePoints(document, selections.movablePoints(document, model.selection), dx, dy));
  }
  const { width, height } = document.canvas;
  const from = model.cursor ?? { x: Math.round(width / 2), y: Math.round(height / 2) };
  model.cursor = { x: from.x + dx, y: from.y + dy };
  sendCursor(model, "move", view);
}

/** Enter: the pointer's button at the crosshair. A stroke begins with one and ends with the next. @type {(model: EditorModel, view?: Viewport) => void} */
function press(model, view) {
  if (!model.cursor) return model.tool.name === "pen" ? model.send({ type: "finish" }, view) : nudge(model, 0, 0, view);
  if (model.toolState?.stroke) return sendCursor(model, "up", view);
  sendCursor(model, "down", view);
  if (!model.toolState?.stroke) sendCursor(model, "up", view);
}

/** @type {(model: EditorModel, type: "down" | "move" | "up", view?: Viewport) => void} */
function sendCursor(model, type, view = { scale: 1, x: 0, y: 0 }) {
  if (!model.cursor) return;
  model.send({ type, at: { x: model.cursor.x * view.scale + view.x, y: model.cursor.y * view.scale + view.y } }, view);
}

/** One step back out: of a drag, of a line being drawn, of the crosshair, of the selection. @type {(model: EditorModel, view?: Viewport) => void} */
function stepOut(model, view) {
  if (model.busy) {
    model.send({ type: "cancel" }, view);
    model.draft = null;
    model.timelineState = null;
  } else if (isDrawingByPoints(model)) model.send({ type: "finish" }, view);
  else if (model.cursor) model.cursor = null;
  else if (!model.selection.tracks.size) model.move = null;
  else model.selection = selections.NOTHING;
  model.overlay = null;
  model.changed();
}

/** What the menus of presets do, in sizes that suit the canvas. @type {(model: EditorModel, name: string) => void} */
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
    const leader = edits.findTrack(document, [...ids][ids.size - 1] ?? "");
    if (leader) model.commit(presets.follow(document, ids, leader));
  }
}

/** A preset's motion for everything selected, each from its own place; with nothing selected, a new track. @type {(model: EditorModel, shape: import("../document/format.js").Shape) => void} */
function applyShape(model, shape) {
  if (!model.selection.tracks.size) return model.add([shape]);
  model.commit(presets.follow(model.history.present, model.selection.tracks, { id: "", ...shape }));
}
