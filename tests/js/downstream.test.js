// The way down from the editor to the sampler, which says how a picture of another shape is fitted.
import assert from "node:assert/strict";
import test from "node:test";

import { fitBehind } from "../../js/track_editor/io/downstream.js";

/**
 * A graph of nodes {id, to: [[target id, name of its input], ...]}, as LiteGraph holds one: one output each. A target
 * without an input of that name gets one; "out" is the graph's own end.
 */
function graphOf(nodes, more = {}) {
  const graph = {
    links: new Map(),
    nodes: [],
    getNodeById: (id) => graph.nodes.find((node) => node.id === id),
    ...more,
  };
  graph.outputNode = { id: "out" };
  for (const { to = [], inputs = [], ...node } of nodes) graph.nodes.push({ inputs, ...node, to, graph });
  for (const node of graph.nodes) {
    const links = node.to.map(([target_id, name]) => {
      const target = graph.getNodeById(target_id);
      const known = target?.inputs.findIndex((input) => input.name === name) ?? 0;
      const target_slot = known < 0 ? target.inputs.push({ name }) - 1 : known;
      graph.links.set(graph.links.size + 1, { origin_id: node.id, origin_slot: 0, target_id, target_slot });
      if (target) target.inputs[target_slot].link = graph.links.size;
      return graph.links.size;
    });
    node.outputs = [{ links: links.length ? links : null }];
  }
  return graph;
}

const sampler = (id, fit) => ({ id, widgets: [{ name: "fit", value: fit }] });
const fitOf = (graph) => fitBehind(graph.getNodeById(1));

test("the sampler's word, through what changes the tracks on the way", () => {
  const direct = graphOf([{ id: 1, to: [[2, "tracks"]] }, { id: 2, to: [[3, "motion"]] }, sampler(3, "stretch")]);
  assert.equal(fitOf(direct), "stretch");
  const shown = graphOf([
    {
      id: 1,
      to: [
        [4, "tracks"],
        [2, "tracks"],
      ],
    },
    { id: 2, to: [[5, "tracks"]] },
    sampler(4, "stretch"), // takes the tracks, but not as its motion
    { id: 5, to: [[3, "motion"]] },
    sampler(3, "crop"),
  ]);
  assert.equal(fitOf(shown), "crop");
});

test("crop where none says, where links end nowhere, and where they go in a circle", () => {
  assert.equal(fitOf(graphOf([{ id: 1 }])), "crop");
  assert.equal(fitOf(graphOf([{ id: 1, to: [[9, "tracks"]] }])), "crop");
  assert.equal(
    fitOf(
      graphOf([
        { id: 1, to: [[2, "a"]] },
        {
          id: 2,
          to: [
            [1, "b"],
            [2, "c"],
          ],
        },
      ]),
    ),
    "crop",
  );
  assert.equal(fitBehind({ id: 1 }), "crop");
});

test("out of a subgraph, and into another one", () => {
  const inner = graphOf([{ id: 1, to: [["out", ""]] }]);
  const other = graphOf([{ id: 8, to: [[3, "motion"]] }, sampler(3, "stretch")]);
  const [entry] = other.nodes.splice(0, 1); // what enters a subgraph comes from none of its nodes
  other.inputs = [{ linkIds: [] }, { linkIds: entry.outputs[0].links }];
  const root = graphOf([
    { id: 5, subgraph: inner, to: [[6, "motion"]] },
    { id: 6, subgraph: other, inputs: [{ name: "image" }] },
  ]);
  for (const graph of [inner, other]) graph.rootGraph = root;
  assert.equal(fitOf(inner), "stretch");
});

test("the value of a fit that a subgraph's node promotes is the outer one", () => {
  const inner = graphOf([
    { id: 1, to: [[3, "motion"]] },
    { ...sampler(3, "crop"), inputs: [{ name: "fit", link: 7 }] },
  ]);
  inner.inputNode = { id: "in" };
  inner.links.set(7, { origin_id: "in", origin_slot: 0, target_id: 3, target_slot: 0 });
  const root = graphOf([{ id: 5, subgraph: inner, ...sampler(5, "stretch"), inputs: [{ name: "fit", link: null }] }]);
  inner.rootGraph = root;
  assert.equal(fitOf(inner), "stretch");
});
