/**
 * The editor on a subgraph's node: where the node promotes the drawing of an editor that lies inside it, that editor is
 * shown on the node itself, so that a blueprint is drawn in without being opened.
 */

import { widgetBehind } from "./io/upstream.js";
import { whileInGraph } from "./presence.js";
import { attachEditorOf } from "./widget.js";

const EDITOR = "MotionStreamTrackEditor";

/** @type {(host: any, app: any, api: any) => void} */
export function watchSubgraph(host, app, api) {
  /** @type {{inner: any, end: () => void} | null} */
  let shown = null;
  const end = () => {
    shown?.end();
    shown = null;
  };
  // Nodes of a subgraph are made before their links and values are; promotions by hand come later still.
  whileInGraph(
    host,
    () => {
      const found = promotedEditor(host);
      if (shown && shown.inner !== found?.inner) end();
      if (!found) return;
      hide(found.widget); // again and again: links that change make the widget anew
      shown ??= { inner: found.inner, end: attachEditorOf(found.inner, host, app, api) };
    },
    end,
  );
}

/** The first editor below the node whose drawing is one of the node's own widgets. @type {(host: any) => {inner: any, widget: any} | null} */
export function promotedEditor(host) {
  for (const inner of nodesBelow(host.subgraph)) {
    if (inner.type !== EDITOR || !inner.widgets?.some(isDrawing)) continue;
    const widget = widgetBehind(inner, "document");
    if (widget && !isOwn(inner, widget) && host.widgets?.includes(widget)) return { inner, widget };
  }
  return null;
}

/** @type {(graph: any) => any[]} */
const nodesBelow = (graph) =>
  (graph?.nodes ?? []).flatMap((/** @type {any} */ node) => [
    node,
    ...(node.subgraph ? nodesBelow(node.subgraph) : []),
  ]);

/** @type {(widget: any) => boolean} */
const isDrawing = ({ name }) => name === "document";

/** @type {(node: any, widget: any) => boolean} */
const isOwn = (node, widget) => node.widgets.includes(widget);

/** The text itself is not shown beside the editor. @type {(widget: any) => void} */
function hide(widget) {
  widget.hidden = true;
  if (widget.options) widget.options.hidden = true;
}
