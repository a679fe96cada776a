/** Looking at a node again and again while it is in a graph: what loads, undoes and promotes says nothing of itself. */

import { after } from "./in_node.js";

const LOOK_MS = 250;

/**
 * `look` is called now and then from now on, `leave` when the node is taken out of its graph. A node that is put back,
 * as an undo may do, is looked at again.
 * @type {(node: any, look: () => void, leave?: () => void) => void}
 */
export function whileInGraph(node, look, leave = () => {}) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  const begin = () => {
    clearInterval(timer);
    timer = setInterval(look, LOOK_MS);
  };
  after(node, "onAdded", begin);
  after(node, "onRemoved", () => {
    clearInterval(timer);
    leave();
  });
  if (node.graph) begin();
}
