/** Thumbnails in the nodes that begin a workflow: the bundled pictures or videos, the user's own file, and a place to drop one. */

import { translate } from "../language/language.js";
import { placeIn, tellOfChange } from "../track_editor/in_node.js";
import { loaderValue, upload } from "../track_editor/io/upload.js";
import { fileName, viewPath } from "../track_editor/io/upstream.js";
import { whileInGraph } from "../track_editor/presence.js";
import { make } from "../track_editor/view/elements.js";
import { addPickerStyle } from "./style.js";

const BUNDLED = "bundled/";
const MIN_HEIGHT = 132;
/** @type {Record<string, string>} */
const CHOOSE = { image: "Choose an image", video: "Choose a video" };
/** @type {Record<string, string>} */
const OWN = { image: "An image of your own", video: "A video of your own" };

/** What each node picks: its widget, the kind of file, the ending of the bundled ones; its first size shows all of them. */
export const PICKERS = {
  MotionStreamPicture: { name: "image", kind: "image", ending: ".png", size: [340, 330] },
  MotionStreamReferenceVideo: { name: "file", kind: "video", ending: ".mp4", size: [340, 230] },
};

/**
 * @typedef {import("../track_editor/in_node.js").Node & {onDragOver?: Function, onDragDrop?: Function,
 *   motionstreamPicture?: string, comfyClass: keyof typeof PICKERS}} Node
 * @typedef {import("../track_editor/in_node.js").Api} Api
 */

/** @type {(node: Node, app: any, api: Api) => void} */
export function attachPicker(node, app, api) {
  addPickerStyle(document);
  const picker = new Picker(node, app, api);
  placeIn(node, "picker", picker.element, MIN_HEIGHT);
  whileInGraph(node, () => picker.read());
  node.onDragOver = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer?.items.length);
  node.onDragDrop = (/** @type {DragEvent} */ event) => picker.drop(event);
  node.setSize(PICKERS[node.comfyClass].size.map((side, i) => Math.max(side, node.size[i])));
}

class Picker {
  /**
   * @param {Node} node
   * @param {any} app
   * @param {Api} api
   */
  constructor(node, app, api) {
    this.node = node;
    this.app = app;
    this.api = api;
    this.what = PICKERS[node.comfyClass];
    this.widget = node.widgets.find(({ name }) => name === this.what.name);
    this.said = make("span", { className: "msp-said", role: "status" });
    this.list = make("div", { className: "msp-list", role: "listbox", ariaLabel: translate(CHOOSE[this.what.kind]) });
    this.file = make("input", { type: "file", accept: `${this.what.kind}/*`, hidden: true });
    this.file.onchange = () => this.file.files?.[0] && void this.take(this.file.files[0]);
    this.element = make("div", { className: "msp" }, this.list, this.said, this.file);
    this.element.ondragover = (event) => event.preventDefault();
    this.element.ondrop = (event) => {
      if (!this.drop(event)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    /** @type {string | null} */
    this.shown = null;
    this.read();
  }

  /** Thumbnails as the widget says now. */
  read() {
    const value = String(this.widget.value ?? "");
    if (value === this.shown) return;
    this.shown = value;
    const { kind } = this.what;
    /** @type {string[]} */
    const values = this.widget.options?.values ?? [];
    const offered = values.filter((each) => each.startsWith(BUNDLED));
    const own = value && !offered.includes(value) ? [value] : [];
    const add = make("button", { type: "button", className: "msp-add", title: translate(OWN[kind]) });
    add.textContent = translate("+ your own");
    add.onclick = () => this.file.click();
    this.list.replaceChildren(...[...offered, ...own].map((each) => this.thumbnail(each, each === value)), add);
    if (kind === "image") this.node.motionstreamPicture = this.address(value);
    this.node.graph?.setDirtyCanvas?.(true, true);
  }

  /** @type {(value: string, chosen: boolean) => HTMLElement} */
  thumbnail(value, chosen) {
    const name = value.replace(BUNDLED, "").replaceAll("_", " ");
    const src = this.address(value);
    const picture =
      this.what.kind === "image"
        ? make("img", { src, alt: name, draggable: false })
        : make("video", { src, muted: true, loop: true, autoplay: true, playsInline: true });
    picture.onerror = () => this.say(translate("{} cannot be shown", name));
    const label = make("span", {}, name);
    const option = make("button", { type: "button", role: "option", title: name, ariaSelected: String(chosen) });
    option.append(picture, label);
    option.onclick = () => this.choose(value);
    return option;
  }

  /** @type {(value: string) => string} */
  address(value) {
    if (!value.startsWith(BUNDLED)) return this.api.apiURL(viewPath(fileName(value)));
    return new URL(`./${value}${this.what.ending}`, import.meta.url).href;
  }

  /** @type {(value: string) => void} */
  choose(value) {
    this.say("");
    this.widget.value = value;
    this.widget.callback?.(value);
    tellOfChange(this.node, this.app);
    this.read();
  }

  /** Whether a file that was dropped is taken. @type {(event: DragEvent) => boolean} */
  drop(event) {
    const file = [...(event.dataTransfer?.files ?? [])].find(({ type }) => type.startsWith(`${this.what.kind}/`));
    if (!file) return false;
    void this.take(file);
    return true;
  }

  /** The user's file goes into ComfyUI's input folder, as a loader of core's would put it. @type {(file: File) => Promise<void>} */
  async take(file) {
    this.say(translate("{} is sent to ComfyUI", file.name));
    try {
      const value = loaderValue(await upload(this.api, file));
      const { values } = this.widget.options;
      if (Array.isArray(values) && !values.includes(value)) values.push(value);
      this.choose(value);
    } catch (error) {
      this.say(translate("{} was not taken: {}", file.name, error instanceof Error ? error.message : String(error)));
    }
  }

  /** @type {(text: string) => void} */
  say(text) {
    this.said.textContent = text;
  }
}
