/** The editor on a page: model, surface, timeline and panels put together, with playing. */

import { translate } from "../language/language.js";
import { onPicture } from "./document/edits.js";
import { Transfer } from "./io/transfer.js";
import { Keys } from "./keys.js";
import { EditorModel } from "./state/model.js";
import { withObject } from "./tools/brush.js";
import { emptyMask, ofPicture } from "./tools/mask.js";
import { Backdrop } from "./view/backdrop.js";
import { cameraPanel } from "./view/camera_panel.js";
import { easingGraph } from "./view/easing_graph.js";
import { button, make } from "./view/elements.js";
import { FullScreen } from "./view/full_screen.js";
import { detailPanel, selectionPanel } from "./view/inspector.js";
import { emptyPanel, HELP, transportPanel } from "./view/panels.js";
import { cutOf, pixelsOf } from "./view/picture.js";
import { addStyle } from "./view/style.js";
import { Surface } from "./view/surface.js";
import { TimelineView } from "./view/timeline.js";
import { optionPanel, toolPanel } from "./view/toolbar.js";

/**
 * What takes the place of the tools and of the timeline where the picture below is a stream that answers.
 * pointers: whoever takes them before the tools. above, below: rows around the surface; over: on it. commandOf: what keys mean. run:
 * does it, and says whether there was anything to do; `time` is the event's own. play: Space.
 * @typedef {object} LiveMode
 * @property {import("./view/surface.js").PointerTaker} pointers
 * @property {(editor: TrackEditor) => {above: Panel[], over: Panel[], below: Panel[]}} panels
 * @property {typeof import("./state/keyboard.js").commandOf} commandOf
 * @property {(command: import("./state/keyboard.js").Command, time: number) => boolean} run
 * @property {() => void} play
 * @property {typeof HELP} help
 */

/**
 * What the editor lives in.
 * canvas: the clip that an untouched document takes, and that a drawing may be fitted to; null where it is not known.
 * changed: the document was edited; `text` is to be kept. imageImported: a picture was dropped, pasted or opened.
 * takeSize: the clip takes the size of the picture. toggleFull: in place of the editor's own full screen.
 * @typedef {import("./view/panels.js").Panel} Panel
 * @typedef {import("./view/panels.js").PictureHost & {canvas: () => import("./document/format.js").Canvas | null,
 *   changed: (text: string) => void, imageImported?: (file: File) => void, takeSize?: (size: import("./curve/geometry.js").Size) => void, toggleFull?: () => void, live?: LiveMode}} EditorHost
 */

const DEFAULT_CANVAS = { width: 128, height: 128, num_frames: 49, fps: 16 };

export class TrackEditor {
  /** @param {EditorHost} host */
  constructor(host) {
    addStyle(document);
    this.host = host;
    this.ending = new AbortController();
    const { signal } = this.ending;
    this.model = new EditorModel(host.canvas() ?? DEFAULT_CANVAS);
    this.model.onCommit = (text) => host.changed(text);
    this.model.listeners.add(() => this.repaint());
    this.keys = new Keys(this);
    const focus = () => this.keys.focus();
    this.surface = new Surface(this.model, focus, signal);
    this.surface.taker = host.live?.pointers ?? null;
    this.timeline = host.live ? null : new TimelineView(this.model, focus, signal);
    this.backdrop = new Backdrop(this.surface, this.model);
    this.transfer = new Transfer(this.model, {
      notify: (message) => this.notify(message),
      picture: (file) => this.importPicture(file),
      takesTracks: !host.live,
    });
    const { above, over, dock, below } = host.live ? { dock: [], ...host.live.panels(this) } : this.makePanels();
    this.panels = [...above, ...over, ...dock, ...below];
    if (!host.live) this.model.setTool("freehand"); // the first drag draws
    this.problem = make("div", { className: "mste-problem", hidden: true });
    this.help = make(
      "div",
      { className: "mste-help", hidden: true, onclick: () => this.toggleHelp(false) },
      make(
        "div",
        {},
        make("p", { className: "mste-close" }, translate("Esc or a click closes this")),
        ...(host.live?.help ?? HELP).map(([keys, what]) =>
          make("p", {}, make("b", {}, translate(keys)), ` ${translate(what)}`),
        ),
      ),
    );
    this.element = make(
      "div",
      { className: "mste" },
      ...above.map(({ row }) => row),
      this.problem,
      this.keys.field,
      make("div", { className: "mste-stage" }, this.surface.element, ...over.map(({ row }) => row)),
      this.timeline && make("div", { className: "mste-dock" }, ...dock.map(({ row }) => row), this.timeline.element),
      ...below.map(({ row }) => row),
      this.help,
    );
    this.fullScreen = new FullScreen(this.element, (event) => this.keys.elsewhere(event));
    this.listen(signal);
    this.repaint();
  }

  /** over: on the picture. dock: beside the timeline, which makes room for it, so that the picture stays where it is. @type {() => Record<"above" | "over" | "dock" | "below", Panel[]>} */
  makePanels() {
    const { model } = this;
    const [pace, details] = [easingGraph(model), detailPanel(model)];
    const above = [
      toolPanel(model, this.host, {
        file: (what) => this.transfer.file(what),
        full: () => this.toggleFull(),
        fit: () => this.surface.fit(),
        help: () => this.toggleHelp(),
      }),
      optionPanel(model, this.host, () => void this.takeMask()),
      cameraPanel(model),
    ];
    const over = [emptyPanel(model), details, pace];
    const dock = [selectionPanel(model, pace.toggle, details.toggle)];
    const below = [
      transportPanel(
        model,
        { play: () => this.togglePlay(), fitToNode: () => this.fitToHost(), takeSize: () => this.takePictureSize() },
        () => ({
          message: this.message,
          hint: this.surface.hint,
          mismatch: this.mismatch(),
          picture: this.otherSize(),
        }),
      ),
    ];
    return { above, over, dock, below };
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    const options = { signal };
    this.keys.listen(signal);
    this.transfer.listen(this.keys.field, this.element, signal);
    // What is done in the editor is no business of the graph below it.
    for (const name of ["pointerdown", "mousedown", "keydown", "copy", "cut", "paste"]) {
      this.element.addEventListener(
        name,
        (event) => {
          if (!(event instanceof MouseEvent && event.button === 1)) event.stopPropagation();
        },
        options,
      );
    }
    this.element.addEventListener("wheel", (event) => event.stopPropagation(), options);
  }

  destroy() {
    this.ending.abort();
    this.model.playing = false;
    this.model.listeners.clear();
    cancelAnimationFrame(this.request);
    this.element.remove();
    this.fullScreen.end();
  }

  request = 0;
  message = "";
  lastTick = 0;

  repaint() {
    if (this.request || this.ending.signal.aborted) return;
    this.request = requestAnimationFrame((time) => this.paint(time));
  }

  /** All anew, in a frame of the page that has begun. @type {(time: number) => void} */
  paint(time) {
    cancelAnimationFrame(this.request);
    this.request = 0;
    this.tick(time);
    for (const { update } of this.panels) update();
    this.showProblem();
    this.backdrop.seek();
    this.surface.paint();
    if (this.model.selection !== this.revealed) {
      this.revealed = this.model.selection;
      this.timeline?.reveal();
    }
    this.timeline?.paint();
  }

  /** @type {import("./document/selection.js").Selection | null} */
  revealed = null;

  /** Time goes on while playing, and while a drag is recorded. @type {(time: number) => void} */
  tick(time) {
    const { model } = this;
    const recording = model.tool.name === "record" && Boolean(model.toolState.stroke);
    if (!model.playing && !recording) {
      this.lastTick = 0;
      return;
    }
    const passed = this.lastTick ? ((time - this.lastTick) / 1000) * model.document.canvas.fps : 0;
    this.lastTick = time;
    if (recording) {
      model.frame = Math.min(model.frame + passed, model.lastFrame);
      // A pointer at rest sends nothing, but that it rests is part of the drag.
      this.surface.repeatPointer(model.frame >= model.lastFrame);
    } else model.frame = model.lastFrame ? (model.frame + passed) % (model.lastFrame + 1) : 0;
    model.frame = Math.min(model.frame, model.lastFrame);
    queueMicrotask(() => this.repaint());
  }

  togglePlay() {
    this.model.playing = !this.model.playing;
    if (!this.model.playing) this.model.frame = Math.round(this.model.frame);
    this.model.changed();
  }

  // Where it is on the page.

  /** Shown in this element from now on; in full screen, after it. @type {(place: HTMLElement) => void} */
  moveTo(place) {
    this.fullScreen.moveTo(place);
  }

  // Text and canvas from the host.

  /** @type {(text: string) => void} */
  setText(text) {
    this.model.load(text, this.host.canvas() ?? DEFAULT_CANVAS);
    if (this.surface.fits) this.surface.fit();
  }

  mismatch() {
    const wanted = this.host.canvas();
    const { width, height, num_frames } = this.model.document.canvas;
    if (!wanted || (wanted.width === width && wanted.height === height && wanted.num_frames === num_frames)) return "";
    return translate("node: {} × {} px, {} frames", wanted.width, wanted.height, wanted.num_frames);
  }

  fitToHost() {
    const wanted = this.host.canvas();
    if (wanted) this.model.fitTo({ ...wanted, fps: this.model.document.canvas.fps });
    this.surface.fit();
  }

  /** The size of the picture shown, where the clip has another; "" where not, or where it cannot be taken. */
  otherSize() {
    const { image } = this.surface;
    const { width, height } = this.model.document.canvas;
    if (!image || !this.host.takeSize || (image.width === width && image.height === height)) return "";
    return `${image.width} × ${image.height} px`;
  }

  /** The clip in the picture's size; what is drawn stays on what it was drawn over. */
  takePictureSize() {
    const { image, pictureFit } = this.surface;
    if (!image || !this.host.takeSize) return;
    const { document } = this.model;
    const size = { width: image.width, height: image.height };
    if (document.tracks.length) this.model.commit(onPicture(document, size, cutOf(image, document.canvas, pictureFit)));
    this.host.takeSize(size);
    this.surface.fit();
  }

  /** An object of what a mask covers. */
  async takeMask() {
    const source = await this.host.mask?.().catch(() => null);
    if (!source) return this.notify("No mask: connect one, or paint one in the loader; others come with the first run");
    const { canvas } = this.model.document;
    const empty = emptyMask(canvas);
    const picture = { source, width: source.width, height: source.height };
    const pixels = pixelsOf(picture, canvas, this.surface.pictureFit, empty.columns, empty.rows);
    const made =
      pixels && withObject(this.model.history.present, ofPicture(empty, pixels), this.model.options.brushPoints);
    if (made?.document) this.model.commit(made.document, made.selection);
    else this.notify("The mask covers nothing");
  }

  showProblem() {
    const { problem } = this.model;
    if (this.problem.hidden === (problem === null) && this.problem.dataset.text === String(problem)) return;
    this.problem.hidden = problem === null;
    this.problem.dataset.text = String(problem);
    if (problem === null) return this.problem.replaceChildren();
    const anew = button("Start anew", "Give the text up and begin with an empty drawing", () =>
      this.model.startAnew(this.host.canvas() ?? DEFAULT_CANVAS),
    );
    this.problem.replaceChildren(`${translate("This cannot be edited: {}", problem)} `, anew);
  }

  /** @type {(open?: boolean) => void} */
  toggleHelp(open = Boolean(this.help.hidden)) {
    this.help.hidden = !open;
    this.keys.focus();
  }

  /** @type {(file: File) => Promise<void>} */
  async importPicture(file) {
    if (!this.host.live) await this.setImage(file);
    this.host.imageImported?.(file);
  }

  /** A sentence of the page's own, or one that is translated already. @type {(message: string) => void} */
  notify(message) {
    this.message = translate(message);
    this.repaint();
  }

  /** The picture below the tracks; null for none. @type {(source: Blob | string | null) => Promise<void>} */
  setImage(source) {
    return this.backdrop.setImage(source);
  }

  /** A video below the tracks. @type {(url: string) => Promise<void>} */
  setVideo(url) {
    return this.backdrop.setVideo(url);
  }

  // Full screen.

  toggleFull() {
    if (this.host.toggleFull) return this.host.toggleFull();
    this.fullScreen.toggle();
    this.surface.resize();
    this.surface.fit();
    this.timeline?.resize();
    this.keys.focus();
  }
}
