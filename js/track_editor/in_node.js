/** What an element in a node needs of ComfyUI's page, in both of its ways to draw nodes. */

/**
 * @typedef {{addDOMWidget: Function, widgets: any[], inputs?: any[], outputs?: any[], properties: Record<string, any>, graph: any,
 *   size: number[], setSize: (size: number[]) => void, onConfigure?: Function, onRemoved?: Function, onExecuted?: Function,
 *   onDrawForeground?: Function, onDrawBackground?: Function, hideOutputImages?: boolean, id: any, imgs?: any}} Node
 * @typedef {EventTarget & {fetchApi: (path: string, options?: RequestInit) => Promise<Response>, apiURL: (path: string) => string}} Api
 */

const LOOK_MS = 250;
const ESTATE_MS = 2000;
const PLACE = "mste-place";

/**
 * An element that the node shows and never saves. `place` is of the class mste-place.
 * @type {(node: Node, name: string, place: HTMLElement, minHeight: number) => any}
 */
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
  keepMounted(node, place);
  return widget;
}

/**
 * Nodes 2.0 puts a widget's element into the page once, when the node of that id first comes there. After an undo, or
 * any load, another node bears the id, and its element is left out: then the element of the one before, which is still
 * there, makes way for it.
 * @type {(node: Node, place: HTMLElement) => void}
 */
function keepMounted(node, place) {
  const look = () => {
    if (place.isConnected) return;
    const shown = document.querySelector(`[data-node-id="${CSS.escape(String(node.id))}"]`);
    const before = shown?.querySelector(`.${PLACE}[data-left="true"]`);
    before?.replaceWith(place);
  };
  const timer = setInterval(look, LOOK_MS);
  after(node, "onConfigure", () => requestAnimationFrame(() => requestAnimationFrame(look)));
  after(node, "onRemoved", () => {
    clearInterval(timer);
    place.dataset.left = "true";
  });
}

/** An empty element to be placed in a node. @type {(minHeight: string) => HTMLElement} */
export function makePlace(minHeight) {
  const place = document.createElement("div");
  place.className = PLACE;
  place.style.cssText = `width: 100%; height: 100%; min-height: ${minHeight};`;
  // The wheel over it is its own while it has the keyboard: Nodes 2.0 asks the element around whatever has the focus.
  place.dataset.captureWheel = "true";
  return place;
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

/** @type {Map<string, {what: any, timer: ReturnType<typeof setTimeout>}>} */
const estates = new Map();

/** Whose a node's things are: the workflow, the subgraph in it, and the id, which an undo keeps. @type {(node: Node, app: any) => string} */
export function keyOf({ graph, id }, app) {
  // The outermost graph of a new workflow gets another id with every undo.
  const inner = graph && (graph.rootGraph ?? graph) !== graph ? graph.id : "";
  return [app.extensionManager?.workflow?.activeWorkflow?.path ?? "", inner, id].join("|");
}

/**
 * What a node that goes leaves to the one that comes in its place at once, as every undo of the graph makes them come:
 * a history, a selection, a line to a running stream. Where none comes, `end`.
 * @type {(key: string, what: any, end: () => void) => void}
 */
export function leave(key, what, end) {
  estates.set(key, {
    what,
    timer: setTimeout(() => {
      estates.delete(key);
      end();
    }, ESTATE_MS),
  });
}

/** What was left to whoever is `key` now; null for nothing. @type {(key: string) => any} */
export function inherit(key) {
  const estate = estates.get(key);
  if (!estate) return null;
  clearTimeout(estate.timer);
  estates.delete(key);
  return estate.what;
}

/** The graph is another: to be drawn, to be saved, to be undone. @type {(node: Node, app: any) => void} */
export function tellOfChange(node, app) {
  node.graph?.setDirtyCanvas?.(true, true);
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState();
  else tracker?.checkState?.();
}
