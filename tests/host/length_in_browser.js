// A browser in front of a running ComfyUI: types lengths into the streamer's node, in the classic graph and in Nodes 2.0.
//
//     node length_in_browser.js PORT PROMPT.json SCREENSHOT_FOLDER
//
// Prints one JSON object of what it saw. Run by test_length.py.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { visit } from "./newcomer/visit.js";

const [port, promptFile, shots] = process.argv.slice(2);
const folder = resolve(shots);
const prompt = JSON.parse(readFileSync(promptFile, "utf8"));
const visitor = await visit(port, "classic", folder);
const { page, problems } = visitor;
const seen = { problems };

const STREAMER = "MotionStreamStudentStreamer";
const EDITOR = "MotionStreamTracksFromJSON";
const widget = (kind, name, what = "value") =>
  page.evaluate(
    ([kind, name, what]) =>
      window.app.graph.nodes.find(({ comfyClass }) => comfyClass === kind).widgets.find((each) => each.name === name)[
        what
      ],
    [kind, name, what],
  );
const known = (kind) =>
  page.waitForFunction(
    (kind) =>
      window.app.graph.nodes
        .find(({ comfyClass }) => comfyClass === kind)
        ?.widgets.find(({ name }) => name === "length")
        .label?.includes("12 k"),
    kind,
  );

/** The node alone in the middle of the page, at full size. */
async function show(kind) {
  await page.evaluate((kind) => {
    const { graph, canvas } = window.app;
    const node = graph.nodes.find(({ comfyClass }) => comfyClass === kind);
    for (const [index, each] of graph.nodes.entries()) each.pos = each === node ? [420, 60] : [4000 + 600 * index, 60];
    node.setSize([400, Math.max(480, node.size[1])]);
    canvas.ds.scale = 1;
    canvas.ds.offset = [0, 0];
    graph.setDirtyCanvas(true, true);
  }, kind);
  await page.waitForTimeout(700);
}

/** Where a widget's row lies in the classic graph: its middle, and its two arrows. */
const rowOf = (kind, name) =>
  page.evaluate(
    ([kind, name]) => {
      const { graph, canvas } = window.app;
      const node = graph.nodes.find(({ comfyClass }) => comfyClass === kind);
      const row = node.widgets.find((each) => each.name === name);
      const box = canvas.canvas.getBoundingClientRect();
      const y = box.top + node.pos[1] + (row.last_y ?? row.y) + 10;
      const left = box.left + node.pos[0];
      return { y, left: left + 26, middle: left + node.size[0] / 2, right: left + node.size[0] - 26 };
    },
    [kind, name],
  );

const classic = {
  async type(kind, value) {
    const { middle, y } = await rowOf(kind, "length");
    await page.mouse.click(middle, y);
    const field = page.locator(".graphdialog input, .graphdialog textarea, .p-dialog input").first();
    await field.fill(String(value));
    await field.press("Enter");
    await page.waitForTimeout(400);
    return widget(kind, "length");
  },
  async arrow(kind, side) {
    const row = await rowOf(kind, "length");
    await page.mouse.click(row[side], row.y);
    await page.waitForTimeout(400);
    return widget(kind, "length");
  },
};

/** The row of `length`: minus, the field, plus. */
const numberOf = (kind) => page.locator(`[data-node-id="${nodeIds[kind]}"] [aria-label="length"]`);
const nodes2 = {
  async type(kind, value) {
    const box = await numberOf(kind).boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.keyboard.press("Control+a");
    await page.keyboard.type(String(value));
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await page.waitForTimeout(400);
    const shown = Number(await numberOf(kind).locator("input").inputValue());
    const held = await widget(kind, "length");
    return shown === held ? shown : `${shown} shown, ${held} held`;
  },
  async arrow(kind, side) {
    await numberOf(kind)
      .getByTestId(side === "right" ? "increment" : "decrement")
      .click();
    await page.waitForTimeout(400);
    return widget(kind, "length");
  },
};
let nodeIds = {};

async function nodes2Are(on) {
  await page.evaluate((on) => window.app.extensionManager.setting.set("Comfy.VueNodes.Enabled", on), on);
  await page.waitForTimeout(1500);
}

async function session(hands, name) {
  await page.evaluate((prompt) => window.app.loadApiJson(prompt, "length"), prompt);
  await page.waitForTimeout(2500);
  nodeIds = await page.evaluate(() =>
    Object.fromEntries(window.app.graph.nodes.map(({ comfyClass, id }) => [comfyClass, id])),
  );
  const found = {};
  for (const kind of [STREAMER, EDITOR]) {
    await known(kind);
    await show(kind);
    found[kind] = [await hands.type(kind, 61), await hands.type(kind, 60), await hands.type(kind, 50)];
    found[kind].push(await hands.arrow(kind, "left"), await hands.arrow(kind, "right"), await hands.type(kind, 49));
    await page.screenshot({ path: `${folder}/${name}_${kind}.png` });
  }
  found.label = await widget(STREAMER, "length", "label");
  found.queued = await page.evaluate(async (kind) => {
    const { output } = await window.app.graphToPrompt();
    return Object.values(output).find(({ class_type }) => class_type === kind).inputs;
  }, STREAMER);
  return found;
}

await nodes2Are(false);
seen.classic = await session(classic, "classic");

// A workflow that was saved before the switch: its length 0 opens as endless.
seen.old = await page.evaluate(async (kind) => {
  const saved = window.app.graph.serialize();
  const node = saved.nodes.find(({ type }) => type === kind);
  node.widgets_values = ["", 0, 0, 0, "crop", 7, "fixed", -1, -1, -1, "old"];
  await window.app.loadGraphData(saved);
  const { output } = await window.app.graphToPrompt();
  return Object.values(output).find(({ class_type }) => class_type === kind).inputs;
}, STREAMER);

await nodes2Are(true);
seen.nodes2 = await session(nodes2, "nodes2");

console.log(JSON.stringify(seen));
await visitor.end();
