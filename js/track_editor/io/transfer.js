/** What comes in and goes out: the clipboard, files dropped, opened and saved. */

import { translate } from "../../language/language.js";
import { FORMAT, serialise } from "../document/format.js";
import { parseDocument } from "../document/parse.js";
import { pasteDocument } from "../state/commands.js";
import { colourOf } from "../view/colours.js";
import { make, swallow } from "../view/elements.js";
import { ATI_NUM_SAMPLES, fromCoordinates, toCoordinates } from "./coordinates.js";
import { fromNpz, toNpz } from "./npz.js";
import { fromSvg, toSvg } from "./svg.js";

/**
 * Shapes of text in any of the forms: a document of this editor, coordinate lists, or SVG.
 * @type {(text: string, canvas: import("../document/format.js").Canvas) => import("../document/format.js").Shape[]}
 */
export function importText(text, canvas) {
  const trimmed = text.trim();
  if (/^(<|[Mm]\s*[-+.\d])/.test(trimmed)) return fromSvg(trimmed, canvas);
  if (/^\{.*"format"/s.test(trimmed)) return parseDocument(trimmed, canvas).tracks.map(({ id: _, ...shape }) => shape);
  return fromCoordinates(trimmed, canvas);
}

/**
 * notify: words for the user. picture: an image has come, to be shown below the tracks. takesTracks: false where only
 * pictures are wanted.
 * @typedef {{notify: (message: string) => void, picture: (file: File) => Promise<void>, takesTracks: boolean}} TransferHost
 */

export class Transfer {
  /**
   * @param {import("../state/model.js").EditorModel} model
   * @param {TransferHost} host
   */
  constructor(model, host) {
    this.model = model;
    this.host = host;
  }

  /** `keys` has the keyboard; `element` is where files may be dropped. @type {(keys: HTMLElement, element: HTMLElement, signal: AbortSignal) => void} */
  listen(keys, element, signal) {
    const options = { signal };
    keys.addEventListener("copy", (event) => this.copied(event), options);
    keys.addEventListener("cut", (event) => this.copied(event), options);
    keys.addEventListener("paste", (event) => this.pasted(event), options);
    element.addEventListener("dragover", swallow, options);
    element.addEventListener("drop", (event) => this.dropped(event), options);
  }

  /** @type {(event: ClipboardEvent) => void} */
  copied(event) {
    const { model } = this;
    const tracks = model.selectedTracks;
    if (!tracks.length || !this.host.takesTracks) return;
    event.preventDefault();
    event.clipboardData?.setData("text/plain", serialise({ canvas: model.document.canvas, tracks }));
    model.run({ name: event.type });
  }

  /** @type {(event: ClipboardEvent) => void} */
  pasted(event) {
    swallow(event);
    const file = [...(event.clipboardData?.files ?? [])][0];
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (file) void this.open(file);
    else if (!this.host.takesTracks) return;
    else if (text.trim()) this.importTracks(text);
    else this.model.run({ name: "paste" });
  }

  /** @type {(event: DragEvent) => void} */
  dropped(event) {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    swallow(event);
    void this.open(file);
  }

  /** An image becomes the background; anything else is read for tracks. @type {(file: File) => Promise<void>} */
  async open(file) {
    try {
      if (file.type.startsWith("image/") && !file.type.includes("svg")) await this.host.picture(file);
      else if (!this.host.takesTracks) throw new Error(translate("only a picture can be taken here"));
      else if (file.name.endsWith(".npz"))
        this.model.add(await fromNpz(await file.arrayBuffer(), this.model.document.canvas));
      else this.importTracks(await file.text());
    } catch (error) {
      this.host.notify(`${file.name}: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** @type {(text: string) => void} */
  importTracks(text) {
    try {
      if (text.includes(`"${FORMAT}"`)) pasteDocument(this.model, parseDocument(text, this.model.document.canvas));
      else this.model.add(importText(text, this.model.document.canvas));
      this.host.notify("");
    } catch (error) {
      this.host.notify(translate("Not imported: {}", error instanceof Error ? error.message : String(error)));
    }
  }

  /** A choice of the menu of files. @type {(what: string) => void} */
  file(what) {
    const { document } = this.model;
    if (what === "import") {
      const input = make("input", {
        type: "file",
        accept: `${this.host.takesTracks ? ".json,.svg,.npz,.txt," : ""}image/*`,
      });
      input.onchange = () => input.files?.[0] && void this.open(input.files[0]);
      input.click();
    }
    if (what === "coordinates") download("tracks.json", toCoordinates(document), "application/json");
    if (what === "ati") download("tracks_ati.json", toCoordinates(document, ATI_NUM_SAMPLES), "application/json");
    if (what === "svg") download("tracks.svg", toSvg(document, colourOf), "image/svg+xml");
    if (what === "document") download("tracks_document.json", serialise(document), "application/json");
    if (what === "npz") download("tracks.npz", toNpz(document), "application/octet-stream");
  }
}

/** Bytes or text handed to the user as a file. @type {(name: string, content: BlobPart, type: string) => void} */
function download(name, content, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
