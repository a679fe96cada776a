/** The drawing surface: two canvases, the viewport, and pointers turned into a tool's events. */

import { distance, fitted, panned, toImage, viewPoint, zoomed } from "./geometry.js";
import { hitTest } from "./hit.js";
import { BACKGROUND, CROWD, drawBase, drawTop } from "./render.js";
import { positionAt } from "./timing.js";
import { findTrack } from "./edits.js";

/**
 * @typedef {import("./geometry.js").ViewPoint} ViewPoint
 * @typedef {import("./document.js").Track} Track
 */

const FINGER_REACH_PX = 18;
const MOUSE_REACH_PX = 9;
const DOUBLE_MS = 350;
const WHEEL_STEP = 1.0015;
const SETTLE_MS = 120;
const SHIFT_MS = 1000;

export class Surface {
  /** @type {import("./geometry.js").Viewport} */
  view = { scale: 1, x: 0, y: 0 };
  size = { width: 0, height: 0 };
  density = 1;
  /** Whether the view still shows the whole clip, and follows the surface's size. */
  fits = true;
  /** @type {import("./render.js").Picture | null} */
  image = null;
  /** What the pointer is over, in words. */
  hint = "";
  /** @type {readonly unknown[]} what the lower layer was last painted of */
  painted = [];
  paintedAt = 0;
  /** The lower layer as it was painted last. @type {HTMLCanvasElement | null} */
  snapshot = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  settling = undefined;
  /** @type {Map<number, ViewPoint>} fingers on the surface */
  touches = new Map();
  /** @type {{id: number, panning: boolean, last: ViewPoint} | null} */
  held = null;
  lastUp = { time: 0, at: viewPoint(0, 0) };

  /**
   * @param {import("./model.js").EditorModel} model
   * @param {() => void} focus  gives the editor the keyboard
   * @param {AbortSignal} signal  ends all listeners
   */
  constructor(model, focus, signal) {
    this.model = model;
    this.focus = focus;
    this.element = document.createElement("div");
    this.element.className = "mste-surface";
    this.base = document.createElement("canvas");
    this.top = document.createElement("canvas");
    this.element.append(this.base, this.top);
    this.element.dataset.captureWheel = "true";
    const options = { signal };
    this.element.addEventListener("pointerdown", (event) => this.down(event), options);
    this.element.addEventListener("pointermove", (event) => this.move(event), options);
    this.element.addEventListener("pointerup", (event) => this.up(event), options);
    this.element.addEventListener("pointercancel", (event) => this.lost(event), options);
    this.element.addEventListener("lostpointercapture", (event) => this.lost(event), options);
    this.element.addEventListener("pointerleave", () => this.leave(), options);
    this.element.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    this.element.addEventListener("contextmenu", (event) => (event.preventDefault(), event.stopPropagation()), options);
    this.element.addEventListener("dblclick", (event) => event.stopPropagation(), options);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.element);
    signal.addEventListener("abort", () => (observer.disconnect(), clearTimeout(this.settling)));
  }

  resize() {
    this.size = { width: this.element.clientWidth, height: this.element.clientHeight };
    if (!this.size.width || !this.size.height) return;
    // As sharp as the screen shows it, however the page or the graph is zoomed.
    const shown = this.element.getBoundingClientRect().width / this.size.width || 1;
    this.density = Math.min(4, Math.max(1, devicePixelRatio * shown));
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.round(this.size.width * this.density);
      canvas.height = Math.round(this.size.height * this.density);
    }
    if (this.fits) this.fit();
    this.painted = [];
    this.model.changed();
  }

  fit() {
    this.fits = true;
    if (this.size.width) this.view = fitted(this.size, this.model.document.canvas);
    this.model.changed();
  }

  /** @type {(factor: number, at?: ViewPoint) => void} */
  zoom(factor, at = viewPoint(this.size.width / 2, this.size.height / 2)) {
    this.view = zoomed(this.view, at, factor);
    this.fits = false;
    this.model.changed();
  }

  /** @type {(image: import("./render.js").Picture | null) => void} */
  setImage(image) {
    this.image = image;
    this.repaint();
  }

  /** The lower layer anew: its picture is another one. */
  repaint() {
    this.painted = [];
    this.model.changed();
  }

  paint() {
    if (!this.size.width) return;
    const { model, view, density, size } = this;
    const { document, selection } = model;
    const resting = document.tracks.filter(({ id }) => !selection.tracks.has(id));
    const key = [view, density, size, this.image, document.canvas, ...resting];
    const context = this.base.getContext("2d");
    const above = this.top.getContext("2d");
    if (!context || !above) return;
    const differs = key.map((each, i) => each !== this.painted[i]);
    const changed = key.length !== this.painted.length || differs.includes(true, 1);
    const fresh = performance.now() - this.paintedAt < SHIFT_MS;
    if (differs[0] && !changed && fresh && resting.length > CROWD) this.shift(context);
    else if (differs[0] || changed) {
      drawBase(context, size, density, { document, tracks: resting, view, image: this.image });
      [this.painted, this.paintedAt, this.snapshot] = [key, performance.now(), null];
    }
    const { frame, overlay, cursor } = model;
    drawTop(above, size, density, { document, selection, frame, view, overlay, cursor });
  }

  /** While the view moves over many tracks, their last picture moves along; it is painted anew soon after. @type {(context: CanvasRenderingContext2D) => void} */
  shift(context) {
    if (!this.snapshot) {
      this.snapshot = document.createElement("canvas");
      [this.snapshot.width, this.snapshot.height] = [this.base.width, this.base.height];
      this.snapshot.getContext("2d")?.drawImage(this.base, 0, 0);
    }
    const before = /** @type {import("./geometry.js").Viewport} */ (this.painted[0]);
    const { view, density } = this;
    const scale = view.scale / before.scale;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = BACKGROUND;
    context.fillRect(0, 0, this.base.width, this.base.height);
    context.setTransform(scale, 0, 0, scale, (view.x - before.x * scale) * density, (view.y - before.y * scale) * density);
    context.drawImage(this.snapshot, 0, 0);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.painted = [];
      this.model.changed();
    }, SETTLE_MS);
  }

  /** Where an event is on the surface, whatever scales it on the page. @type {(event: MouseEvent) => ViewPoint} */
  at(event) {
    const box = this.element.getBoundingClientRect();
    const scale = box.width ? this.size.width / box.width : 1;
    return viewPoint((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
  }

  /** @type {(type: import("./tools/tool.js").ToolEvent["type"], event: PointerEvent) => void} */
  send(type, event) {
    const { shiftKey: shift, altKey: alt } = event;
    const reach = event.pointerType === "mouse" ? MOUSE_REACH_PX : FINGER_REACH_PX;
    const ctrl = event.ctrlKey || event.metaKey;
    this.model.send({ type, at: this.at(event), shift, alt, ctrl, reach }, this.view);
  }

  /** @type {(event: PointerEvent) => void} */
  down(event) {
    // The middle button belongs to the graph around: it pans there.
    if (event.button === 1 && !this.element.closest(".mste-full")) return;
    event.stopPropagation();
    event.preventDefault();
    this.focus();
    this.element.setPointerCapture(event.pointerId);
    const at = this.at(event);
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, at);
      if (this.touches.size === 2) {
        if (this.held) this.model.send({ type: "cancel" }, this.view);
        this.held = null;
        return;
      }
    }
    if (this.held) return;
    const panning = event.button !== 0 || this.spaceHeld;
    this.held = { id: event.pointerId, panning, last: at };
    this.model.cursor = null;
    if (!panning) this.send("down", event);
  }

  /** Space held with the pointer pans; set by the editor's keys. */
  spaceHeld = false;
  panned = false;

  /** The pointer has not moved, but time has; `last` lets it go. @type {(last: boolean) => void} */
  stay(last) {
    if (!this.held || this.held.panning) return;
    this.model.send({ type: last ? "up" : "move", at: this.held.last }, this.view);
    if (last) this.held = null;
  }

  /** @type {(event: PointerEvent) => void} */
  move(event) {
    if (this.held || this.touches.size) event.stopPropagation();
    const at = this.at(event);
    if (this.touches.size === 2 && this.touches.has(event.pointerId)) return this.pinch(event.pointerId, at);
    if (!this.held) {
      this.hover(at, event.pointerType === "mouse" ? MOUSE_REACH_PX : FINGER_REACH_PX);
      if (event.pointerType !== "touch") this.send("move", event);
      return;
    }
    if (event.pointerId !== this.held.id) return;
    if (this.held.panning) {
      this.view = panned(this.view, at.x - this.held.last.x, at.y - this.held.last.y);
      this.fits = false;
      this.held.last = at;
      this.panned = true;
      this.model.changed();
      return;
    }
    this.held.last = at;
    this.touches.has(event.pointerId) && this.touches.set(event.pointerId, at);
    // Between two frames of the page a pen reports many places; a stroke takes them all.
    const events = event.getCoalescedEvents?.() ?? [];
    if (this.model.toolState?.stroke && events.length > 1) for (const each of events) this.send("move", each);
    else this.send("move", event);
    this.hover(at, 0);
  }

  /** Two fingers: their middle pans, their distance zooms. @type {(id: number, at: ViewPoint) => void} */
  pinch(id, at) {
    const other = [...this.touches].find(([each]) => each !== id)?.[1];
    const before = this.touches.get(id);
    if (!other || !before) return;
    const middle = (/** @type {ViewPoint} */ a) => viewPoint((a.x + other.x) / 2, (a.y + other.y) / 2);
    const factor = distance(at, other) / Math.max(1, distance(before, other));
    const [from, to] = [middle(before), middle(at)];
    this.view = panned(zoomed(this.view, from, factor), to.x - from.x, to.y - from.y);
    this.fits = false;
    this.touches.set(id, at);
    this.model.changed();
  }

  /** @type {(event: PointerEvent) => void} */
  up(event) {
    this.touches.delete(event.pointerId);
    if (event.pointerId !== this.held?.id) return;
    event.stopPropagation();
    const { panning } = this.held;
    this.held = null;
    if (panning) return;
    this.send("up", event);
    const now = performance.now();
    const at = this.at(event);
    const twice = now - this.lastUp.time < DOUBLE_MS && distance(at, this.lastUp.at) < 6;
    this.lastUp = { time: twice ? 0 : now, at };
    if (twice) this.send("double", event);
  }

  /** The system took the pointer away: whatever was begun is given back. @type {(event: PointerEvent) => void} */
  lost(event) {
    this.touches.delete(event.pointerId);
    if (event.pointerId !== this.held?.id) return;
    const { panning } = this.held;
    this.held = null;
    if (!panning) this.model.send({ type: "cancel" }, this.view);
  }

  leave() {
    this.hint = "";
    if (!this.held && this.model.overlay?.kind === "grid") this.model.overlay = null;
    this.model.changed();
  }

  /** @type {(event: WheelEvent) => void} */
  wheel(event) {
    event.preventDefault();
    event.stopPropagation();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 200 : 1;
    this.zoom(WHEEL_STEP ** (-event.deltaY * lines), this.at(event));
  }

  /** Position under the pointer, and the sample of the track that it is over. @type {(at: ViewPoint, reach: number) => void} */
  hover(at, reach) {
    const { x, y } = toImage(this.view, at);
    this.hint = `x ${x.toFixed(1)}  y ${y.toFixed(1)}`;
    const { document, selection, frame } = this.model;
    const hit = reach ? hitTest({ document, selection, frame, view: this.view }, at, reach) : null;
    const track = hit && findTrack(document, hit.id);
    this.top.style.cursor = hit && this.model.tool.name === "select" ? "pointer" : this.model.tool.cursor;
    if (track) this.hint += `  ·  ${sampleNear(track, { x, y }, document.canvas.num_frames)}`;
    this.model.changed();
  }
}

/** @type {(track: Track, at: {x: number, y: number}, numFrames: number) => string} */
function sampleNear(track, at, numFrames) {
  let best = { frame: 0, far: Infinity, x: 0, y: 0 };
  const step = Math.max(1, Math.floor(numFrames / 500));
  for (let frame = 0; frame < numFrames; frame += step) {
    const point = positionAt(track, frame);
    const far = distance(point, at);
    if (far < best.far) best = { frame, far, ...point };
  }
  return `${track.id} sample ${best.frame} at ${best.x.toFixed(1)}, ${best.y.toFixed(1)}`;
}
