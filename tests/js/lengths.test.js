// Lengths that a checkpoint makes, against lists written by hand; the widget in a graph of plain objects.
import assert from "node:assert/strict";
import { test } from "node:test";

import { attachLength, nearest } from "../../js/lengths.js";

const STUDENT = { first: 1, step: 12, fps: 16 };
const SELF_FORCING = { first: 9, step: 12, fps: 16 };

test("a length goes to the nearest, the longer of two, and never to the first frame alone", () => {
  const made = [1, 2, 13, 18, 19, 20, 49, 50, 55, 60, 61].map((wanted) => nearest(STUDENT, wanted));
  assert.deepEqual(made, [1, 13, 13, 13, 25, 25, 49, 49, 61, 61, 61]);
  assert.deepEqual(
    [1, 9, 14, 15, 81].map((wanted) => nearest(SELF_FORCING, wanted)),
    [9, 9, 9, 21, 81],
  );
});

/** A node with widgets, as much of it as is looked at. */
function made(comfyClass, values) {
  const widgets = Object.entries(values).map(([name, value]) => ({ name, value, callback() {} }));
  return { comfyClass, widgets, inputs: [], outputs: [], graph: null };
}

test("workflows that are older than the switch said so by length 0", () => {
  const streamer = () => made("MotionStreamStudentStreamer", { length: 49, save_as: "", seconds: 0, endless: false });
  const api = { fetchApi: async () => ({ ok: false }) };
  const opened = (values) => {
    const node = streamer();
    attachLength(node, api);
    for (const [index, value] of values.entries()) node.widgets[index].value = value;
    node.onConfigure({ widgets_values: values });
    node.onRemoved();
    return node.widgets.map(({ value }) => value);
  };
  assert.deepEqual(opened([0, "clip"]), [49, "clip", 0, true]);
  assert.deepEqual(opened([61, "clip"]), [61, "clip", 0, false]);
  assert.deepEqual(opened([61, "clip", 2, true]), [61, "clip", 2, true]);
});

test("the rule is that of the checkpoint along the links, also behind a node that changes the model", async () => {
  const loader = made("MotionStreamLoadModel", { checkpoint: "bundled/student", family: "auto" });
  const lora = made("LoraLoaderModelOnly", {});
  const sampler = made("MotionStreamStudentStreamer", { length: 49 });
  const editor = made("MotionStreamTrackEditor", { length: 49 });
  const nodes = { 1: loader, 2: lora, 3: sampler, 4: editor };
  const links = {
    1: { origin_id: 1, origin_slot: 0, target_id: 2 },
    2: { origin_id: 2, origin_slot: 0, target_id: 3 },
    3: { origin_id: 4, origin_slot: 0, target_id: 3 },
  };
  const graph = { links, getNodeById: (id) => nodes[id] ?? null, nodes: Object.values(nodes) };
  for (const node of graph.nodes) node.graph = graph;
  lora.inputs = [{ name: "model", link: 1 }];
  sampler.inputs = [{ name: "model", link: 2 }];
  editor.outputs = [{ links: [3] }];
  const asked = [];
  const api = {
    async fetchApi(path) {
      asked.push(path);
      return { ok: true, json: async () => STUDENT };
    },
  };
  for (const node of [sampler, editor]) attachLength(node, api);
  const typed = async (node, value) => {
    const widget = node.widgets[0];
    widget.value = value;
    widget.callback(value);
    await new Promise((done) => setTimeout(done, 20));
    return widget.value;
  };
  assert.equal(await typed(sampler, 60), 60); // not known yet: it stands as typed
  assert.equal(await typed(sampler, 62), 61);
  assert.equal(await typed(editor, 51), 49);
  assert.deepEqual(asked, ["/motionstream/lengths?checkpoint=bundled%2Fstudent&family=auto&chunk_frames=-1"]);
  for (const node of [sampler, editor]) node.onRemoved();
});

test("what follows a video is in whole chunks, in the sampler's own field alone", async () => {
  const loader = made("MotionStreamLoadModel", { checkpoint: "bundled/another", family: "auto" });
  const sampler = made("MotionStreamStudentStreamer", { length: 48 });
  const editor = made("MotionStreamTrackEditor", { length: 49 });
  const nodes = { 1: loader, 2: sampler, 3: editor };
  const links = {
    1: { origin_id: 1, origin_slot: 0, target_id: 2 },
    2: { origin_id: 3, origin_slot: 0, target_id: 2 },
  };
  const graph = { links, getNodeById: (id) => nodes[id] ?? null, nodes: Object.values(nodes) };
  for (const node of graph.nodes) node.graph = graph;
  sampler.inputs = [
    { name: "model", link: 1 },
    { name: "go_on_from", link: 7 },
  ];
  editor.outputs = [{ links: [2] }];
  const api = { fetchApi: async () => ({ ok: true, json: async () => STUDENT }) };
  for (const node of [sampler, editor]) attachLength(node, api);
  const typed = async (node, value) => {
    node.widgets[0].callback(value);
    await new Promise((done) => setTimeout(done, 20));
    node.widgets[0].callback(value);
    return node.widgets[0].value;
  };
  assert.equal(await typed(sampler, 50), 48);
  assert.equal(await typed(editor, 50), 49);
  sampler.inputs[1].link = null;
  assert.equal(await typed(sampler, 50), 49);
  for (const node of [sampler, editor]) node.onRemoved();
});
