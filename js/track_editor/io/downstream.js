/** What the nodes that take the tracks do to the picture. */

import { linkOf } from "./upstream.js";

/** @typedef {import("./upstream.js").GraphNode} GraphNode */

const MAX_NODES = 200;

/**
 * How the sampler that these tracks lead to fits a picture of another shape into the video; "crop" where none says.
 * @type {(node: GraphNode) => "crop" | "stretch"}
 */
export function fitBehind(node) {
  const waiting = [node];
  const seen = new Set(waiting);
  while (waiting.length && seen.size < MAX_NODES) {
    const at = /** @type {GraphNode} */ (waiting.shift());
    for (const { node: next, input } of targetsOf(at)) {
      const fit = input === "motion" && next.widgets?.find(({ name }) => name === "fit")?.value;
      if (fit) return fit === "stretch" ? "stretch" : "crop";
      if (!seen.has(next)) waiting.push(next);
      seen.add(next);
    }
  }
  return "crop";
}

/** The nodes that take an output of this one, with the names of their inputs. @type {(node: GraphNode) => {node: GraphNode, input: string}[]} */
function targetsOf({ graph, outputs = [] }) {
  if (!graph) return [];
  return outputs.flatMap(({ links }) =>
    [...(links ?? [])].flatMap((id) => {
      const link = linkOf(graph, id);
      const node = link && graph.getNodeById(link.target_id);
      return node ? [{ node, input: node.inputs?.[link.target_slot]?.name ?? "" }] : [];
    }),
  );
}
