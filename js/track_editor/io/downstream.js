/** What the nodes that take the tracks do to the picture. */

import { hostOf, linkOf, widgetBehind } from "./upstream.js";

/**
 * @typedef {import("./upstream.js").GraphNode} GraphNode
 * @typedef {import("./upstream.js").Graph} Graph
 */

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
      const fit = input === "motion" && widgetBehind(next, "fit")?.value;
      if (fit) return fit === "stretch" ? "stretch" : "crop";
      if (!seen.has(next)) waiting.push(next);
      seen.add(next);
    }
  }
  return "crop";
}

/** The nodes that take an output of this one, with the names of their inputs. @type {(node: GraphNode) => {node: GraphNode, input: string}[]} */
const targetsOf = ({ graph, outputs = [] }) => outputs.flatMap(({ links }) => endsOf(graph, links));

/** Where links end, into subgraphs and out of them. @type {(graph: Graph | null | undefined, ids: Iterable<number | string> | null | undefined) => {node: GraphNode, input: string}[]} */
function endsOf(graph, ids) {
  if (!graph) return [];
  return [...(ids ?? [])].flatMap((id) => {
    const link = linkOf(graph, id);
    if (!link) return [];
    if (link.target_id === graph.outputNode?.id) {
      const host = graph.rootGraph && hostOf(graph.rootGraph, graph);
      return host ? endsOf(host.graph, host.outputs?.[link.target_slot]?.links) : [];
    }
    const node = graph.getNodeById(link.target_id);
    if (node?.subgraph) return endsOf(node.subgraph, node.subgraph.inputs?.[link.target_slot]?.linkIds);
    return node ? [{ node, input: node.inputs?.[link.target_slot]?.name ?? "" }] : [];
  });
}
