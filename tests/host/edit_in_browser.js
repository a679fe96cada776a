// A browser in front of a running ComfyUI: draws in the editor's node, looks at it in every form, queues it.
//
//     node edit_in_browser.js PORT PROMPT.json SCREENSHOT_FOLDER
//
// Prints one JSON object of what it saw. Run by test_track_editor.py.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

import { launch } from "../js/page/browser.js";

const [port, promptFile, shots] = process.argv.slice(2);
const folder = resolve(shots);
const seen = { problems: [] };
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1500, height: 950 } });
page.setDefaultTimeout(120_000); // a busy machine takes its time
page.on("pageerror", (error) => seen.problems.push(String(error)));
await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: "domcontentloaded" });
await page.waitForFunction(
  () => window.app?.graph && window.LiteGraph?.registered_node_types?.MotionStreamTrackEditor,
  null,
  { timeout: 120_000 },
);
await page.waitForTimeout(3000);
await page.keyboard.press("Escape");
seen.problems.length = 0; // what the front end itself stumbles over while it starts

/** Runs in the page with the editor's node, wherever it lies in the graph. */
const inNode = (what, more) =>
  page.evaluate(
    ([source, more]) => {
      const all = (graph) =>
        (graph.nodes ?? graph._nodes).flatMap((node) => [node, ...(node.subgraph ? all(node.subgraph) : [])]);
      const node = all(window.app.rootGraph ?? window.app.graph).find(
        ({ comfyClass }) => comfyClass === "MotionStreamTrackEditor",
      );
      const widget = (name) => node.widgets.find((each) => each.name === name);
      const element = widget("track_editor").element.querySelector(".mste") ?? document.querySelector(".mste");
      return new Function("node", "widget", "element", "more", `return (async () => (${source}))()`)(
        node,
        widget,
        element,
        more,
      );
    },
    [what, more],
  );
const text = () => inNode("widget('document').value");
const wait = (ms) => page.waitForTimeout(ms);

const prompt = JSON.parse(readFileSync(promptFile, "utf8"));
await page.evaluate((prompt) => window.app.loadApiJson(prompt, "editor"), prompt);
await wait(2500);
await inNode(
  "node.pos = [60, 80], node.setSize([620, 760]), window.app.canvas.ds.reset?.(), node.graph.setDirtyCanvas(true, true)",
);
await wait(500);
seen.saved_widgets = await inNode("node.serialize().widgets_values");

// The picture of the loader, before anything has run: colours in the middle of the surface.
const COLOURS = `(() => {
  const canvas = element.querySelector(".mste-surface canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const counts = { red: 0, green: 0, pink: 0 };
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    if (r > 170 && g < 80 && b < 80) counts.red++;
    if (g > 170 && r < 90 && b < 90) counts.green++;
    if (r > 150 && b > 130 && g < 90) counts.pink++;
  }
  return counts;
})()`;
seen.colours = await inNode(COLOURS);

/** Where an image point lies on the page, found from the surface's size alone: the clip is fitted into its middle. */
async function place(x, y) {
  const box = await page.locator(".mste-surface").boundingBox();
  const { width, height } =
    prompt[Object.keys(prompt).find((key) => prompt[key].class_type === "MotionStreamTrackEditor")].inputs;
  const scaleOnPage = await page
    .locator(".mste-surface")
    .evaluate((e) => e.getBoundingClientRect().width / e.clientWidth);
  const scale = Math.min(box.width / scaleOnPage - 16, ((box.height / scaleOnPage - 16) * width) / height) / width;
  const at = (size, length, value) => size / 2 + (value - length / 2) * scale * scaleOnPage;
  return [box.x + at(box.width, width, x), box.y + at(box.height, height, y)];
}

async function drag(...points) {
  const places = [];
  for (const point of points) places.push(await place(...point));
  await page.mouse.move(...places[0]);
  await page.mouse.down();
  for (const each of places.slice(1)) await page.mouse.move(...each, { steps: 12 });
  await page.mouse.up();
  await wait(200);
}

// In full screen: a grid over the red triangle, dragged to the left and down; the other two shapes stay.
await page.getByLabel("Full screen").click();
await wait(300);
await page.getByLabel(/^Grid brush/).click();
await page.getByLabel("Spacing of the grid").fill("5");
await page.getByLabel("Size of the grid").fill("10");
await page.getByLabel("Size of the grid").press("Enter");
await drag([100, 64], [60, 76]);
await page.getByLabel("Stays", { exact: true }).check();
await drag([36, 36], [36, 36]);
await drag([12, 100], [12, 100]);
await page.screenshot({ path: `${folder}/full_screen.png` });
// Its time: the span's end pulled from the last frame to frame 36.
await page.getByLabel(/^Select and move/).click();
await page.keyboard.press("]");
await wait(300);
const strip = await page.locator(".mste-timeline").boundingBox();
const frameAt = (frame) => strip.x + 84 + (frame / 48) * (strip.width - 92);
await page.mouse.move(frameAt(48), strip.y + 26);
await page.mouse.down();
await page.mouse.move(frameAt(36), strip.y + 26, { steps: 6 });
await page.mouse.up();
await wait(300);
await page.keyboard.press("Escape");
await page.keyboard.press("Escape");
await wait(400);
seen.left_full_screen = await page.evaluate(() => !document.querySelector(".mste-full"));
seen.document = await text();
await page.screenshot({ path: `${folder}/node.png` });

// Save and load; the graph's own undo; a copy of the node.
await page.evaluate(() => window.app.loadGraphData(window.app.graph.serialize()));
await wait(1500);
seen.after_load = await text();
await page.evaluate(() => document.activeElement?.blur());
await inNode("element.querySelector('.mste-keys').focus()");
for (const key of ["]", "ArrowLeft"]) await page.keyboard.press(key);
await wait(400);
seen.after_nudge = await text();
await page.evaluate(() => {
  document.activeElement?.blur();
  return window.app.extensionManager.command.execute("Comfy.Undo");
});
await wait(1500);
seen.after_graph_undo = await text();
seen.copies = await page.evaluate(async () => {
  const { graph, canvas } = window.app;
  const node = graph.nodes.find(({ comfyClass }) => comfyClass === "MotionStreamTrackEditor");
  canvas.selectNode?.(node);
  canvas.copyToClipboard([node]);
  canvas.pasteFromClipboard();
  await new Promise((done) => setTimeout(done, 800));
  const copies = graph.nodes.filter(({ comfyClass }) => comfyClass === "MotionStreamTrackEditor");
  const texts = copies.map((each) => each.widgets.find(({ name }) => name === "document").value);
  const surfaces = document.querySelectorAll(".mste").length;
  for (const each of copies.slice(1)) graph.remove(each);
  await new Promise((done) => setTimeout(done, 300));
  return { texts, surfaces, left: document.querySelectorAll(".mste").length };
});

// Queued from the page; the picture and the drawing reach the result.
const finished = page.evaluate(
  () =>
    new Promise((done) => {
      for (const name of ["execution_success", "execution_error"])
        window.app.api.addEventListener(name, ({ detail }) => done({ name, detail }));
    }),
);
await page.evaluate(() => window.app.queuePrompt(0));
seen.finished = await finished;
await wait(500);

// Pictures dropped from outside and pasted from the system's clipboard become the editor's, and nothing else.
const PICTURE = `(() => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 64];
  const context = canvas.getContext("2d");
  context.fillStyle = more;
  context.fillRect(0, 0, 64, 64);
  return canvas.toDataURL();
})()`;
const MIDDLE = `(() => {
  const canvas = element.querySelector(".mste-surface canvas");
  return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 4, 1, 1).data].slice(0, 3);
})()`;
const pictures = async () => ({
  middle: await inNode(MIDDLE),
  kept: await inNode("node.properties.motionstream_picture"),
  nodes: await page.evaluate(() => window.app.graph.nodes.length),
  text: await text(),
});
const client = await page.context().newCDPSession(page);
writeFileSync(`${folder}/dropped.png`, Buffer.from((await inNode(PICTURE, "#10a0e0")).split(",")[1], "base64"));
const [x, y] = await place(64, 64);
for (const type of ["dragEnter", "dragOver", "drop"]) {
  await client.send("Input.dispatchDragEvent", {
    type,
    x,
    y,
    data: { items: [], files: [`${folder}/dropped.png`], dragOperationsMask: 1 },
  });
}
await wait(2500);
seen.dropped = await pictures();
await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
await inNode(
  `fetch(more).then((answer) => answer.blob()).then((blob) => navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]))`,
  await inNode(PICTURE, "#e0a010"),
);
await inNode("element.querySelector('.mste-keys').focus()");
await page.keyboard.press("Control+v");
await wait(2500);
seen.pasted = await pictures();
await page.screenshot({ path: `${folder}/pictures.png` });
await inNode("delete node.properties.motionstream_picture");

// A move of the camera, chosen in the node.
await page.getByLabel(/^More: presets/).click();
await page.getByLabel("Camera", { exact: true }).selectOption("truck");
await wait(500);
seen.camera = await text();
await page.screenshot({ path: `${folder}/camera.png` });
await inNode("element.querySelector('.mste-keys').focus()");
await page.keyboard.press("Control+z");
await wait(400);
seen.camera_undone = await text();

// Inside a subgraph of a subgraph: the editor is there, and finds the loader outside.
seen.nested = await page.evaluate(async () => {
  const { app } = window;
  if (!app.graph.convertToSubgraph) return false;
  const wait = () => new Promise((done) => setTimeout(done, 600));
  const editor = app.graph.nodes.find(({ comfyClass }) => comfyClass === "MotionStreamTrackEditor");
  app.graph.convertToSubgraph(new Set([editor]));
  await wait();
  app.graph.convertToSubgraph(new Set([app.graph.nodes.find(({ subgraph }) => subgraph)]));
  await wait();
  const outer = app.graph.nodes.find(({ subgraph }) => subgraph);
  const inner = outer.subgraph.nodes.find(({ subgraph }) => subgraph);
  app.canvas.openSubgraph(outer.subgraph, outer);
  await wait();
  app.canvas.openSubgraph(inner.subgraph, inner);
  await wait();
  await wait();
  return true;
});
if (seen.nested) {
  seen.nested_text = await text();
  seen.nested_colours = await inNode(COLOURS);
}
await page.screenshot({ path: `${folder}/subgraph.png` });

// The drawing promoted to both nodes outside: theirs is the value, the editor shows it, and what it draws goes there.
if (seen.nested) {
  seen.promoted = await page.evaluate(async () => {
    const { app } = window;
    const root = app.rootGraph ?? app.graph.rootGraph ?? app.graph;
    const outer = root.nodes.find(({ subgraph }) => subgraph);
    const middle = outer.subgraph.nodes.find(({ subgraph }) => subgraph);
    const inner = middle.subgraph.nodes.find(({ comfyClass }) => comfyClass === "MotionStreamTrackEditor");
    const promote = (graph, node) => {
      const slot = node.inputs.find((input) => (input.widget?.name ?? input.name) === "document");
      if (slot) graph.addInput("document", "STRING").connect(slot, node);
      return Boolean(slot);
    };
    if (!promote(middle.subgraph, inner) || !promote(outer.subgraph, middle)) return null;
    await new Promise((done) => setTimeout(done, 800));
    window.promoted = outer.widgets.find(({ name }) => name === "document");
    return window.promoted?.value ?? null;
  });
}
if (seen.promoted !== null && seen.promoted !== undefined) {
  const other =
    '{"format":"motionstream-tracks","version":1,"canvas":{"width":128,"height":128,"num_frames":49,"fps":16},"tracks":[{"id":"o","kind":"anchor","interpolation":"linear","points":[[30,90]],"start":0,"duration":48}]}';
  await page.evaluate((other) => (window.promoted.value = other), other);
  await wait(900);
  await inNode("element.querySelector('.mste-keys').focus()");
  for (const key of ["v", "]", "ArrowRight"]) await page.keyboard.press(key);
  await wait(500);
  seen.promoted_text = await page.evaluate(() => window.promoted.value);
  seen.promoted_prompt = await page.evaluate(async () => {
    const { output } = await window.app.graphToPrompt();
    return Object.values(output).find(({ class_type }) => class_type === "MotionStreamTrackEditor").inputs.document;
  });
}

// Nodes drawn by Vue ("Nodes 2.0"): the editor is there, and draws.
await page.evaluate(() => window.app.extensionManager.setting.set("Comfy.VueNodes.Enabled", true));
await page.evaluate((prompt) => window.app.loadApiJson(prompt, "vue"), prompt);
await wait(3000);
seen.vue = await page.evaluate(() => document.querySelector("[data-node-id] .mste") !== null);
if (seen.vue) {
  await inNode("node.pos = [60, 80], window.app.canvas.ds.reset?.(), node.graph.setDirtyCanvas(true, true)");
  await wait(800);
  await page.getByRole("button", { name: /^Anchor/ }).click();
  await drag([64, 32], [64, 32]);
  seen.vue_document = await text();
  await page.screenshot({ path: `${folder}/vue.png` });
}

console.log(JSON.stringify(seen));
await browser.close();
