// A browser in front of a running ComfyUI, in one of its two ways to draw nodes: what the page around the editor does to
// it (undo, the wheel, a narrow node, a reload), and what is dropped on it.
//
//     node editor_in_browser.js PORT FOLDER classic|vue PROMPT.json
//
// Prints one JSON object of what it saw. Run by test_editor_in_page.py.
import { readFileSync, writeFileSync } from "node:fs";

import { drawing, EDITOR, spill, stroke } from "./newcomer/editor.js";
import { drop, inNode, until, visit } from "./newcomer/visit.js";

const [port, folder, mode, promptFile] = process.argv.slice(2);
const STREAMER = "MotionStreamStudentStreamer";
const prompt = JSON.parse(readFileSync(promptFile, "utf8"));
const visitor = await visit(port, mode, folder);
const { page, wait } = visitor;
const seen = {};

/** The prompt as a workflow of its own, its editor alone in sight, at full size. */
async function open() {
  await page.evaluate((prompt) => window.app.loadApiJson(prompt, "editor"), prompt);
  await until(visitor, (kind) => window.app.graph.nodes.some(({ comfyClass }) => comfyClass === kind), EDITOR);
  await page.evaluate((kind) => {
    const { graph, canvas } = window.app;
    for (const node of graph.nodes) node.pos = node.comfyClass === kind ? [120, 140] : [3000, 140];
    canvas.ds.reset?.();
    graph.setDirtyCanvas(true, true);
  }, EDITOR);
  await wait(1500);
}

/** Px of the surface in each colour: of the first two paths, and of what the photo is made of. */
const colours = () =>
  inNode(
    visitor,
    EDITOR,
    `(() => {
      const wanted = { first: [74, 163, 255], second: [255, 181, 46] };
      const counts = { first: 0, second: 0 };
      for (const canvas of widget("track_editor").element.querySelectorAll(".mste-surface canvas")) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4)
          for (const [name, colour] of Object.entries(wanted))
            if (data[i + 3] > 250 && colour.every((value, k) => Math.abs(data[i + k] - value) < 6)) counts[name]++;
      }
      return counts;
    })()`,
  );

/** The colour below the drawing at a share of the clip's frame, found from the surface's size alone. */
const below = (share) =>
  inNode(
    visitor,
    EDITOR,
    `(() => {
      const [canvas] = widget("track_editor").element.querySelectorAll(".mste-surface canvas");
      const density = canvas.width / canvas.clientWidth;
      const [width, height] = [widget("width").value, widget("height").value];
      const scale = Math.min((canvas.clientWidth - 16) / width, (canvas.clientHeight - 16) / height);
      const x = canvas.clientWidth / 2 + (more - 0.5) * width * scale;
      const y = canvas.clientHeight / 2 + 0.4 * height * scale;
      return [...canvas.getContext("2d").getImageData(x * density, y * density, 1, 1).data].slice(0, 3);
    })()`,
    share,
  );

const size = () => inNode(visitor, EDITOR, `[widget("width").value, widget("height").value]`);
const clip = () =>
  inNode(visitor, EDITOR, `(({ width, height }) => [width, height])(JSON.parse(widget("document").value).canvas)`);
const set = (kind, name, value) =>
  inNode(visitor, kind, "(widget(more[0]).value = more[1], graph.setDirtyCanvas(true, true))", [name, value]);
const focus = () =>
  inNode(visitor, EDITOR, `widget("track_editor").element.querySelector(".mste-keys").focus({ preventScroll: true })`);
const scaleOfGraph = () => page.evaluate(() => window.app.canvas.ds.scale);

/** Keys of the graph, which has the keyboard, and what the editor shows one second later. */
async function inGraph(keys) {
  await page.keyboard.press(keys);
  await wait(1000);
  return { ...(await drawing(visitor)), colours: await colours() };
}

await open();
seen.empty = { ...(await drawing(visitor)), words: await page.locator(".mste-empty").isVisible() };
await visitor.shot("empty");
await stroke(visitor, [-0.3, -0.2], [0.3, -0.25]);
await stroke(visitor, [-0.3, 0.1], [0.3, 0.2]);
seen.drawn = { ...(await drawing(visitor)), colours: await colours() };
await visitor.shot("drawn");
await page.mouse.click(1100, 300); // the empty graph; once, since a click there may be a change that ends a redo
seen.undone = await inGraph("Control+z");
await visitor.shot("undone");
seen.redone = await inGraph("Control+y");

// The node's size changes, the drawing is fitted to it by the editor's button, and Ctrl+Z takes that back alone.
for (const name of ["width", "height"]) await set(EDITOR, name, 256);
await wait(800);
await page.getByRole("button", { name: "Scale the drawing to the node" }).click();
await wait(500);
seen.fitted = { ...(await drawing(visitor)), clip: await clip() };
await page.keyboard.press("Control+z");
await wait(1000);
seen.fit_undone = { ...(await drawing(visitor)), clip: await clip(), size: await size(), colours: await colours() };
await page.keyboard.press("Control+Shift+z");
await wait(500);

// The wheel over the editor that has the keyboard.
const surface = await page.locator(".mste-surface").boundingBox();
const before = await scaleOfGraph();
await focus();
await page.mouse.move(surface.x + surface.width / 2, surface.y + surface.height / 2);
const framed = await colours();
for (let i = 0; i < 3; i++) await page.mouse.wheel(0, -240);
await wait(600);
seen.wheel = { graph: [before, await scaleOfGraph()], path: [framed.first, (await colours()).first] };
await page.keyboard.press("0");
await wait(400);

// The list of keys: by Escape, by a click, and out of full screen in the end.
const help = page.locator(".mste-help");
const isOpen = () => help.isVisible();
await focus();
await page.keyboard.press("?");
seen.help = [await isOpen()];
await page.keyboard.press("Escape");
seen.help.push(await isOpen());
await page.keyboard.press("?");
await help.click({ position: { x: 20, y: 20 } });
seen.help.push(await isOpen());
await page.getByRole("button", { name: "Full screen" }).click();
await page.keyboard.press("?");
seen.help.push(await isOpen());
await page.keyboard.press("Escape");
seen.help.push(await isOpen());
for (let i = 0; i < 2; i++) await page.keyboard.press("Escape"); // what is selected, then the full screen
await wait(500);
seen.left_full_screen = { ...(await drawing(visitor)), overlays: await page.locator(".mste-overlay").count() };

await inNode(visitor, EDITOR, "(node.setSize([300, node.size[1]]), graph.setDirtyCanvas(true, true))");
await wait(1500);
seen.narrow = { spill: await spill(visitor, EDITOR, "track_editor"), ...(await drawing(visitor)) };
await visitor.shot("narrow");

// A photo, let go over an editor in which nobody has drawn: thirds of red, green and blue, 320 x 192 px.
await open();
const photo = await page.evaluate(() => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 192];
  const context = canvas.getContext("2d");
  ["#c02020", "#20a040", "#2040c0"].forEach((colour, i) => {
    context.fillStyle = colour;
    context.fillRect((320 / 3) * i, 0, 320 / 3 + 1, 192);
  });
  return canvas.toDataURL();
});
const file = `${folder}/thirds_${mode}.png`;
writeFileSync(file, Buffer.from(photo.split(",")[1], "base64"));
const box = await page.locator(".mste-surface").boundingBox();
await drop(visitor, file, box.x + box.width / 2, box.y + box.height / 2);
seen.photo = { size: await size(), below: [await below(0.05), await below(0.5), await below(0.95)] };
await stroke(visitor, [-0.3, -0.2], [0.3, -0.25]);
await visitor.shot("photo");

await page.reload({ waitUntil: "domcontentloaded" });
await visitor.ready();
await until(visitor, (kind) => window.app.graph.nodes.some(({ comfyClass }) => comfyClass === kind), EDITOR);
await wait(3000);
seen.reloaded = {
  ...(await drawing(visitor)),
  size: await size(),
  below: [await below(0.05), await below(0.5), await below(0.95)],
  colours: await colours(),
};
await visitor.shot("reloaded");

// A square clip of the same photo: 64 to 256 of its 320 px are shown, or all of them, as the sampler fits it.
for (const name of ["width", "height"]) await set(EDITOR, name, 128);
await page.getByRole("button", { name: "Scale the drawing to the node" }).click();
seen.fit = {};
for (const fit of ["crop", "stretch"]) {
  await set(STREAMER, "fit", fit);
  await wait(1000);
  seen.fit[fit] = await below(0.28);
  await visitor.shot(fit);
}

// A Chinese interface: an editor that is made in it speaks Chinese. The setting is the host's user's, and is put back.
const language = await page.evaluate(() => window.app.extensionManager.setting.get("Comfy.Locale"));
const speak = (to) => page.evaluate((to) => window.app.extensionManager.setting.set("Comfy.Locale", to), to);
await speak("zh");
await open();
seen.chinese = await inNode(
  visitor,
  EDITOR,
  `[".mste-empty b", ".mste-tool"].map((each) => widget("track_editor").element.querySelector(each))
    .map((each) => each.title || each.textContent)`,
);
await visitor.shot("chinese");
await speak(language);

seen.problems = visitor.problems;
console.log(JSON.stringify(seen));
await visitor.end();
