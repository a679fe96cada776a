/**
 * The editor without its page: the document with its history, what is selected, the tool at work, the frame shown, and
 * every command. Views read it and are notified of every change.
 */

import { MAX_MOVES, newMove } from "../camera/moves.js";
import { wholeClip } from "../curve/easing.js";
import { clamp } from "../curve/geometry.js";
import * as edits from "../document/edits.js";
import { addMoves, changeMove, removeMove } from "../document/edits.js";
import { emptyDocument, movesOf, newIds, serialise } from "../document/format.js";
import * as histories from "../document/history.js";
import { parseDocument } from "../document/parse.js";
import * as selections from "../document/selection.js";
import { brushTool } from "../tools/brush.js";
import { penTool } from "../tools/pen.js";
import { selectTool } from "../tools/select.js";
import { anchorTool, freehandTool, gridTool, recordTool } from "../tools/stroke.js";
import { stepTimeline } from "../tools/timeline.js";
import { applyPreset, runCommand } from "./commands.js";

/**
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../document/format.js").Canvas} Canvas
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../tools/tool.js").ToolEvent} ToolEvent
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 */

/** @type {Record<string, import("../tools/tool.js").Tool<any>>} */
export const TOOLS = Object.fromEntries(
  [selectTool, freehandTool, penTool, brushTool, recordTool, gridTool, anchorTool].map((tool) => [tool.name, tool]),
);

export class EditorModel {
  /** @type {import("../document/history.js").History<Document>} */
  history;
  /** @type {Document | null} */
  draft = null;
  selection = selections.NOTHING;
  /** The camera's move that is worked on. @type {number | null} */
  move = null;
  /** Whether tracks are shown as the camera sees them, too. */
  cameraView = true;
  /** Whether what is drawn lies where the camera's moves take it along at all. */
  seesCamera = true;
  frame = 0;
  playing = false;
  tool = TOOLS.select;
  /** @type {any} */
  toolState = TOOLS.select.start;
  /** @type {import("../tools/timeline.js").TimelineState} */
  timelineState = null;
  /** @type {import("../tools/tool.js").Overlay | null} */
  overlay = null;
  /** What is shown above the drawing by whoever the model lives in: hands, the camera's plane. @type {readonly import("../tools/tool.js").Overlay[]} */
  marks = [];
  /** @type {import("../tools/tool.js").ToolOptions} */
  options = {
    interpolation: "catmull_rom",
    smoothing: 0.4,
    grid: null,
    anchor: false,
    brush: 14,
    brushPoints: 40,
    similar: 0.35,
  };
  gridSize = { spacing: 12, size: 48 };
  /** @type {import("../curve/geometry.js").ImagePoint | null} the crosshair that arrow keys move */
  cursor = null;
  /** Why the text in the widget cannot be edited; it is left alone until the user starts anew. @type {string | null} */
  problem = null;
  /** Whether anything was ever drawn or read. */
  loaded = false;
  /** @type {Set<() => void>} */
  listeners = new Set();
  /** The picture shown; see the tools' scene. @type {import("../tools/tool.js").Pixels} */
  pixels = () => null;
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

  /** Whether there is a camera to look through, and it is wished for. */
  get throughCamera() {
    return this.seesCamera && this.cameraView && movesOf(this.document).length > 0;
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

  /** @type {(document: Document, selection?: import("../document/selection.js").Selection) => void} */
  commit(document, selection = this.selection) {
    this.draft = null;
    if (document !== this.history.present) {
      this.history = histories.record(this.history, document);
      this.loaded = true;
      this.onCommit(serialise(document));
    }
    this.selection = selections.pruned(document, selection);
    this.pruneMove();
    this.changed();
  }

  /** A document that is no edit: nothing to undo, nothing to keep. @type {(document: Document, selection?: import("../document/selection.js").Selection) => void} */
  replace(document, selection = this.selection) {
    this.history = histories.startHistory(document);
    this.draft = null;
    this.selection = selections.pruned(document, selection);
    this.pruneMove();
    this.changed();
  }

  pruneMove() {
    if (this.move !== null && this.move >= movesOf(this.history.present).length) this.move = null;
  }

  /** @type {(step: typeof histories.undo) => void} */
  stepHistory(step) {
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
    this.pruneMove();
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

  /** @type {(options: Partial<import("../tools/tool.js").ToolOptions>) => void} */
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
    const scene = {
      document: this.history.present,
      selection: this.selection,
      frame: this.frame,
      view,
      options: this.options,
      pixels: this.pixels,
    };
    const outcome = this.tool.step(this.toolState, full, scene);
    this.toolState = outcome.state;
    if (outcome.overlay !== undefined) this.overlay = outcome.overlay;
    this.apply(outcome);
  }

  /** @type {(event: import("../tools/timeline.js").TimelineEvent, layout: import("../tools/timeline.js").Layout) => void} */
  sendTimeline(event, layout) {
    if (this.problem !== null) return;
    const scene = { document: this.history.present, selection: this.selection, layout };
    const outcome = stepTimeline(this.timelineState, event, scene);
    this.timelineState = outcome.state;
    if (outcome.move !== undefined) this.move = outcome.move;
    if (outcome.frame !== undefined) this.frame = clamp(outcome.frame, 0, this.lastFrame);
    this.apply(outcome);
  }

  /** @type {(outcome: {document?: Document, selection?: import("../document/selection.js").Selection, commit?: boolean}) => void} */
  apply(outcome) {
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

  /** Shapes as new tracks, selected. @type {(shapes: readonly import("../document/format.js").Shape[]) => void} */
  add(shapes) {
    const document = this.history.present;
    const ids = newIds(document, shapes.length);
    const made = edits.addTracks(
      document,
      shapes.map((shape, i) => ({ id: ids[i], ...shape })),
    );
    this.commit(made, { tracks: new Set(ids), points: new Map() });
  }

  /** @type {(name: string) => void} */
  preset(name) {
    applyPreset(this, name);
  }

  /** A move of the camera over the whole clip, worked on from now on. @type {(kind: import("../camera/moves.js").MoveKind) => void} */
  addMove(kind) {
    const document = addMoves(this.history.present, [newMove(wholeClip(this.history.present.canvas), kind)]);
    if (movesOf(document).length > MAX_MOVES) return;
    this.cameraView = true;
    this.move = movesOf(document).length - 1;
    this.commit(document, selections.NOTHING);
  }

  /** `change` applied to the move worked on. @type {(change: (move: import("../document/format.js").Move) => import("../document/format.js").Move) => void} */
  changeMove(change) {
    if (this.move !== null) this.commit(changeMove(this.history.present, this.move, change));
  }

  /** @type {(index: number) => void} */
  selectMove(index) {
    this.move = index;
    this.select(selections.NOTHING);
  }

  removeMove() {
    if (this.move === null) return;
    const gone = this.move;
    this.move = null;
    this.commit(removeMove(this.history.present, gone));
  }

  /** @type {(on: boolean) => void} */
  setCameraView(on) {
    this.cameraView = on;
    this.changed();
  }

  /** A command of the keyboard or of a button. Returns whether it was one of the model's. @type {(command: import("./keyboard.js").Command, view?: Viewport) => boolean} */
  run(command, view) {
    return runCommand(this, command, view);
  }

  /** @type {(selection: import("../document/selection.js").Selection) => void} */
  select(selection) {
    this.selection = selection;
    this.changed();
  }

  /** Another canvas, the drawing scaled to it. @type {(canvas: Canvas) => void} */
  fitTo(canvas) {
    this.commit(edits.onCanvas(this.history.present, canvas));
    this.setFrame(this.frame);
  }

  /** A text that is no document is dropped. @type {(canvas: Canvas) => void} */
  startAnew(canvas) {
    this.problem = null;
    this.history = histories.record(this.history, emptyDocument(canvas));
    this.onCommit(serialise(this.history.present));
    this.afterJump();
    this.changed();
  }
}
