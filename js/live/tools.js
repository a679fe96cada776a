/**
 * Hand and anchor: pointers and the keyboard's crosshair turned into hands. A hand is a grid around a pointer for as long
 * as it is down; an anchor is a hand that holds still, and a track of the document by which it is seen and selected.
 */

import { distance, imagePoint } from "../track_editor/curve/geometry.js";
import { addTracks, changeTracks, findTrack, movedTrack, removeTracks } from "../track_editor/document/edits.js";
import { newIds } from "../track_editor/document/format.js";
import { NOTHING, selectTracks } from "../track_editor/document/selection.js";
import { gridOfSize, resized } from "./hands.js";

/**
 * @typedef {import("../track_editor/curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {import("../track_editor/tools/tool.js").Overlay} Overlay
 * @typedef {import("../track_editor/document/format.js").Track} Track
 * @typedef {import("../track_editor/view/surface.js").PointerTaker} PointerTaker
 * @typedef {import("./protocol.js").Sample} Sample
 * @typedef {"hand" | "anchor" | "path"} ToolName
 */

/**
 * A pointer on an anchor: where it was, whether the anchor is new with it, whether it has gone far.
 * @typedef {{id: string, from: Sample, isNew: boolean, far: boolean}} Press
 */

const KEYBOARD = "keyboard";
const FIRST_SHARE = 1 / 5;
/** A pointer that went less far than this share of its reach did not mean to move the anchor. */
const DRAG_SHARE = 0.5;

/** @implements {PointerTaker} */
export class LiveTools {
  /** @type {ToolName} */
  tool = "hand";
  /** Side of the grid in px of the frame. */
  size = 0;
  /** @type {Map<number, Press>} */
  presses = new Map();
  /** Where a pointer is that holds nothing. @type {ImagePoint | null} */
  hovered = null;
  /** Shown beside the hands. @type {readonly Overlay[]} */
  planes = [];

  /**
   * @param {import("./hands.js").Hands} hands
   * @param {() => boolean} mayDraw  else says why not
   */
  constructor(hands, mayDraw) {
    this.hands = hands;
    this.mayDraw = mayDraw;
  }

  /** @type {(editor: import("../track_editor/editor.js").TrackEditor) => void} */
  attach({ model, surface }) {
    this.model = model;
    this.surface = surface;
    surface.layers.top.style.cursor = "crosshair";
  }

  get grid() {
    return gridOfSize(this.size);
  }

  /** A grid that suits a frame of this size. @type {(frame: import("../track_editor/curve/geometry.js").Size) => void} */
  fitTo({ width, height }) {
    this.setSize(Math.min(width, height) * FIRST_SHARE);
  }

  /** @type {(size: number) => void} */
  setSize(size) {
    this.size = size;
    const { columns, dx } = this.grid;
    // The free-hand tool has its grid from here, in a form of its own.
    if (this.model) this.model.options = { ...this.model.options, grid: columns > 1 ? { spacing: dx, size } : null };
    this.show();
  }

  /** @type {(tool: ToolName) => void} */
  setTool(tool) {
    this.tool = tool;
    this.model?.setTool(tool === "path" ? "freehand" : "select");
    this.show();
  }

  // Pointers.

  /** @type {(pointer: number, sample: Sample, reach: number) => boolean} */
  down(pointer, sample, reach) {
    this.hovered = null;
    if (!this.mayDraw()) return true;
    if (this.tool === "path") return false;
    if (this.tool === "anchor") this.press(pointer, sample, reach);
    else if (this.isInside(sample)) this.hands.begin(pointer, sample, this.grid);
    this.show();
    return true;
  }

  /** @type {(pointer: number, samples: readonly Sample[]) => void} */
  move(pointer, samples) {
    const press = this.presses.get(pointer);
    if (press) this.pull(pointer, press, samples);
    else this.hands.move(pointer, samples);
    this.show();
  }

  /** @type {(pointer: number) => void} */
  up(pointer) {
    const press = this.presses.get(pointer);
    this.presses.delete(pointer);
    if (press && !press.isNew && !press.far) this.removeAnchors([press.id]);
    this.hands.release(pointer);
    this.show();
  }

  /** @type {(pointer: number) => void} */
  lost(pointer) {
    this.presses.delete(pointer);
    this.hands.release(pointer);
    this.show();
  }

  /** @type {(at: ImagePoint | null) => void} */
  hover(at) {
    if (!at && !this.hovered) return;
    this.hovered = at;
    this.show();
  }

  /** @type {(factor: number) => void} */
  wheel(factor) {
    if (this.model) this.setSize(resized(this.size, factor, this.model.document.canvas));
  }

  /** @type {(sample: Sample) => boolean} */
  isInside([x, y]) {
    const { width = 0, height = 0 } = this.model?.document.canvas ?? {};
    return 0 <= x && x <= width && 0 <= y && y <= height;
  }

  // Anchors.

  /** @type {(pointer: number, sample: Sample, reach: number) => void} */
  press(pointer, sample, reach) {
    const there = this.anchorAt(imagePoint(sample[0], sample[1]), reach);
    const id = there?.id ?? this.addAnchor(sample);
    if (!id || !this.model) return;
    this.presses.set(pointer, { id, from: sample, isNew: !there, far: false });
    this.model.select(selectTracks(this.model.document, [id]));
  }

  /** An anchor goes by as much as the pointer did. @type {(pointer: number, press: Press, samples: readonly Sample[]) => void} */
  pull(pointer, press, samples) {
    const hand = this.hands.held.get(press.id);
    const last = samples[samples.length - 1];
    if (!hand || !last) return;
    const place = (/** @type {Sample} */ [x, y]) => imagePoint(x, y);
    const reach = (DRAG_SHARE * 9) / (this.surface?.view.scale ?? 1);
    if (!press.far && distance(place(press.from), place(last)) < reach) return;
    this.presses.set(pointer, { ...press, from: last, far: true });
    const [dx, dy] = [hand.at[0] - press.from[0], hand.at[1] - press.from[1]];
    this.moveAnchor(
      press.id,
      samples.map(([x, y, t]) => [x + dx, y + dy, t]),
    );
  }

  /** @type {(id: string, samples: readonly Sample[]) => void} */
  moveAnchor(id, samples) {
    const { model } = this;
    const track = model && findTrack(model.document, id);
    if (!track) return;
    const [x, y] = samples[samples.length - 1];
    this.hands.move(id, samples);
    const moved = movedTrack(track, x - track.points[0][0], y - track.points[0][1]);
    model.replace(changeTracks(model.document, new Set([id]), () => moved));
  }

  /** The anchor whose grid lies under a place. @type {(at: ImagePoint, reach: number) => Track | undefined} */
  anchorAt(at, reach) {
    return this.model?.document.tracks.findLast(({ kind, points: [[x, y]], grid }) => {
      const { columns = 1, rows = 1, dx = 0, dy = 0 } = grid ?? {};
      const [halfX, halfY] = [((columns - 1) * dx) / 2 + reach, ((rows - 1) * dy) / 2 + reach];
      return kind === "anchor" && Math.abs(at.x - x) <= halfX && Math.abs(at.y - y) <= halfY;
    });
  }

  /** The new anchor's id; null where there can be none. @type {(sample: Sample) => string | null} */
  addAnchor(sample) {
    const { model } = this;
    if (!model || !this.isInside(sample)) return null;
    const [id] = newIds(model.document, 1);
    if (!this.hands.begin(id, sample, this.grid)) return null;
    const points = [[sample[0], sample[1]]];
    /** @type {Track} */
    const track = { id, kind: "anchor", interpolation: "linear", points, start: 0, duration: 0, grid: this.grid };
    model.replace(addTracks(model.document, [track]));
    return id;
  }

  /** @type {(ids: Iterable<string>) => void} */
  removeAnchors(ids) {
    const gone = new Set(ids);
    for (const id of gone) this.hands.release(id);
    this.model?.replace(removeTracks(this.model.document, gone));
  }

  // The keyboard: a crosshair with the tool at hand.

  /** D: takes hold at the crosshair, or lets go. @type {(time: number) => void} */
  grab(time) {
    const { model } = this;
    if (!model || !this.mayDraw()) return;
    const { width, height } = model.document.canvas;
    model.cursor ??= imagePoint(Math.round(width / 2), Math.round(height / 2));
    /** @type {Sample} */
    const sample = [model.cursor.x, model.cursor.y, time];
    if (this.tool === "path") model.run({ name: "press" }, this.surface?.view);
    else if (this.tool === "anchor") this.toggleAnchor(sample);
    else if (this.hands.held.has(KEYBOARD)) this.hands.release(KEYBOARD);
    else this.hands.begin(KEYBOARD, sample, this.grid);
    this.show();
  }

  /** Whether the keyboard, or the webcam, holds something at the crosshair. */
  get isGrabbed() {
    return this.hands.held.has(KEYBOARD) || Boolean(this.model?.toolState?.stroke);
  }

  /** @type {(sample: Sample) => void} */
  toggleAnchor(sample) {
    const there = this.anchorAt(imagePoint(sample[0], sample[1]), 0);
    if (there) return this.removeAnchors([there.id]);
    const id = this.addAnchor(sample);
    if (id && this.model) this.model.select(selectTracks(this.model.document, [id]));
  }

  /** Arrows: the selected anchors, or else the crosshair with what it holds. @type {(dx: number, dy: number, time: number) => void} */
  nudge(dx, dy, time) {
    const { model } = this;
    if (!model) return;
    const chosen = model.selectedTracks.filter(({ kind }) => kind === "anchor");
    if (chosen.length) {
      if (!this.mayDraw()) return;
      for (const { id, points } of chosen) this.moveAnchor(id, [[points[0][0] + dx, points[0][1] + dy, time]]);
    } else if (model.toolState?.stroke) model.run({ name: "nudge", dx, dy }, this.surface?.view);
    else {
      const { width, height } = model.document.canvas;
      const from = model.cursor ?? imagePoint(Math.round(width / 2), Math.round(height / 2));
      // What is held may be dragged out of the frame; what holds nothing is of no use there.
      const [x, y] = this.isGrabbed
        ? [from.x + dx, from.y + dy]
        : inFrame(from.x + dx, from.y + dy, model.document.canvas);
      model.cursor = imagePoint(x, y);
      this.hands.move(KEYBOARD, [[model.cursor.x, model.cursor.y, time]]);
    }
    this.show();
  }

  /** Escape: one step out; false where there is none. @type {() => boolean} */
  stepOut() {
    const { model } = this;
    if (!model) return false;
    if (model.toolState?.stroke) model.send({ type: "cancel" });
    else if (this.hands.held.has(KEYBOARD)) this.hands.release(KEYBOARD);
    else if (model.selection.tracks.size) model.select(NOTHING);
    else if (model.cursor) model.cursor = null;
    else return false;
    model.overlay = null;
    this.show();
    return true;
  }

  // Everything at once.

  deleteSelected() {
    if (this.model && this.mayDraw()) this.removeAnchors(this.model.selection.tracks);
    this.show();
  }

  /** All hands and tracks gone here; the server knows already, or is told otherwise. */
  forget() {
    this.hands.forget();
    this.presses.clear();
    const { model } = this;
    if (model) model.replace({ ...model.document, tracks: [] }, NOTHING);
    this.show();
  }

  /** The hands as they are now, for the next painting. */
  show() {
    const { model } = this;
    if (!model) return;
    const place = this.hovered ?? (this.hands.held.has(KEYBOARD) ? null : model.cursor);
    const held = [...this.hands.held].filter(([key]) => typeof key === "number" || key === KEYBOARD);
    model.marks = [
      ...this.planes,
      ...(place && !model.toolState?.stroke ? [this.preview(place)] : []),
      ...held.map(([, { at, grid }]) => ({
        kind: /** @type {const} */ ("hand"),
        at: imagePoint(at[0], at[1]),
        grid,
        held: true,
      })),
    ];
    model.changed();
  }

  /** What the tool would take hold of at a place. @type {(at: ImagePoint) => Overlay} */
  preview(at) {
    const { grid } = this;
    if (this.tool === "hand") return { kind: "hand", at, grid, held: false };
    return { kind: "grid", at, grid, anchor: this.tool === "anchor" };
  }
}

/** @type {(x: number, y: number, frame: import("../track_editor/curve/geometry.js").Size) => [number, number]} */
const inFrame = (x, y, { width, height }) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
