/**
 * The widget `length` knows the lengths that the connected checkpoint makes: what is typed goes to the nearest, an arrow
 * to the next. The rule is the server's, which has it of the checkpoint itself; where no checkpoint is found along the
 * links, every number stands as it is typed.
 */

import { after } from "./track_editor/in_node.js";
import { nodeBehind } from "./track_editor/io/upstream.js";
import { whileInGraph } from "./track_editor/presence.js";

/**
 * Lengths first + step * k, in frames.
 * @typedef {{first: number, step: number, fps: number}} Lengths
 * @typedef {import("./track_editor/io/upstream.js").GraphNode & {comfyClass?: string}} Node
 * @typedef {{fetchApi: (path: string) => Promise<Response>}} Api
 */

/** Nodes whose `length` a checkpoint makes. */
const SAMPLERS = new Set([
  "MotionStreamStudentStreamer",
  "MotionStreamLive",
  "MotionStreamFollowVideo",
  "MotionStreamTeacherSampler",
  "MotionStreamApplyMotion",
]);
const LOADER = "MotionStreamLoadModel";
const MAX_NODES = 100;
const USUAL_LENGTH = 49;

/** The length nearest to `wanted`, the longer of two; more than the first frame alone where more is wanted. @type {(lengths: Lengths, wanted: number) => number} */
export function nearest({ first, step }, wanted) {
  const least = wanted > 1 && first === 1 ? first + step : first;
  return least + step * Math.max(0, Math.floor((wanted - least) / step + 0.5));
}

/** @type {(node: any, api: Api) => void} */
export function attachLength(node, api) {
  const widget = node.widgets?.find((/** @type {any} */ { name }) => name === "length");
  if (!widget) return;
  const binding = new LengthBinding(node, widget, new Rules(api));
  after(node, "onConfigure", (saved) => takeOver(node, saved));
  whileInGraph(node, () => binding.show());
}

/** Workflows that are older than the switch `endless` said so by length 0. @type {(node: any, saved: any) => void} */
function takeOver(node, saved) {
  const widgets = node.widgets.filter((/** @type {any} */ { serialize }) => serialize !== false);
  const place = widgets.findIndex((/** @type {any} */ { name }) => name === "endless");
  if (place < 0 || !Array.isArray(saved?.widgets_values) || saved.widgets_values.length > place) return;
  const length = node.widgets.find((/** @type {any} */ { name }) => name === "length");
  widgets[place].value = length.value === 0;
  if (length.value === 0) length.value = USUAL_LENGTH;
}

class LengthBinding {
  /**
   * @param {Node} node
   * @param {any} widget
   * @param {Rules} rules
   */
  constructor(node, widget, rules) {
    this.node = node;
    this.widget = widget;
    this.rules = rules;
    this.label = widget.label;
    this.shown = "";
    widget.options ??= {};
    this.step = widget.options.step2;
    // 0 once stood for no end; where a switch says that, nobody comes to 0 by an arrow.
    if (node.widgets?.some(({ name }) => name === "endless")) widget.options.min = 1;
    const { callback } = widget;
    const binding = this;
    widget.callback = function (/** @type {any[]} */ ...given) {
      const result = callback?.apply(this, given);
      binding.settle(Number(given[0]));
      return result;
    };
  }

  /** The rule of the checkpoint that this node's video is made by; null where it is not known. @type {() => Lengths | null} */
  lengths() {
    const sampler = samplerOf(this.node);
    const lengths = sampler && this.rules.of(sampler);
    return lengths && sampler === this.node && goesOn(sampler) ? { ...lengths, first: lengths.step } : lengths;
  }

  /** What was typed goes to the nearest length; the host has rounded it to its own steps already. @type {(typed: number) => void} */
  settle(typed) {
    const lengths = this.lengths();
    if (lengths && typed >= 1) this.widget.value = nearest(lengths, typed);
  }

  /** The rule stands in the widget's name, and its step is an arrow's. */
  show() {
    const lengths = this.lengths();
    const rule = lengths ? ruleOf(lengths) : "";
    if (rule === this.shown) return;
    this.shown = rule;
    const name = this.label ?? this.widget.name;
    this.widget.options.step2 = lengths?.step ?? this.step;
    this.widget.label = rule ? `${name} (${rule})` : this.label;
    /** @type {any} */ (this.node.graph)?.setDirtyCanvas?.(true, true);
  }
}

/** @type {(lengths: Lengths) => string} */
function ruleOf({ first, step }) {
  return first === step ? `${step} k` : `${first} + ${step} k`;
}

/** What follows a video is in whole chunks: its first frame is there already. @type {(sampler: Node) => boolean} */
function goesOn(sampler) {
  return (sampler.inputs ?? []).some(({ name, link }) => name === "go_on_from" && link != null);
}

/** The node itself, or the one that the tracks and the length of this one go to. @type {(node: Node) => Node | null} */
function samplerOf(node) {
  if (SAMPLERS.has(node.comfyClass ?? "")) return node;
  const waiting = [node];
  const seen = new Set(waiting);
  for (let at = waiting.shift(); at && seen.size < MAX_NODES; at = waiting.shift()) {
    for (const next of nodesAfter(at)) {
      if (SAMPLERS.has(next.comfyClass ?? "")) return next;
      // A node with a length of its own makes that, whatever this one's is.
      if (seen.has(next) || next.widgets?.some(({ name }) => name === "length")) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return null;
}

/** @type {(node: Node) => Node[]} */
function nodesAfter({ outputs, graph }) {
  const links = (outputs ?? []).flatMap((output) => [...(output.links ?? [])]);
  return links.flatMap((id) => {
    const link = /** @type {any} */ (graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id]);
    return /** @type {Node | null} */ (link && graph?.getNodeById(link.target_id)) ?? [];
  });
}

/** What the server says of checkpoints, asked once for each. */
class Rules {
  /** @type {Map<string, Lengths | null>} */
  static known = new Map();

  /** @param {Api} api */
  constructor(api) {
    this.api = api;
  }

  /** @type {(sampler: Node) => Lengths | null} */
  of(sampler) {
    const loader = loaderOf(sampler);
    const value = (/** @type {Node | null} */ node, /** @type {string} */ name) =>
      node?.widgets?.find((widget) => widget.name === name)?.value;
    const checkpoint = value(loader, "checkpoint");
    if (typeof checkpoint !== "string") return null;
    const query = new URLSearchParams({
      checkpoint,
      family: String(value(loader, "family") ?? "auto"),
      chunk_frames: String(value(sampler, "chunk_frames") ?? -1),
    }).toString();
    if (!Rules.known.has(query)) {
      Rules.known.set(query, null);
      void this.ask(query);
    }
    return Rules.known.get(query) ?? null;
  }

  /** @type {(query: string) => Promise<void>} */
  async ask(query) {
    try {
      const answer = await this.api.fetchApi(`/motionstream/lengths?${query}`);
      if (answer.ok) Rules.known.set(query, await answer.json());
    } catch {
      Rules.known.delete(query); // the server is away: asked again
    }
  }
}

/** The loader behind the sampler, through nodes that take and give a model (LoRA, torch.compile). @type {(sampler: Node) => Node | null} */
function loaderOf(sampler) {
  /** @type {Node | null} */
  let at = sampler;
  for (let step = 0; at && step < MAX_NODES; step++) {
    at = nodeBehind(at, "model");
    if (at?.comfyClass === LOADER) return at;
  }
  return null;
}
