/**
 * The editor without its page: the document with its history, what is selected, the tool at work, the frame shown, and
 * every command. Views read it and are told when something changed.
 */

import { emptyDocument, serialise } from "./document.js";
import { parseDocument } from "./document_parse.js";
import * as edits from "./edits.js";
import { clamp } from "./geometry.js";
import * as histories from "./history.js";
import * as presets from "./presets.js";
import * as selections from "./selection.js";
import { keyframeAt, stepTimeline } from "./timeline.js";
import { penTool } from "./tools/pen.js";
import { selectTool } from "./tools/select.js";
import { anchorTool, freehandTool, gridTool, recordTool } from "./tools/stroke.js";
import { newIds } from "./document.js";

/**
 * @typedef {import("./document.js").Document} Document
 * @typedef {import("./document.js").Canvas} Canvas
 * @typedef {import("./document.js").Track} Track
 * @typedef {import("./tools/tool.js").ToolEvent} ToolEvent
 * @typedef {import("./geometry.js").Viewport} Viewport
 */

/** @type {Record<string, import("./tools/tool.js").Tool<any>>} */
export const TOOLS = Object.fromEntries(
  [selectTool, penTool, freehandTool, recordTool, gridTool, anchorTool].map((tool) => [tool.name, tool]),
);

const PASTE_OFFSET_PX = 10;

/** What was copied last, in any editor of the page. @type {readonly Track[]} */
let clipboard = [];

export class EditorModel {
  /** @type {import("./history.js").History<Document>} */
  history;
  /** @type {Document | null} */
  draft = null;
  selection = selections.NOTHING;
  frame = 0;
  playing = false;
  tool = TOOLS.select;
  /** @type {any} */
  toolState = TOOLS.select.start;
  /** @type {import("./timeline.js").TimelineState} */
  timelineState = null;
  /** @type {import("./tools/tool.js").Overlay | null} */
  overlay = null;
  /** @type {import("./tools/tool.js").ToolOptions} */
  options = { interpolation: "catmull_rom", smoothing: 0.4, grid: null, still: false };
  gridSize = { spacing: 12, size: 48 };
  /** @type {import("./geometry.js").ImagePoint | null} the crosshair that arrow keys move */
  cursor = null;
  /** Why the text in the widget cannot be edited; it is left alone until the user starts anew. @type {string | null} */
  problem = null;
  /** Whether anything was ever drawn or read. */
  loaded = false;
  /** @type {Set<() => void>} */
  listeners = new Set();
  /** @type {(text: string) => void} */
  onCommit = () => {};

  /** @param {Canvas} canvas */
  constructor(canvas) {
    this.history = histories.startHistory(emptyDocument(canvas));
  }

  get document() {
    return this.draft ?? this.history.present;
  }

  get lastFrame() {
    return this.document.canvas.num_frames - 1;
  }

  /** Whether a pointer is at work. */
  get busy() {
    return this.draft !== null || this.timelineState !== null || Boolean(this.toolState?.stroke);
  }

  changed() {
    for (const listener of this.listeners) listener();
  }

  /** The widget's text, from outside: a load, an undo of the graph, a paste of the node. @type {(text: string, canvas: Canvas) => void} */
  load(text, canvas) {
    try {
      const document = parseDocument(text, canvas);
      this.problem = null;
      // The first text is where it all begins; a later one can be undone like an edit.
      const same = serialise(document) === serialise(this.history.present);
      if (!this.loaded) this.history = histories.startHistory(document);
      else if (!same) this.history = histories.record(this.history, document);
      this.loaded ||= Boolean(text.trim());
      this.afterJump();
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      this.draft = null;
    }
    this.changed();
  }

  /** @type {(document: Document, selection?: import("./selection.js").Selection) => void} */
  commit(document, selection = this.selection) {
    this.draft = null;
    if (document !== this.history.present) {
      this.history = histories.record(this.history, document);
      this.loaded = true;
      this.onCommit(serialise(document));
    }
    this.selection = selections.pruned(document, selection);
    this.changed();
  }

  /** @type {(step: typeof histories.undo) => void} */
  travel(step) {
    if (this.problem !== null) return;
    const before = this.history;
    this.history = step(before);
    this.afterJump();
    if (this.history !== before) this.onCommit(serialise(this.history.present));
    this.changed();
  }

  afterJump() {
    this.draft = null;
    this.timelineState = null;
    this.selection = selections.pruned(this.history.present, this.selection);
    this.frame = clamp(this.frame, 0, this.lastFrame);
  }

  /** @type {(name: string) => void} */
  setTool(name) {
    this.send({ type: "finish" });
    this.tool = TOOLS[name] ?? TOOLS.select;
    this.toolState = this.tool.start;
    this.overlay = null;
    if (name === "grid") this.options = { ...this.options, grid: this.gridSize };
    this.changed();
  }

  /** @type {(options: Partial<import("./tools/tool.js").ToolOptions>) => void} */
  setOptions(options) {
    this.options = { ...this.options, ...options };
    if (options.grid) this.gridSize = options.grid;
    this.changed();
  }

  /** @type {(frame: number) => void} */
  setFrame(frame) {
    this.frame = clamp(frame, 0, this.lastFrame);
    this.changed();
  }

  /** A pointer or key event for the tool. @type {(event: Partial<ToolEvent> & {type: ToolEvent["type"]}, view?: Viewport) => void} */
  send(event, view = { scale: 1, x: 0, y: 0 }) {
    if (this.problem !== null) return;
    const full = { at: { x: 0, y: 0 }, frame: this.frame, shift: false, alt: false, ctrl: false, reach: 9, ...event };
    const scene = { document: this.history.present, selection: this.selection, frame: this.frame, view, options: this.options };
    const outcome = this.tool.step(this.toolState, full, scene);
    this.toolState = outcome.state;
    if (outcome.overlay !== undefined) this.overlay = outcome.overlay;
    this.take(outcome);
  }

  /** @type {(event: import("./timeline.js").TimelineEvent, layout: import("./timeline.js").Layout) => void} */
  sendTimeline(event, layout) {
    if (this.problem !== null) return;
    const scene = { document: this.history.present, selection: this.selection, layout };
    const outcome = stepTimeline(this.timelineState, event, scene);
    this.timelineState = outcome.state;
    if (outcome.frame !== undefined) this.frame = clamp(outcome.frame, 0, this.lastFrame);
    this.take(outcome);
  }

  /** @type {(outcome: {document?: Document, selection?: import("./selection.js").Selection, commit?: boolean}) => void} */
  take(outcome) {
    if (outcome.commit) this.commit(outcome.document ?? this.document, outcome.selection);
    else {
      if (outcome.selection) this.selection = outcome.selection;
      if (outcome.document) this.draft = outcome.document === this.history.present ? null : outcome.document;
      this.changed();
    }
  }

  /** `change` applied to the selected tracks. @type {(change: (track: Track) => Track) => void} */
  changeSelected(change) {
    this.commit(edits.changeTracks(this.history.present, this.selection.tracks, change));
  }

  get selectedTracks() {
    return edits.tracksWith(this.document, this.selection.tracks);
  }

  /** Shapes as new tracks, selected. @type {(shapes: readonly Omit<Track, "id">[]) => void} */
  add(shapes) {
    const document = this.history.present;
    const ids = newIds(document, shapes.length);
    const made = edits.addTracks(document, shapes.map((shape, i) => ({ id: ids[i], ...shape })));
    this.commit(made, { tracks: new Set(ids), points: new Map() });
  }

  /** A preset's motion: given to what is selected, each from its own place; else a new track. @type {(shape: Omit<Track, "id">) => void} */
  applyShape(shape) {
    if (!this.selection.tracks.size) return this.add([shape]);
    this.commit(presets.follow(this.history.present, this.selection.tracks, { id: "", ...shape }));
  }

  /** @type {(name: string) => void} */
  preset(name) {
    const { canvas } = this.history.present;
    const [size, middle] = [Math.min(canvas.width, canvas.height), { x: canvas.width / 2, y: canvas.height / 2 }];
    const ids = this.selection.tracks;
    if (name === "circle") this.applyShape(presets.circle(canvas, middle, size / 6));
    if (name === "wave") this.applyShape(presets.wave(canvas, { x: canvas.width / 4, y: middle.y }, canvas.width / 2, size / 10));
    if (name === "shake") this.applyShape(presets.shake(canvas, middle, size / 40));
    if (name === "fall") this.applyShape(presets.fall(canvas, middle));
    if (name === "mirror_x") this.commit(presets.mirror(this.history.present, ids, "x"));
    if (name === "mirror_y") this.commit(presets.mirror(this.history.present, ids, "y"));
    if (name === "reverse") this.commit(presets.reverse(this.history.present, ids));
    if (name === "border") this.commit(presets.borderAnchors(this.history.present, size / 8));
    if (name === "background") this.commit(presets.backgroundAnchors(this.history.present, size / 8, size / 8));
    if (name === "follow") {
      const leader = edits.findTrack(this.history.present, [...ids][ids.size - 1] ?? "");
      if (leader) this.commit(presets.follow(this.history.present, ids, leader));
    }
  }

  /** A command of the keyboard or of a button. Returns whether it was one of the model's. @type {(command: import("./keyboard.js").Command, view?: Viewport) => boolean} */
  run(command, view) {
    const { name, dx = 0, dy = 0, step = 1 } = command;
    const document = this.history.present;
    /** @type {Record<string, () => void>} */
    const commands = {
      undo: () => this.travel(histories.undo),
      redo: () => this.travel(histories.redo),
      tool: () => this.setTool(command.tool ?? "select"),
      select_all: () => this.select(selections.selectAll(document)),
      next_track: () => this.select(selections.neighbourTrack(document, this.selection, step)),
      next_point: () => this.select(selections.neighbourPoint(document, this.selection, step)),
      copy: () => void (clipboard = edits.tracksWith(document, this.selection.tracks)),
      cut: () => (this.run({ name: "copy" }), this.deleteTracks()),
      duplicate: () => this.paste(this.selectedTracks),
      paste: () => this.paste(clipboard),
      delete: () => this.deleteChosen(),
      back: () => (this.tool === penTool && this.toolState.id ? this.send({ type: "back" }, view) : this.deleteChosen()),
      nudge: () => this.nudge(dx, dy, view),
      press: () => this.press(view),
      escape: () => this.escape(view),
      first_frame: () => this.setFrame(0),
      last_frame: () => this.setFrame(this.lastFrame),
      step_frame: () => this.setFrame(Math.round(this.frame) + step),
      insert_point: () => this.insertPoints(),
      keyframe: () => this.changeSelected((track) => (track.kind === "anchor" || track.points.length < 2 ? track : keyframeAt(track, this.frame))),
      hide_frame: () => this.toggleHidden(),
      group: () => this.commit(edits.regroup(document, this.selection.tracks, true)),
      ungroup: () => this.commit(edits.regroup(document, this.selection.tracks, false)),
    };
    if (!commands[name]) return false;
    if (this.problem === null) commands[name]();
    return true;
  }

  /** @type {(selection: import("./selection.js").Selection) => void} */
  select(selection) {
    this.selection = selection;
    this.changed();
  }

  /** @type {(tracks: readonly Track[]) => void} */
  paste(tracks) {
    if (!tracks.length) return;
    const { document, ids } = edits.pasteTracks(this.history.present, tracks, PASTE_OFFSET_PX, PASTE_OFFSET_PX);
    this.commit(document, { tracks: ids, points: new Map() });
  }

  deleteTracks() {
    this.commit(edits.removeTracks(this.history.present, this.selection.tracks), selections.NOTHING);
  }

  /** The chosen points, or else the chosen tracks. */
  deleteChosen() {
    const { points } = this.selection;
    if (!points.size) return this.deleteTracks();
    const document = edits.deletePoints(this.history.present, points);
    this.commit(document, { tracks: this.selection.tracks, points: new Map() });
  }

  /** A point in the middle of the segment after each chosen point, or of every segment of the chosen tracks. */
  insertPoints() {
    let document = this.history.present;
    for (const track of edits.tracksWith(document, this.selection.tracks)) {
      const after = [...(this.selection.points.get(track.id) ?? track.points.keys())].sort((a, b) => b - a);
      for (const index of after) if (index + 1 < track.points.length) document = edits.insertPoint(document, track.id, index + 0.5);
    }
    this.commit(document, { tracks: this.selection.tracks, points: new Map() });
  }

  toggleHidden() {
    const frame = Math.round(this.frame);
    const isHidden = (/** @type {Track} */ { hidden = [] }) => hidden.some(([a, b]) => a <= frame && frame <= b);
    const hide = !this.selectedTracks.every(isHidden);
    this.changeSelected((track) => edits.withHidden(track, [frame, frame], hide));
  }

  /** Arrow keys move the selection; with nothing selected, or while drawing, the crosshair. @type {(dx: number, dy: number, view?: Viewport) => void} */
  nudge(dx, dy, view) {
    if (this.tool === selectTool && this.selection.tracks.size) {
      const points = selections.movablePoints(this.history.present, this.selection);
      return this.commit(edits.movePoints(this.history.present, points, dx, dy));
    }
    const { width, height } = this.history.present.canvas;
    const from = this.cursor ?? { x: Math.round(width / 2), y: Math.round(height / 2) };
    this.cursor = { x: from.x + dx, y: from.y + dy };
    this.sendCursor("move", view);
  }

  /** Enter: the pointer's button at the crosshair. A stroke begins with one and ends with the next. @type {(view?: Viewport) => void} */
  press(view) {
    if (!this.cursor) return this.tool === penTool ? this.send({ type: "finish" }, view) : this.nudge(0, 0, view);
    if (this.toolState?.stroke) return this.sendCursor("up", view);
    this.sendCursor("down", view);
    if (!this.toolState?.stroke) this.sendCursor("up", view);
  }

  /** @type {(type: "down" | "move" | "up", view?: Viewport) => void} */
  sendCursor(type, view = { scale: 1, x: 0, y: 0 }) {
    if (!this.cursor) return;
    this.send({ type, at: { x: this.cursor.x * view.scale + view.x, y: this.cursor.y * view.scale + view.y } }, view);
  }

  /** One step back out: of a drag, of a line being drawn, of the crosshair, of the selection. @type {(view?: Viewport) => void} */
  escape(view) {
    if (this.busy) {
      this.send({ type: "cancel" }, view);
      this.draft = null;
      this.timelineState = null;
    } else if (this.tool === penTool && this.toolState.id) this.send({ type: "finish" }, view);
    else if (this.cursor) this.cursor = null;
    else this.selection = selections.NOTHING;
    this.overlay = null;
    this.changed();
  }

  /** Another canvas, the drawing scaled to it. @type {(canvas: Canvas) => void} */
  fitTo(canvas) {
    this.commit(edits.onCanvas(this.history.present, canvas));
    this.setFrame(this.frame);
  }

  /** Text that is no document is given up. @type {(canvas: Canvas) => void} */
  startAnew(canvas) {
    this.problem = null;
    this.history = histories.record(this.history, emptyDocument(canvas));
    this.onCommit(serialise(this.history.present));
    this.afterJump();
    this.changed();
  }
}
