/**
 * The editor in a node: one hidden text widget keeps the drawing, a DOM widget that is never saved shows the editor.
 * The text is read again and again, not only when it is said to have changed: a load, an undo of the graph, a paste of
 * the node and a promoted widget of a subgraph say nothing.
 */

import { translate } from "../language/language.js";
import { TrackEditor } from "./editor.js";
import { after, inherit, keyOf, leave, makePlace, placeIn, tellOfChange } from "./in_node.js";
import { fitBehind } from "./io/downstream.js";
import { maskPicture, writingOf } from "./io/mask_picture.js";
import { loaderValue, upload } from "./io/upload.js";
import { fileName, fileOf, nodeBehind, viewPath, widgetBehind } from "./io/upstream.js";

const DEFAULT_FPS = 16;
const READ_AGAIN_MS = 250;
const MIN_HEIGHT = 330;
const FIRST_SIZE = [520, 860];
/** What the node has before anybody sets it. */
const DEFAULT = { width: 128, height: 128 };
const MAX_SIDE = 8192;
const PICTURE = "motionstream_picture";
const VIDEO = /filename=[^&]*\.(mp4|webm|mov|mkv)/i;

/**
 * @typedef {import("./in_node.js").Node} Node
 * @typedef {import("./in_node.js").Api} Api
 */

/** @type {(node: Node, app: any, api: Api) => void} */
export function attachEditor(node, app, api) {
  const storage = node.widgets.find(({ name }) => name === "document");
  storage.hidden = true;
  storage.options ??= {};
  storage.options.hidden = true; // in place: who draws the node may hold the object already
  const place = makePlace("0");
  let binding = new Binding(node, storage, app, api);
  binding.moveTo(place);
  placeIn(node, "track_editor", place, MIN_HEIGHT);
  after(node, "onConfigure", () => {
    const before = inherit(keyOf(node, app));
    if (before) {
      binding.end();
      binding = before;
      binding.becomes(node, storage, place);
    }
    binding.read();
  });
  after(node, "onDrawForeground", () => binding.read());
  after(node, "onExecuted", (/** @type {any} */ output) => binding.executed(output));
  after(node, "onRemoved", () => {
    const left = binding;
    left.pause();
    leave(left.key, left, () => left.end());
  });
  node.setSize(FIRST_SIZE.map((side, i) => Math.max(side, node.size[i])));
}

/**
 * The editor of the node `inner` on another node as well: that of a subgraph around it, which promotes the drawing.
 * Returns what takes it away again.
 * @type {(inner: Node, host: Node, app: any, api: Api) => () => void}
 */
export function attachEditorOf(inner, host, app, api) {
  const storage = inner.widgets.find(({ name }) => name === "document");
  const place = makePlace("0");
  const binding = new Binding(inner, storage, app, api);
  binding.moveTo(place);
  const widget = placeIn(host, "track_editor", place, MIN_HEIGHT);
  host.setSize(FIRST_SIZE.map((side, i) => Math.max(side, host.size[i])));
  return () => {
    binding.end();
    /** @type {any} */ (host).removeWidget?.(widget);
  };
}

class Binding {
  /**
   * @param {Node} node
   * @param {any} storage
   * @param {any} app
   * @param {Api} api
   */
  constructor(node, storage, app, api) {
    this.node = node;
    this.storage = storage;
    this.app = app;
    this.api = api;
    this.graphNode = /** @type {import("./io/upstream.js").GraphNode} */ (/** @type {unknown} */ (node));
    /** Whether another node gives the drawing. */
    this.isLinked = false;
    /** @type {string | null} */
    this.text = null;
    this.shown = "";
    this.clip = "";
    /** Whose all this is; see keyOf. */
    this.key = "";
    /** The size that an untouched drawing was given by its picture. @type {{width: number, height: number} | null} */
    this.given = null;
    /** The picture that the node had at its last run. @type {import("./io/upstream.js").FileName | null} */
    this.inputPicture = null;
    /** The mask that it had. @type {import("./io/upstream.js").FileName | null} */
    this.inputMask = null;
    /** What the workflow showed or saved last: an image or a video. @type {import("./io/upstream.js").FileName | null} */
    this.lastResult = null;
    this.editor = new TrackEditor({
      canvas: () => this.canvas(),
      changed: (text) => this.write(text),
      imageImported: (file) => void this.keep(file),
      pictures: [
        ["auto", "From the loader"],
        ["last", "Last result (image or video)"],
        ["none", "None"],
      ],
      choosePicture: (which) => this.choose(which),
      takeSize: (size) => this.setSize(size),
      mask: () => this.mask(),
    });
    this.result = (/** @type {any} */ { detail }) => this.resulted(detail?.output);
    api.addEventListener("executed", this.result);
    this.timer = setInterval(() => this.read(), READ_AGAIN_MS);
    this.read();
  }

  /** The editor, put where the node shows it. @type {(place: HTMLElement) => void} */
  moveTo(place) {
    this.editor.moveTo(place);
  }

  /** Another node has come in the place of the one before. @type {(node: Node, storage: any, place: HTMLElement) => void} */
  becomes(node, storage, place) {
    this.node = node;
    this.storage = storage;
    this.graphNode = /** @type {import("./io/upstream.js").GraphNode} */ (/** @type {unknown} */ (node));
    this.moveTo(place);
    this.timer = setInterval(() => this.read(), READ_AGAIN_MS);
  }

  /** The node is gone; another may come in its place. */
  pause() {
    clearInterval(this.timer);
  }

  end() {
    clearInterval(this.timer);
    this.api.removeEventListener("executed", this.result);
    this.editor.destroy();
  }

  /** The node's own clip; null where an input comes by a link, so that it is not known here. */
  canvas() {
    const values = ["width", "height", "length"].map((name) => {
      const value = Number(widgetBehind(this.graphNode, name)?.value);
      return Number.isInteger(value) && value > 0 ? value : null;
    });
    const [width, height, num_frames] = values;
    return width && height && num_frames ? { width, height, num_frames, fps: DEFAULT_FPS } : null;
  }

  /** What the widget and the graph say now. */
  read() {
    if (this.node.graph) this.key = keyOf(this.node, this.app);
    const holder = widgetBehind(this.graphNode, this.storage.name);
    if (!holder !== this.isLinked) {
      this.isLinked = !holder;
      this.editor.notify(this.isLinked ? "The drawing comes by a link: what is drawn here is not used" : "");
    }
    const value = (holder ?? this.storage).value;
    const text = typeof value === "string" ? value : "";
    const clip = JSON.stringify(this.canvas());
    // An untouched drawing goes with the node's size and length.
    if (text !== this.text || (!text.trim() && clip !== this.clip)) {
      this.text = text;
      this.editor.setText(text);
    }
    if (clip !== this.clip) {
      this.clip = clip;
      this.editor.repaint();
    }
    this.editor.surface.setPictureFit(fitBehind(this.graphNode));
    this.showPicture();
  }

  /** @type {(text: string) => void} */
  write(text) {
    this.text = text;
    // Promoted, the value is the outer node's; the inner widget goes along, for whoever takes it back.
    for (const widget of new Set([this.storage, widgetBehind(this.graphNode, this.storage.name)])) {
      if (!widget) continue;
      widget.value = text;
      widget.callback?.(text);
    }
    this.changed();
  }

  /** The graph learns of it, so that it can be saved and its own undo knows. */
  changed() {
    tellOfChange(this.node, this.app);
  }

  // The picture below.

  /** @type {(which: string) => void} */
  choose(which) {
    this.node.properties[PICTURE] = which;
    this.changed();
    this.showPicture();
  }

  showPicture() {
    const address = this.address();
    if (address === this.shown) return;
    this.shown = address;
    const shown = VIDEO.test(address) ? this.editor.setVideo(address) : this.editor.setImage(address || null);
    shown
      .then(() => address === this.shown && this.giveSize())
      .catch(() => this.editor.notify("The picture could not be loaded"));
  }

  /** The size of the picture shown becomes that of a node in which nobody has drawn, nor set one. */
  giveSize() {
    const { image } = this.editor.surface;
    const now = this.canvas();
    const untouched = [DEFAULT, this.given].some((each) => each?.width === now?.width && each?.height === now?.height);
    const isOthers = this.node.properties[PICTURE] === "last";
    if (!image || !now || this.text?.trim() || !untouched || isOthers) return;
    if (image.width === now.width && image.height === now.height) return;
    this.given = this.setSize(image);
  }

  /** The node's own width and height; where they come by a link they stay. @type {(size: {width: number, height: number}) => {width: number, height: number} | null} */
  setSize({ width, height }) {
    const [across, down] = ["width", "height"].map((name) => widgetBehind(this.graphNode, name));
    if (!across || !down) {
      this.editor.notify("Width and height come by links: set them there");
      return null;
    }
    const shrink = Math.min(1, MAX_SIDE / Math.max(width, height));
    const size = { width: Math.round(width * shrink), height: Math.round(height * shrink) };
    for (const [widget, value] of /** @type {const} */ ([
      [across, size.width],
      [down, size.height],
    ])) {
      widget.value = value;
      widget.callback?.(value);
    }
    this.changed();
    this.read();
    return size;
  }

  /** The mask that comes in: of the loader's file, or as the node had it at its last run; else what is painted in the picture's loader. */
  async mask() {
    const source = nodeBehind(this.graphNode, "mask");
    const loader = source ?? nodeBehind(this.graphNode, "image");
    const [file, writing] = [fileOf(loader), writingOf(loader)];
    if (file && writing) return maskPicture(this.url(file), writing);
    return source && this.inputMask ? maskPicture(this.url(this.inputMask), "red") : null;
  }

  /** Where the picture is to be had, "" for none. */
  address() {
    const chosen = this.node.properties[PICTURE] ?? "auto";
    if (chosen === "none") return "";
    if (chosen === "last") return this.lastResult ? this.url(this.lastResult) : "";
    if (chosen !== "auto") return this.url(fileName(chosen));
    const source = nodeBehind(this.graphNode, "image");
    if (source?.motionstreamPicture) return source.motionstreamPicture;
    const file = fileOf(source) ?? (source ? this.inputPicture : null);
    return file ? this.url(file) : (source?.imgs?.[0]?.src ?? "");
  }

  /** @type {(file: import("./io/upstream.js").FileName) => string} */
  url(file) {
    return this.api.apiURL(viewPath(file));
  }

  /** @type {(output: any) => void} */
  executed(output) {
    this.inputPicture = output?.motionstream_picture?.[0] ?? this.inputPicture;
    this.inputMask = output?.motionstream_mask?.[0] ?? this.inputMask;
    this.showPicture();
  }

  /** @type {(output: any) => void} */
  resulted(output) {
    const file = [...(output?.images ?? []), ...(output?.video ?? []), ...(output?.gifs ?? [])].at(-1);
    if (!file?.filename) return;
    this.lastResult = { filename: file.filename, subfolder: file.subfolder ?? "", type: file.type ?? "output" };
    this.showPicture();
  }

  /** A picture that was dropped or pasted goes into ComfyUI's input folder, so that it is there after a reload. @type {(file: File) => Promise<void>} */
  async keep(file) {
    try {
      const kept = await upload(this.api, file, "motionstream");
      this.choose(`${loaderValue(kept)} [${kept.type}]`);
    } catch (error) {
      this.editor.notify(
        translate("The picture was not kept: {}", error instanceof Error ? error.message : String(error)),
      );
    }
  }
}
