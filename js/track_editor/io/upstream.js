/**
 * What a node would get, found without running anything. A picture: along its link, through reroutes, bypassed nodes and
 * the borders of subgraphs, to the node that names a file. A widget's value: through subgraphs that promote the widget.
 */

/**
 * As much of the graph as is needed; LiteGraph's own objects have it.
 * @typedef {{origin_id: number | string, origin_slot: number, target_id: number | string, target_slot: number}} Link
 * @typedef {{name: string, type?: unknown, link?: number | null, widget?: {name: string} | null}} InputSlot
 * @typedef {{name: string, value?: unknown, callback?: Function}} Widget
 * @typedef {{id: number | string, type?: string, mode?: number, inputs?: InputSlot[], widgets?: Widget[], graph?: Graph | null,
 *   outputs?: {links?: Iterable<number | string> | null}[], subgraph?: Graph, imgs?: HTMLImageElement[],
 *   motionstreamPicture?: string}} GraphNode
 * @typedef {{getNodeById: (id: any) => GraphNode | null | undefined, links?: any, getLink?: (id: any) => Link | null | undefined,
 *   nodes?: GraphNode[], _nodes?: GraphNode[], rootGraph?: Graph, inputNode?: {id: number | string},
 *   outputNode?: {id: number | string}, inputs?: {linkIds?: (number | string)[]}[], outputs?: {linkIds?: (number | string)[]}[]}} Graph
 */

/**
 * A file of ComfyUI's folders.
 * @typedef {{filename: string, subfolder: string, type: string}} FileName
 */

const BYPASSED = 4;
const MAX_STEPS = 200;

/** The node behind the input called `name`; null where there is none. @type {(node: GraphNode, name: string) => GraphNode | null} */
export function nodeBehind(node, name) {
  let slot = node.inputs?.find((input) => input.name === name);
  /** @type {{node: GraphNode, slot: number} | null} */
  let at = slot ? originOf(node.graph, slot.link) : null;
  for (let step = 0; at && step < MAX_STEPS; step++) {
    if (at.node.subgraph) {
      const inner = at.node.subgraph;
      at = originOf(inner, inner.outputs?.[at.slot]?.linkIds?.[0]);
      continue;
    }
    if (at.node.type !== "Reroute" && at.node.mode !== BYPASSED) return at.node;
    slot = at.node.type === "Reroute" ? at.node.inputs?.[0] : at.node.inputs?.find(({ type }) => type === "IMAGE");
    at = slot ? originOf(at.node.graph, slot.link) : null;
  }
  return null;
}

/**
 * The widget whose value the node takes for its own widget `name`: its own, or, where that is promoted, the one on the
 * subgraph's node, however deep the nesting. null where another node gives the value.
 * @type {(node: GraphNode, name: string) => Widget | null}
 */
export function widgetBehind(node, name) {
  /** @type {GraphNode | null | undefined} */
  let at = node;
  for (let step = 0; at && step < MAX_STEPS; step++) {
    const wanted = name;
    const slot = at.inputs?.find((input) => (input.widget?.name ?? input.name) === wanted);
    if (slot?.link === null || slot?.link === undefined)
      return at.widgets?.find((widget) => widget.name === wanted) ?? null;
    /** @type {Graph | null | undefined} */
    const graph = at.graph;
    const link = graph && linkOf(graph, slot.link);
    if (!link || link.origin_id !== graph.inputNode?.id) return null;
    at = graph.rootGraph && hostOf(graph.rootGraph, graph);
    const outer = at?.inputs?.[link.origin_slot];
    name = outer?.widget?.name ?? outer?.name ?? "";
  }
  return null;
}

/** Where a link comes from; out of a subgraph where it enters one. @type {(graph: Graph | null | undefined, id: number | string | null | undefined) => {node: GraphNode, slot: number} | null} */
function originOf(graph, id) {
  for (let step = 0; graph && id !== null && id !== undefined && step < MAX_STEPS; step++) {
    const link = linkOf(graph, id);
    if (!link) return null;
    if (link.origin_id !== graph.inputNode?.id) {
      const node = graph.getNodeById(link.origin_id);
      return node ? { node, slot: link.origin_slot } : null;
    }
    const host = graph.rootGraph && hostOf(graph.rootGraph, graph);
    id = host?.inputs?.[link.origin_slot]?.link;
    graph = host?.graph;
  }
  return null;
}

/** @type {(graph: Graph, id: number | string) => Link | null} */
export function linkOf(graph, id) {
  return graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;
}

/** The node that holds `inner`, wherever it lies below `graph`. @type {(graph: Graph, inner: Graph) => GraphNode | null} */
export function hostOf(graph, inner) {
  for (const node of graph.nodes ?? graph._nodes ?? []) {
    if (!node.subgraph) continue;
    const found = node.subgraph === inner ? node : hostOf(node.subgraph, inner);
    if (found) return found;
  }
  return null;
}

/** The node that runs as `executionId`, such as "12:5": node 5 in the subgraph of node 12. @type {(root: Graph | null | undefined, executionId: string) => GraphNode | null} */
export function nodeOfExecution(root, executionId) {
  /** @type {GraphNode | null} */
  let node = null;
  let graph = root;
  for (const part of executionId.split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/** The image file that a loader names; null for other nodes. @type {(node: GraphNode | null) => FileName | null} */
export function fileOf(node) {
  const value = node?.widgets?.find(({ name }) => name === "image")?.value;
  return typeof value === "string" && /\.(png|jpe?g|webp|gif|bmp|avif|tiff?)(\s*\[\w+\])?$/i.test(value)
    ? fileName(value)
    : null;
}

/** "folder/name.png [output]" in its parts. @type {(text: string) => FileName} */
export function fileName(text) {
  const [, path, type = "input"] = /^(.*?)(?:\s*\[(\w+)\])?$/.exec(text) ?? ["", text];
  const cut = path.lastIndexOf("/");
  return { filename: path.slice(cut + 1), subfolder: cut < 0 ? "" : path.slice(0, cut), type };
}

/** The query of ComfyUI's /view. @type {(file: FileName) => string} */
export const viewPath = (file) => `/view?${new URLSearchParams(file)}`;
