// The way up from a node to the loader of its picture, through reroutes, bypassed nodes and subgraphs.
import assert from "node:assert/strict";
import test from "node:test";

import { writingOf } from "../../js/track_editor/io/mask_picture.js";
import {
  fileName,
  fileOf,
  nodeBehind,
  nodeOfExecution,
  viewPath,
  widgetBehind,
} from "../../js/track_editor/io/upstream.js";

/** A graph of nodes {id, type?, inputs: {name: [from id, slot]}}, as LiteGraph holds one. */
function graphOf(nodes, more = {}) {
  const links = new Map();
  const graph = { links, nodes: [], getNodeById: (id) => graph.nodes.find((node) => node.id === id), ...more };
  for (const { inputs = {}, ...node } of nodes) {
    const slots = Object.entries(inputs).map(([name, [origin_id, origin_slot]]) => {
      links.set(links.size + 1, { origin_id, origin_slot });
      return { name, type: "IMAGE", link: links.size };
    });
    graph.nodes.push({ ...node, inputs: slots, graph });
  }
  return graph;
}

const loader = { id: 1, type: "LoadImage", widgets: [{ name: "image", value: "cats/tabby.png [output]" }] };
const find = (graph, id) => nodeBehind(graph.getNodeById(id), "image");

test("the loader itself, behind reroutes and a bypassed node", () => {
  const graph = graphOf([
    loader,
    { id: 2, type: "Reroute", inputs: { "": [1, 0] } },
    { id: 3, type: "ImageScale", mode: 4, inputs: { image: [2, 0] } },
    { id: 4, type: "Editor", inputs: { image: [3, 0] } },
    { id: 5, type: "Editor", inputs: {} },
  ]);
  assert.equal(find(graph, 4).id, 1);
  assert.equal(find(graph, 5), null);
  assert.deepEqual(fileOf(find(graph, 4)), { filename: "tabby.png", subfolder: "cats", type: "output" });
});

test("out of two nested subgraphs, and into another one", () => {
  const inner = graphOf([{ id: 7, type: "Editor", inputs: { image: [-10, 0] } }], { inputNode: { id: -10 } });
  const middle = graphOf([{ id: 6, subgraph: inner, inputs: { x: [-10, 1] } }], { inputNode: { id: -10 } });
  const made = graphOf([loader], { outputNode: { id: -20 }, outputs: [{ linkIds: [] }, { linkIds: [1] }] });
  made.links.set(1, { origin_id: 1, origin_slot: 0 });
  const root = graphOf([
    { id: 3, subgraph: made },
    { id: 5, subgraph: middle, inputs: { other: [9, 0], x: [3, 1] } },
  ]);
  for (const graph of [inner, middle, made]) graph.rootGraph = root;
  assert.equal(find(inner, 7).type, "LoadImage");
});

test("a widget's value: its own, that of the outermost subgraph that promotes it, or none where a node gives it", () => {
  const widgets = (value) => [{ name: "document", value }];
  const inner = graphOf(
    [
      { id: 7, widgets: widgets("inner"), inputs: { document: [-10, 0] } },
      { id: 8, widgets: widgets("own") },
    ],
    { inputNode: { id: -10 } },
  );
  const middle = graphOf([{ id: 6, subgraph: inner, widgets: widgets("middle"), inputs: { document: [-10, 0] } }], {
    inputNode: { id: -10 },
  });
  const root = graphOf([
    { id: 5, subgraph: middle, widgets: [{ name: "drawing", value: "outer" }] },
    { id: 9, widgets: widgets("unused"), inputs: { document: [5, 0] } },
  ]);
  // The outermost slot bears another name than the widget below it, and is not linked.
  root.getNodeById(5).inputs = [{ name: "drawing_1", widget: { name: "drawing" }, link: null }];
  for (const graph of [inner, middle]) graph.rootGraph = root;
  const value = (graph, id) => widgetBehind(graph.getNodeById(id), "document")?.value;
  assert.equal(value(inner, 7), "outer");
  assert.equal(value(inner, 8), "own");
  assert.equal(widgetBehind(root.getNodeById(9), "document"), null);
  root.getNodeById(5).inputs[0].link = 1;
  root.links.set(1, { origin_id: 9, origin_slot: 0 });
  assert.equal(widgetBehind(inner.getNodeById(7), "document"), null);
});

test("a loop of reroutes has an end", () => {
  const graph = graphOf([
    { id: 1, type: "Reroute", inputs: { "": [2, 0] } },
    { id: 2, type: "Reroute", inputs: { "": [1, 0] } },
    { id: 3, type: "Editor", inputs: { image: [1, 0] } },
  ]);
  assert.equal(find(graph, 3), null);
});

test("file names, and what is none", () => {
  assert.deepEqual(fileName("a.png"), { filename: "a.png", subfolder: "", type: "input" });
  assert.equal(viewPath(fileName("a b/c.png [temp]")), "/view?filename=c.png&subfolder=a+b&type=temp");
  assert.equal(fileOf({ id: 1, widgets: [{ name: "image", value: "clip.mp4" }] }), null);
  assert.equal(fileOf(null), null);
});

test("the node of an execution id, through subgraphs", () => {
  const deep = graphOf([{ id: 7 }]);
  const middle = graphOf([{ id: 3, subgraph: deep }]);
  const graph = graphOf([{ id: 12, subgraph: middle }, { id: "7" }]);
  assert.equal(nodeOfExecution(graph, "12:3:7"), deep.nodes[0]);
  assert.equal(nodeOfExecution(graph, "7"), graph.nodes[1]);
  for (const id of ["3", "12:7", "12:3:7:7", "", "x:y"]) assert.equal(nodeOfExecution(graph, id), null, id);
  assert.equal(nodeOfExecution(null, "7"), null);
});

test("how a mask is written in the file of the loader behind it", () => {
  const mask = (channel) => ({ id: 1, type: "LoadImageMask", widgets: [{ name: "channel", value: channel }] });
  assert.equal(writingOf({ id: 1, type: "LoadImage" }), "not_alpha");
  for (const channel of ["red", "green", "blue"]) assert.equal(writingOf(mask(channel)), channel);
  assert.equal(writingOf(mask("alpha")), "not_alpha");
  assert.equal(writingOf({ id: 1, type: "GrowMask" }), null); // known after a run alone
  assert.equal(writingOf(null), null);
});
