/** The drawing surface: its size, the viewport, and pointers turned into a tool's events. */

import { translate } from "../../language/language.js";
import { distance, fitted, panned, toImage, viewPoint, zoomed } from "../curve/geometry.js";
import { findTrack } from "../document/edits.js";
import { positionAt } from "../document/sampling.js";
import { hitTest } from "../tools/hit.js";
import { colourOf, labelOf } from "./colours.js";
import { swallow } from "./elements.js";
import { Layers } from "./layers.js";
import { pixelsOf } from "./picture.js";

/**
 * @typedef {import("../curve/geometry.js").ViewPoint} ViewPoint
 * @typedef {import("../document/format.js").Track} Track
 */

/**
 * Who takes pointers before the tools do, as many at once as there are: hands on a live picture. Places are [x, y] in px
 * of the image, with the ms at which the pointer was there. `reach` is how near is near enough, in px of the image.
 * @typedef {readonly [x: number, y: number, t_ms: number]} PointerSample
 * @typedef {object} PointerTaker
 * @property {(pointer: number, sample: PointerSample, reach: number) => boolean} down  whether it takes the pointer
 * @property {(pointer: number, samples: readonly PointerSample[]) => void} move
 * @property {(pointer: number) => void} up
 * @property {(pointer: number) => void} lost
 * @property {(at: import("../curve/geometry.js").ImagePoint | null) => void} hover  a mouse that holds nothing; null: away
 * @property {(factor: number) => void} wheel
 */

const FINGER_REACH_PX = 18;
const MOUSE_REACH_PX = 9;
const DOUBLE_MS = 350;
const WHEEL_STEP = 1.0015;
const SETTLE_MS = 120;
const MARGIN_PX = 8;

export class Surface {
  /** @type {import("../curve/geometry.js").Viewport} */
  view = { scale: 1, x: 0, y: 0 };
  size = { width: 0, height: 0 };
  density = 1;
  /** Whether the view still shows the whole clip, and follows the surface's size. */
  fits = true;
  /** @type {import("./picture.js").Picture | null} */
  image = null;
  /** How the picture is fitted into the clip's frame. @type {import("./picture.js").Fit} */
  pictureFit = "crop";
  /** @type {import("./curves.js").Colours} */
  colours = colourOf;
  /** What the pointer is over, in words. */
  hint = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  settling = undefined;
  /** @type {Map<number, ViewPoint>} fingers on the surface */
  touches = new Map();
  /** @type {{id: number, panning: boolean, last: ViewPoint} | null} */
  held = null;
  lastUp = { time: 0, at: viewPoint(0, 0) };
  /** @type {PointerTaker | null} */
  taker = null;
  /** The pointers that it took. @type {Set<number>} */
  taken = new Set();

  /**
   * @param {import("../state/model.js").EditorModel} model
   * @param {() => void} focus  gives the editor the keyboard
   * @param {AbortSignal} signal  ends all listeners
   */
  constructor(model, focus, signal) {
    this.model = model;
    this.focus = focus;
    this.element = document.createElement("div");
    this.element.className = "mste-surface";
    this.layers = new Layers();
    this.element.append(this.layers.base, this.layers.top);
    model.pixels = this.pixels;
    const options = { signal };
    this.element.addEventListener("pointerdown", (event) => this.down(event), options);
    this.element.addEventListener("pointermove", (event) => this.move(event), options);
    this.element.addEventListener("pointerup", (event) => this.up(event), options);
    this.element.addEventListener("pointercancel", (event) => this.lost(event), options);
    this.element.addEventListener("lostpointercapture", (event) => this.lost(event), options);
    this.element.addEventListener("pointerleave", () => this.leave(), options);
    this.element.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    this.element.addEventListener("contextmenu", swallow, options);
    this.element.addEventListener("dblclick", (event) => event.stopPropagation(), options);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.element);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      clearTimeout(this.settling);
    });
  }

  resize() {
    this.size = { width: this.element.clientWidth, height: this.element.clientHeight };
    if (!this.size.width || !this.size.height) return;
    // As sharp as the screen shows it, however the page or the graph is zoomed.
    this.density = densityOf(this.element.getBoundingClientRect().width / this.size.width);
    this.layers.resize(this.size, this.density);
    if (this.fits) this.fit();
    this.model.changed();
  }

  fit() {
    this.fits = true;
    if (this.size.width) this.view = fitted(this.size, this.model.document.canvas, MARGIN_PX);
    this.model.changed();
  }

  /** @type {(factor: number, at?: ViewPoint) => void} */
  zoom(factor, at = viewPoint(this.size.width / 2, this.size.height / 2)) {
    this.view = zoomed(this.view, at, factor);
    this.fits = false;
    this.model.changed();
  }

  /** @type {(image: import("./picture.js").Picture | null) => void} */
  setImage(image) {
    this.image = image;
    this.repaint();
  }

  /** The lower layer anew: its picture is another one. */
  repaint() {
    this.layers.forget();
    this.model.changed();
  }

  /** The next picture of a stream; all else on the lower layer is as it was. @type {(image: import("./picture.js").Picture) => void} */
  showFrame(image) {
    this.image = image;
    this.model.changed();
  }

  /** @type {(fit: import("./picture.js").Fit) => void} */
  setPictureFit(fit) {
    if (fit === this.pictureFit) return;
    this.pictureFit = fit;
    this.model.changed();
  }

  /** The picture as it lies over the canvas, in so many columns and rows. @type {import("../tools/tool.js").Pixels} */
  pixels = (columns, rows) =>
    this.image && pixelsOf(this.image, this.model.document.canvas, this.pictureFit, columns, rows);

  paint() {
    if (this.size.width && !this.layers.paint(this)) this.settle();
  }

  /** A picture that was moved along is painted anew when all is at rest. */
  settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      if (this.held) return this.settle();
      this.layers.forget();
      this.model.changed();
    }, SETTLE_MS);
  }

  /** Where an event is on the surface, whatever scales it on the page. @type {(event: MouseEvent) => ViewPoint} */
  at(event) {
    const box = this.element.getBoundingClientRect();
    const scale = box.width ? this.size.width / box.width : 1;
    // A page that is zoomed changes no size that an observer sees.
    if (this.size.width && densityOf(1 / scale) !== this.density) this.resize();
    return viewPoint((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
  }

  /** @type {(type: import("../tools/tool.js").ToolEvent["type"], event: PointerEvent) => void} */
  send(type, event) {
    const { shiftKey: shift, altKey: alt } = event;
    const reach = reachOf(event);
    const ctrl = event.ctrlKey || event.metaKey;
    this.model.send({ type, at: this.at(event), shift, alt, ctrl, reach }, this.view);
  }

  /** @type {(event: PointerEvent) => PointerSample} */
  sampleOf(event) {
    const { x, y } = toImage(this.view, this.at(event));
    return [x, y, event.timeStamp];
  }

  /** The middle button belongs to the graph around: it pans there. */
  get isMiddleOthers() {
    return !this.element.closest(".mste-full") && (!this.taker || this.element.closest(".mste-place") !== null);
  }

  /** @type {(event: PointerEvent) => void} */
  down(event) {
    if (event.button === 1 && this.isMiddleOthers) return;
    swallow(event);
    this.focus();
    this.element.setPointerCapture(event.pointerId);
    const at = this.at(event);
    const panning = event.button !== 0 || this.spaceHeld;
    if (
      this.taker &&
      !panning &&
      this.taker.down(event.pointerId, this.sampleOf(event), reachOf(event) / this.view.scale)
    ) {
      this.taken.add(event.pointerId);
      return;
    }
    if (event.pointerType === "touch" && !this.taker) {
      this.touches.set(event.pointerId, at);
      if (this.touches.size === 2) {
        if (this.held) this.model.send({ type: "cancel" }, this.view);
        this.held = null;
        return;
      }
    }
    if (this.held) return;
    this.held = { id: event.pointerId, panning, last: at };
    this.model.cursor = null;
    if (!panning) this.send("down", event);
  }

  /** Space held with the pointer pans; set by the editor's keys. */
  spaceHeld = false;
  panned = false;

  /** The pointer has not moved, but time has; `last` lets it go. @type {(last: boolean) => void} */
  repeatPointer(last) {
    if (!this.held || this.held.panning) return;
    this.model.send({ type: last ? "up" : "move", at: this.held.last }, this.view);
    if (last) this.held = null;
  }

  /** @type {(event: PointerEvent) => void} */
  move(event) {
    if (this.held || this.touches.size || this.taken.size) event.stopPropagation();
    if (this.taken.has(event.pointerId)) {
      return this.taker?.move(
        event.pointerId,
        coalesced(event).map((each) => this.sampleOf(each)),
      );
    }
    const at = this.at(event);
    if (this.touches.size === 2 && this.touches.has(event.pointerId)) return this.pinch(event.pointerId, at);
    if (!this.held) {
      if (this.taker) return this.taker.hover(event.pointerType === "touch" ? null : toImage(this.view, at));
      this.hover(at, reachOf(event));
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
    for (const each of this.model.toolState?.stroke ? coalesced(event) : [event]) this.send("move", each);
    if (!this.taker) this.hover(at, 0);
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
    if (this.taken.delete(event.pointerId)) {
      event.stopPropagation();
      return this.taker?.up(event.pointerId);
    }
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

  /** The system took the pointer away: whatever was begun is undone. @type {(event: PointerEvent) => void} */
  lost(event) {
    if (this.taken.delete(event.pointerId)) return this.taker?.lost(event.pointerId);
    this.touches.delete(event.pointerId);
    if (event.pointerId !== this.held?.id) return;
    const { panning } = this.held;
    this.held = null;
    if (!panning) this.model.send({ type: "cancel" }, this.view);
  }

  leave() {
    this.hint = "";
    this.taker?.hover(null);
    if (!this.held && ["grid", "paint"].includes(this.model.overlay?.kind ?? "")) this.model.overlay = null;
    this.model.changed();
  }

  /** @type {(event: WheelEvent) => void} */
  wheel(event) {
    swallow(event);
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 200 : 1;
    const factor = WHEEL_STEP ** (-event.deltaY * lines);
    if (this.taker && !event.ctrlKey) this.taker.wheel(factor);
    else this.zoom(factor, this.at(event));
  }

  /** Position under the pointer, and the sample of the track that it is over. @type {(at: ViewPoint, reach: number) => void} */
  hover(at, reach) {
    const { x, y } = toImage(this.view, at);
    this.hint = `x ${x.toFixed(1)}  y ${y.toFixed(1)}`;
    const { document, selection, frame } = this.model;
    const hit = reach ? hitTest({ document, selection, frame, view: this.view }, at, reach) : null;
    const track = hit && findTrack(document, hit.id);
    this.layers.top.style.cursor = hit && this.model.tool.name === "select" ? "pointer" : this.model.tool.cursor;
    if (track) this.hint += `  ·  ${sampleNear(track, { x, y }, document.canvas.num_frames)}`;
    this.model.changed();
  }
}

/** Px of the screen for one of the surface. @type {(shown: number) => number} */
const densityOf = (shown) => Math.min(4, Math.max(1, devicePixelRatio * (shown || 1)));

/** @type {(event: PointerEvent) => number} */
const reachOf = ({ pointerType }) => (pointerType === "mouse" ? MOUSE_REACH_PX : FINGER_REACH_PX);

/** All that the pointer reported since the last event. @type {(event: PointerEvent) => PointerEvent[]} */
function coalesced(event) {
  const events = event.getCoalescedEvents?.() ?? [];
  return events.length ? events : [event];
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
  return translate("{} sample {} at {}, {}", labelOf(track), best.frame, best.x.toFixed(1), best.y.toFixed(1));
}
