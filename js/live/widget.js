/** The stage in a node: it opens when the queued workflow comes to the node, and stays for the next time. */

import { nodeOfExecution } from "../track_editor/io/upstream.js";
import { make } from "../track_editor/view/elements.js";
import { after } from "../track_editor/widget.js";
import { addressesBelow } from "./protocol.js";
import { Stage } from "./stage.js";
import { addLiveStyle } from "./style.js";

/**
 * @typedef {import("../track_editor/widget.js").Node} Node
 * @typedef {import("../track_editor/widget.js").Api} Api
 * @typedef {{node: string, session: string, state: "open" | "closed"}} LiveEvent
 */

const EVENT = "motionstream.live";
const MIN_HEIGHT = 320;
const FIRST_SIZE = [560, 720];
const WAITING = "Queue the workflow: the stage opens here";

/** @type {(node: Node, app: any, api: Api) => void} */
export function attachLive(node, app, api) {
  addLiveStyle(document);
  const binding = new LiveBinding(node, app, api);
  const widget = node.addDOMWidget("live_stage", "MOTIONSTREAM_LIVE_STAGE", binding.place, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => MIN_HEIGHT,
    getValue: () => "",
    setValue: () => {},
  });
  widget.serialize = false;
  after(node, "onRemoved", () => binding.end());
  node.setSize(FIRST_SIZE.map((side, i) => Math.max(side, node.size[i])));
}

class LiveBinding {
  /** @type {Stage | null} */
  stage = null;

  /**
   * @param {Node} node
   * @param {any} app
   * @param {Api} api
   */
  constructor(node, app, api) {
    this.node = node;
    this.app = app;
    this.api = api;
    this.place = make("div", { className: "mste-place" });
    this.place.style.cssText = "width: 100%; height: 100%; min-height: 0;";
    this.listener = (/** @type {any} */ { detail }) => this.told(detail);
    api.addEventListener(EVENT, this.listener);
    this.place.append(make("div", { className: "mste-wait" }, WAITING));
  }

  end() {
    this.api.removeEventListener(EVENT, this.listener);
    this.stage?.end();
    this.stage = null;
  }

  /** @type {(event: LiveEvent) => void} */
  told({ node, session, state }) {
    const root = this.app.rootGraph ?? this.node.graph?.rootGraph ?? this.node.graph;
    if (nodeOfExecution(root, String(node)) !== /** @type {unknown} */ (this.node)) return;
    if (state === "open") this.open(session);
    else if (session === this.stage?.session) this.stage.closed();
  }

  /** @type {(session: string) => void} */
  open(session) {
    if (this.stage?.session === session) return;
    this.stage ??= this.makeStage();
    this.stage.open(session);
  }

  makeStage() {
    const base = new URL(this.api.apiURL("/"), location.href).href;
    const stage = new Stage({ addresses: addressesBelow(base) });
    this.place.replaceChildren(stage.editor.element);
    return stage;
  }
}
