// Which subgraph's node shows the editor: one that promotes the drawing of an editor inside it, at whatever depth.
import assert from "node:assert/strict";
import test from "node:test";

import { promotedEditor } from "../../js/track_editor/promoted.js";

const INPUT_NODE = -10;

/** A graph as LiteGraph holds one. `links`: {id: [origin, slot]}. */
function graphOf(nodes, links = {}, rootGraph = undefined) {
  const graph = { nodes, rootGraph, inputNode: { id: INPUT_NODE } };
  graph.getNodeById = (id) => nodes.find((node) => node.id === id);
  graph.getLink = (id) => (links[id] ? { origin_id: links[id][0], origin_slot: links[id][1] } : null);
  for (const node of nodes) node.graph = graph;
  return graph;
}

const editor = (link) => ({
  id: 4,
  type: "MotionStreamTrackEditor",
  widgets: [{ name: "document", value: "inner" }],
  inputs: [{ name: "document", widget: { name: "document" }, link }],
});
const host = (subgraph, widgets, link = null) => ({
  id: 1,
  subgraph,
  widgets,
  inputs: [{ name: "document", widget: { name: "document" }, link }],
});

test("the node that promotes the drawing of the editor inside it", () => {
  const root = {};
  const inside = editor(7);
  const outer = host(graphOf([{ id: 3, type: "Other" }, inside], { 7: [INPUT_NODE, 0] }, root), [{ name: "document" }]);
  Object.assign(root, graphOf([outer]));
  assert.deepEqual(promotedEditor(outer), { inner: inside, widget: outer.widgets[0] });
});

test("the outermost of two that promote it, and not the one between", () => {
  const root = {};
  const inside = editor(7);
  const between = host(graphOf([inside], { 7: [INPUT_NODE, 0] }, root), [{ name: "document" }], 8);
  const outer = host(graphOf([between], { 8: [INPUT_NODE, 0] }, root), [{ name: "document" }]);
  Object.assign(root, graphOf([outer]));
  assert.equal(promotedEditor(outer).widget, outer.widgets[0]);
  assert.equal(promotedEditor(between), null);
});

test("none where the drawing stays inside, comes from another node, or no editor is there", () => {
  const root = {};
  const kept = host(graphOf([editor(null)], {}, root), []);
  const given = host(graphOf([editor(7), { id: 9, type: "Text" }], { 7: [9, 0] }, root), [{ name: "document" }]);
  const other = host(graphOf([{ id: 3, type: "Other" }], {}, root), [{ name: "document" }]);
  Object.assign(root, graphOf([kept, given, other]));
  for (const node of [kept, given, other]) assert.equal(promotedEditor(node), null);
});
