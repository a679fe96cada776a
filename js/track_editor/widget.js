/**
 * The editor in a node: one hidden text widget keeps the drawing, a DOM widget that is never saved shows the editor.
 * The text is read again and again, not only when it is said to have changed: a load, an undo of the graph, a paste of
 * the node and a promoted widget of a subgraph say nothing.
 */

import { TrackEditor } from "./editor.js";
import { fileName, fileOf, nodeBehind, viewPath, widgetBehind } from "./io/upstream.js";
import { make } from "./view/elements.js";

const DEFAULT_FPS = 16;
const READ_AGAIN_MS = 250;
const MIN_HEIGHT = 320;
const FIRST_SIZE = [520, 720];
const PICTURE = "motionstream_picture";
const VIDEO = /filename=[^&]*\.(mp4|webm|mov|mkv)/i;

/**
 * @typedef {{addDOMWidget: Function, widgets: any[], inputs?: any[], properties: Record<string, any>, graph: any, size: number[],
 *   setSize: (size: number[]) => void, onConfigure?: Function, onRemoved?: Function, onExecuted?: Function,
 *   onDrawForeground?: Function, onDrawBackground?: Function, hideOutputImages?: boolean, id: any, imgs?: any}} Node
 * @typedef {EventTarget & {fetchApi: (path: string, options?: RequestInit) => Promise<Response>, apiURL: (path: string) => string}} Api
 */

/** @type {(node: Node, app: any, api: Api) => void} */
export function attachEditor(node, app, api) {
  const storage = node.widgets.find(({ name }) => name === "document");
  storage.hidden = true;
  storage.options ??= {};
  storage.options.hidden = true; // in place: who draws the node may hold the object already
  const binding = new Binding(node, storage, app, api);
  const place = make("div", { className: "mste-place" }, binding.editor.element);
  place.style.cssText = "width: 100%; height: 100%; min-height: 0;";
  placeIn(node, "track_editor", place, MIN_HEIGHT);
  after(node, "onConfigure", () => binding.read());
  after(node, "onDrawForeground", () => binding.read());
  after(node, "onExecuted", (/** @type {any} */ output) => binding.executed(output));
  after(node, "onRemoved", () => binding.end());
  node.setSize(FIRST_SIZE.map((side, i) => Math.max(side, node.size[i])));
}

/**
 * The editor of the node `inner` on another node as well: that of a subgraph around it, which promotes the drawing.
 * Returns what takes it away again.
 * @type {(inner: Node, host: Node, app: any, api: Api) => () => void}
 */
export function attachEditorOf(inner, host, app, api) {
  const storage = inner.widgets.find(({ name }) => name === "document");
  const binding = new Binding(inner, storage, app, api);
  const place = make("div", { className: "mste-place" }, binding.editor.element);
  place.style.cssText = "width: 100%; height: 100%; min-height: 0;";
  const widget = placeIn(host, "track_editor", place, MIN_HEIGHT);
  host.setSize(FIRST_SIZE.map((side, i) => Math.max(side, host.size[i])));
  return () => {
    binding.end();
    /** @type {any} */ (host).removeWidget?.(widget);
  };
}

/** An element that the node shows and never saves. @type {(node: Node, name: string, place: HTMLElement, minHeight: number) => any} */
export function placeIn(node, name, place, minHeight) {
  const widget = node.addDOMWidget(name, `MOTIONSTREAM_${name.toUpperCase()}`, place, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => minHeight,
    getValue: () => "",
    setValue: () => {},
  });
  widget.serialize = false;
  // As wide as the node: the page's panel of properties would make it as wide as itself.
  Object.defineProperty(widget, "width", { configurable: true, get: () => undefined, set: () => {} });
  return widget;
}

/** `more` done after whatever the node does already. @type {(node: any, name: string, more: (...values: any[]) => void) => void} */
export function after(node, name, more) {
  const before = node[name];
  node[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values);
    more(...values);
    return result;
  };
}

/** The graph is another: to be drawn, to be saved, to be undone. @type {(node: Node, app: any) => void} */
export function tellOfChange(node, app) {
  node.graph?.setDirtyCanvas?.(true, true);
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState();
  else tracker?.checkState?.();
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
    /** The picture that the node had at its last run. @type {import("./io/upstream.js").FileName | null} */
    this.inputPicture = null;
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
    });
    this.result = (/** @type {any} */ { detail }) => this.resulted(detail?.output);
    api.addEventListener("executed", this.result);
    this.timer = setInterval(() => this.read(), READ_AGAIN_MS);
    this.read();
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
    shown.catch(() => this.editor.notify("The picture could not be loaded"));
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
    const body = new FormData();
    body.append("image", file, file.name || "pasted.png");
    body.append("subfolder", "motionstream");
    const answer = await this.api.fetchApi("/upload/image", { method: "POST", body });
    if (!answer.ok) return this.editor.notify(`The picture was not kept: ${answer.status} ${answer.statusText}`);
    const { name, subfolder, type } = await answer.json();
    this.choose(`${subfolder ? `${subfolder}/` : ""}${name} [${type}]`);
  }
}
