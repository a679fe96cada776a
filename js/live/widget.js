/** The stage in a node: it opens when the queued workflow comes to the node, and stays for the next time. */

import { translate } from "../language/language.js";
import { after, inherit, keyOf, leave, makePlace, placeIn, tellOfChange } from "../track_editor/in_node.js";
import { loaderValue, upload } from "../track_editor/io/upload.js";
import { nodeBehind, nodeOfExecution } from "../track_editor/io/upstream.js";
import { make } from "../track_editor/view/elements.js";
import { addressesBelow } from "./protocol.js";
import { Stage } from "./stage.js";
import { addLiveStyle } from "./style.js";

/**
 * @typedef {import("../track_editor/in_node.js").Node} Node
 * @typedef {import("../track_editor/in_node.js").Api} Api
 * @typedef {{node: string, session: string, state: "open" | "closed"}} LiveEvent
 */

const EVENT = "motionstream.live";
/** Below this the rows leave no room for the picture. */
const MIN_HEIGHT = 440;
const FIRST_SIZE = [760, 1000];
const PROMPT_HEIGHT = 70;
const WAITING = "Run the workflow: the stage opens here, and Enter starts it";
/** Where somebody types, the keyboard is theirs. */
const TYPING = "input, textarea, select, [contenteditable=true]";

/** @type {(node: Node, app: any, api: Api) => void} */
export function attachLive(node, app, api) {
  addLiveStyle(document);
  const binding = new LiveBinding(node, app, api);
  placeIn(node, "live_stage", binding.place, MIN_HEIGHT);
  keepRoom(node);
  // A stream that runs goes on in the node that an undo of the graph puts in this one's place.
  let key = "";
  const look = () => {
    if (node.graph) key = keyOf(node, app);
  };
  after(node, "onConfigure", () => {
    look();
    binding.takeStage(inherit(key));
  });
  after(node, "onAdded", look);
  after(node, "onRemoved", () => {
    const stage = binding.end();
    if (stage) leave(key, stage, () => stage.end());
  });
  node.setSize(FIRST_SIZE.map((side, i) => Math.max(side, node.size[i])));
}

/**
 * The room is the stage's: the prompt takes no share of what the node is made larger by, and the page's own preview of
 * the finished file, which the stage links to, does not push it aside.
 * @type {(node: Node) => void}
 */
function keepRoom(node) {
  const prompt = node.widgets.find(({ name }) => name === "prompt");
  if (prompt?.options) prompt.options.getMaxHeight = () => PROMPT_HEIGHT;
  node.hideOutputImages = true;
  node.onDrawBackground = () => {};
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
    this.place = makePlace(`${MIN_HEIGHT}px`);
    this.listener = (/** @type {any} */ { detail }) => this.told(detail);
    api.addEventListener(EVENT, this.listener);
    this.place.append(make("div", { className: "mste-wait" }, translate(WAITING)));
  }

  /** Ended, but for the stage that it had. @type {() => Stage | null} */
  end() {
    this.api.removeEventListener(EVENT, this.listener);
    const { stage } = this;
    this.stage = null;
    return stage;
  }

  /** The stage of the node that was here before. @type {(stage: Stage | null) => void} */
  takeStage(stage) {
    if (!stage) return;
    this.stage?.end();
    this.stage = stage;
    stage.host.picture = (file) => this.giveToLoader(file);
    stage.editor.moveTo(this.place);
    Object.assign(this.place, { stage });
  }

  /** @type {(event: LiveEvent) => void} */
  told({ node, session, state }) {
    const root = this.app.rootGraph ?? this.node.graph?.rootGraph ?? this.node.graph;
    if (nodeOfExecution(root, String(node)) !== /** @type {unknown} */ (this.node)) return;
    if (state === "open") this.open(session);
    else if (session === this.stage?.session.id) this.stage.session.closed();
  }

  /** @type {(session: string) => void} */
  open(session) {
    if (this.stage?.session.id === session) return;
    this.stage ??= this.makeStage();
    this.stage.session.open(session);
    // Enter is the stage's now, and no longer that of the button that queued the workflow.
    if (!document.activeElement?.matches(TYPING)) this.stage.focus();
  }

  makeStage() {
    const base = new URL(this.api.apiURL("/"), location.href).href;
    const stage = new Stage({
      addresses: addressesBelow(base),
      picture: (file) => this.giveToLoader(file),
    });
    stage.editor.moveTo(this.place);
    Object.assign(this.place, { stage }); // for scripts and tests
    return stage;
  }

  /** What runs has its picture; another one is the next run's, from the node that loads it. @type {(file: File) => Promise<void>} */
  async giveToLoader(file) {
    const graphNode = /** @type {import("../track_editor/io/upstream.js").GraphNode} */ (
      /** @type {unknown} */ (this.node)
    );
    const widget = nodeBehind(graphNode, "image")?.widgets?.find(({ name }) => name === "image");
    if (typeof widget?.value !== "string") throw new Error("there is no Load Image node behind the input image");
    widget.value = loaderValue(await upload(this.api, file));
    widget.callback?.(widget.value);
    tellOfChange(this.node, this.app);
    this.stage?.notify(
      translate("{} is in the loader: end this stream and run the workflow again", String(widget.value)),
    );
  }
}
