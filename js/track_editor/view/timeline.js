/** The timeline's surface: a canvas of ruler and rows, painted anew when something changed. */

import { translate } from "../../language/language.js";
import { clamp } from "../curve/geometry.js";
import { movesOf } from "../document/format.js";
import {
  frameToX,
  hitTimeline,
  LABEL_PX,
  maxScroll,
  numRows,
  ROW_PX,
  RULER_PX,
  rowTop,
  scrolledTo,
  visibleRows,
} from "../tools/timeline.js";
import { CAMERA_COLOUR, colourOf, labelOf } from "./colours.js";
import { inView } from "./curves.js";
import { swallow } from "./elements.js";

const HEAD_PX = 5; // half the width of the mark at the frame that is shown

const CURSORS = {
  ruler: "col-resize",
  start: "ew-resize",
  end: "ew-resize",
  keyframe: "ew-resize",
  hidden_first: "ew-resize",
  hidden_last: "ew-resize",
  bar: "grab",
  move: "grab",
  move_start: "ew-resize",
  move_end: "ew-resize",
  move_row: "pointer",
  hidden: "grab",
  label: "pointer",
  row: "cell",
};

export class TimelineView {
  /** @type {import("../tools/timeline.js").Layout} */
  layout = { width: 0, height: 0, numFrames: 1, scroll: 0 };
  density = 1;
  /** @type {number | null} */
  held = null;

  /**
   * @param {import("../state/model.js").EditorModel} model
   * @param {() => void} focus
   * @param {AbortSignal} signal
   */
  constructor(model, focus, signal) {
    this.model = model;
    this.focus = focus;
    this.element = document.createElement("div");
    this.element.className = "mste-timeline";
    this.canvas = document.createElement("canvas");
    this.element.append(this.canvas);
    const options = { signal };
    this.element.addEventListener("pointerdown", (event) => this.down(event), options);
    this.element.addEventListener("pointermove", (event) => this.move(event), options);
    this.element.addEventListener("pointerup", (event) => this.end(event, "up"), options);
    this.element.addEventListener("pointercancel", (event) => this.end(event, "cancel"), options);
    this.element.addEventListener("lostpointercapture", (event) => this.end(event, "cancel"), options);
    this.element.addEventListener("dblclick", (event) => this.double(event), options);
    this.element.addEventListener("contextmenu", swallow, options);
    this.element.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.element);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  resize() {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    if (!width || !height) return;
    this.layout = { ...this.layout, width, height };
    const shown = this.element.getBoundingClientRect().width / width || 1;
    this.density = Math.min(4, Math.max(1, devicePixelRatio * shown));
    this.canvas.width = Math.round(width * this.density);
    this.canvas.height = Math.round(height * this.density);
    this.model.changed();
  }

  /** The first selected track brought into sight. */
  reveal() {
    const { document, selection } = this.model;
    const row = document.tracks.findIndex(({ id }) => selection.tracks.has(id));
    if (row >= 0) this.layout = { ...this.layout, scroll: scrolledTo(this.layout, row + movesOf(document).length) };
  }

  /** @type {(type: import("../tools/timeline.js").TimelineEvent["type"], event: MouseEvent) => void} */
  send(type, event) {
    const box = this.element.getBoundingClientRect();
    const scale = box.width ? this.layout.width / box.width : 1;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    this.model.sendTimeline({ type, x, y, shift: event.shiftKey, alt: event.altKey }, this.layout);
  }

  /** @type {(event: PointerEvent) => void} */
  down(event) {
    if (event.button === 1 && !this.element.closest(".mste-full")) return;
    swallow(event);
    if (this.held !== null || event.button !== 0) return;
    this.focus();
    this.element.setPointerCapture(event.pointerId);
    this.held = event.pointerId;
    this.send("down", event);
  }

  /** @type {(event: PointerEvent) => void} */
  move(event) {
    if (this.held === event.pointerId) {
      event.stopPropagation();
      return this.send("move", event);
    }
    const box = this.element.getBoundingClientRect();
    const scale = box.width ? this.layout.width / box.width : 1;
    const hit = hitTimeline(
      this.model.document,
      this.layout,
      (event.clientX - box.left) * scale,
      (event.clientY - box.top) * scale,
    );
    this.canvas.style.cursor = hit ? CURSORS[hit.part] : "default";
  }

  /** @type {(event: PointerEvent, type: "up" | "cancel") => void} */
  end(event, type) {
    if (this.held !== event.pointerId) return;
    event.stopPropagation();
    this.held = null;
    this.send(type, event);
  }

  /** @type {(event: MouseEvent) => void} */
  double(event) {
    event.stopPropagation();
    this.send("double", event);
  }

  /** @type {(event: WheelEvent) => void} */
  wheel(event) {
    swallow(event);
    const most = maxScroll(this.layout, numRows(this.model.document));
    this.layout = { ...this.layout, scroll: clamp(this.layout.scroll + event.deltaY, 0, most) };
    this.model.changed();
  }

  paint() {
    const context = this.canvas.getContext("2d");
    const { document, frame } = this.model;
    const most = maxScroll(this.layout, numRows(document));
    const numFrames = document.canvas.num_frames;
    this.layout = { ...this.layout, numFrames, scroll: Math.min(this.layout.scroll, most) };
    const { width, height } = this.layout;
    if (!context || !width) return;
    inView(context, this.density);
    context.fillStyle = "#1b1e24";
    context.fillRect(0, 0, width, height);
    const [first, last] = visibleRows(this.layout, numRows(document));
    const moves = movesOf(document);
    for (let row = first; row < last; row++) {
      const top = rowTop(this.layout, row);
      if (row < moves.length) this.paintMove(context, moves[row], row, top);
      else this.paintRow(context, document.tracks[row - moves.length], top);
    }
    this.paintRuler(context, numFrames);
    const x = frameToX(this.layout, frame);
    context.fillStyle = "#ffd34d";
    context.fillRect(x - 0.75, 0, 1.5, height);
    context.beginPath();
    context.moveTo(x - HEAD_PX, 0);
    context.lineTo(x + HEAD_PX, 0);
    context.lineTo(x, 7);
    context.fill();
  }

  /** @type {(context: CanvasRenderingContext2D, numFrames: number) => void} */
  paintRuler(context, numFrames) {
    const { width } = this.layout;
    context.fillStyle = "#262a31";
    context.fillRect(0, 0, width, RULER_PX);
    const pitch = (width - LABEL_PX) / Math.max(1, numFrames - 1);
    const step =
      [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000, 100000].find((each) => each * pitch >= 34) ?? 1e6;
    context.fillStyle = "#aab0ba";
    context.font = "10px sans-serif";
    context.textBaseline = "middle";
    for (let frame = 0; frame < numFrames; frame += step) {
      const x = frameToX(this.layout, frame);
      context.fillRect(x, RULER_PX - 4, 1, 4);
      if (x < width - 25) context.fillText(String(frame), x + HEAD_PX + 1, RULER_PX / 2); // clear of the head over it
    }
  }

  /** @type {(context: CanvasRenderingContext2D, move: import("../document/format.js").Move, index: number, top: number) => void} */
  paintMove(context, { move, start, duration }, index, top) {
    const { layout } = this;
    const chosen = this.model.move === index;
    context.fillStyle = chosen ? "#3d3450" : "#241f2e";
    context.fillRect(0, top, layout.width, ROW_PX);
    const [from, to] = [start, start + duration].map((frame) => clamp(frameToX(layout, frame), LABEL_PX, layout.width));
    context.fillStyle = CAMERA_COLOUR;
    context.fillRect(from, top + 3, Math.max(2, to - from), ROW_PX - 6);
    if (move !== "handheld") {
      context.globalAlpha = 0.35;
      context.fillRect(to, top + 7, Math.max(0, frameToX(layout, layout.numFrames - 1) - to), ROW_PX - 14);
      context.globalAlpha = 1;
    }
    context.fillStyle = chosen ? "#ffffff" : CAMERA_COLOUR;
    context.font = "10px sans-serif";
    context.textBaseline = "middle";
    context.fillText(translate(move), 6, top + ROW_PX / 2, LABEL_PX - 10);
  }

  /** @type {(context: CanvasRenderingContext2D, track: import("../document/format.js").Track, top: number) => void} */
  paintRow(context, track, top) {
    const { layout } = this;
    const selected = this.model.selection.tracks.has(track.id);
    if (selected) {
      context.fillStyle = "#333a46";
      context.fillRect(0, top, layout.width, ROW_PX);
    }
    const colour = colourOf(track);
    const at = (/** @type {number} */ frame) => clamp(frameToX(layout, frame), LABEL_PX, layout.width);
    const span = (/** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ inset) =>
      context.fillRect(at(from), top + inset, Math.max(2, at(to) - at(from)), ROW_PX - 2 * inset);
    context.fillStyle = colour;
    const end = track.start + track.duration;
    context.globalAlpha = 0.35;
    if (track.before !== "hide") span(0, track.start, 7);
    if (track.after !== "hide") span(end, layout.numFrames - 1, 7);
    context.globalAlpha = 1;
    span(track.start, end, 3);
    context.fillStyle = "#101216";
    for (const [first, last] of track.hidden ?? []) span(first - 0.4, last + 0.4, 5);
    context.fillStyle = "#ffffff";
    for (const [frame] of track.keyframes ?? []) {
      const x = at(track.start + frame);
      context.beginPath();
      context.moveTo(x, top + 3);
      context.lineTo(x + 4, top + ROW_PX / 2);
      context.lineTo(x, top + ROW_PX - 3);
      context.lineTo(x - 4, top + ROW_PX / 2);
      context.fill();
    }
    context.fillStyle = selected ? "#ffffff" : "#aab0ba";
    context.font = "10px sans-serif";
    context.textBaseline = "middle";
    const label = labelOf(track);
    context.fillText(track.group ? `${label} (${track.group})` : label, 15, top + ROW_PX / 2, LABEL_PX - 19);
    context.fillStyle = colour;
    context.beginPath();
    context.arc(8, top + ROW_PX / 2, 3.2, 0, 7);
    context.fill();
  }
}
