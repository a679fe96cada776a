// What a newcomer does next: draws, wants another length, takes it back, loads the page anew, makes the node small, drops
// a photo, looks for nodes, takes a blueprint, uses another pack's editor beside this one's.
import { writeFileSync } from "node:fs";

import { drawing, EDITOR, spill, stroke } from "./editor.js";
import { drop, inNode, until } from "./visit.js";

const STREAMER = "MotionStreamStudentStreamer";
const PICTURE = "MotionStreamPicture";
const TABLE = "MotionStreamManifestRow";

/** Types a number into a widget of a node, where that way of drawing nodes has it. */
async function type(visitor, kind, name, value) {
  const { page, wait, mode } = visitor;
  if (mode === "vue") {
    const id = await inNode(visitor, kind, "node.id");
    const field = page.locator(`[data-node-id="${id}"]`).getByLabel(name, { exact: true }).locator("input").first();
    await field.fill(String(value));
    await field.press("Enter");
  } else {
    const at = await inNode(
      visitor,
      kind,
      `(() => {
        const { ds } = window.app.canvas;
        const box = window.app.canvas.canvas.getBoundingClientRect();
        const point = [node.pos[0] + node.size[0] / 2, node.pos[1] + widget(more).last_y + 10];
        return point.map((value, i) => [box.x, box.y][i] + (value + ds.offset[i]) * ds.scale);
      })()`,
      name,
    );
    await page.mouse.dblclick(...at);
    const field = page.locator(".graphdialog input");
    await field.fill(String(value));
    await field.press("Enter");
  }
  await wait(600);
}

/** Draws over the example, makes it 61 frames, takes back, reloads; the video is made of what was drawn. */
export async function draws(visitor) {
  const { page, wait } = visitor;
  const seen = { before: await drawing(visitor) };
  await stroke(visitor, [-0.1, 0.2], [0.2, 0.25]);
  seen.drawn = await drawing(visitor);
  await type(visitor, EDITOR, "length", 61);
  seen.typed = await drawing(visitor);
  await visitor.shot("drawn");
  seen.run = await visitor.run();
  await wait(1500);
  await visitor.shot("ran");
  await page.evaluate(() => {
    document.activeElement?.blur();
    return window.app.extensionManager.command.execute("Comfy.Undo");
  });
  await wait(2500);
  seen.undone = await drawing(visitor);
  await visitor.shot("undone");
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Redo"));
  await wait(2500);
  seen.redone = await drawing(visitor);
  await page.reload({ waitUntil: "domcontentloaded" });
  await visitor.ready();
  await until(visitor, (kind) => window.app.graph.nodes.some(({ comfyClass }) => comfyClass === kind), EDITOR);
  await wait(3000);
  seen.reloaded = await drawing(visitor);
  await visitor.shot("reloaded");
  return seen;
}

/** 61 typed into the streamer's own length, once nothing is linked to it: what it holds, and what its row shows. */
export async function typesLength(visitor) {
  await inNode(visitor, STREAMER, `node.disconnectInput(node.inputs.findIndex(({ name }) => name === "length"))`);
  await visitor.wait(800);
  const before = await inNode(visitor, STREAMER, `widget("length").value`);
  await type(visitor, STREAMER, "length", 61);
  await visitor.shot("own_length");
  return { before, held: await inNode(visitor, STREAMER, `widget("length").value`) };
}

/** A table's example: a run takes the next row by itself, and a row that is not there is told. */
export async function countsUp(visitor) {
  const seen = { begun: await inNode(visitor, TABLE, `widget("row").value`), run: await visitor.run() };
  await visitor.wait(800);
  seen.next = await inNode(visitor, TABLE, `widget("row").value`);
  await visitor.shot("table");
  await inNode(visitor, TABLE, `widget("row").value = 9`);
  seen.beyond = (await visitor.run()).words;
  await visitor.wait(800);
  await visitor.shot("table_beyond");
  return seen;
}

/** How far what a node shows reaches over its edges once it is 300 px wide, and what is drawn there then. */
export async function narrows(visitor) {
  const seen = {};
  for (const [kind, name] of [
    [PICTURE, "picker"],
    [EDITOR, "track_editor"],
  ]) {
    await inNode(visitor, kind, "(node.setSize([300, node.size[1]]), graph.setDirtyCanvas(true, true))");
    await visitor.wait(1500);
    seen[name] = await spill(visitor, kind, name);
  }
  await stroke(visitor, [-0.2, -0.2], [0.1, -0.3]);
  seen.drawn = await drawing(visitor);
  await visitor.shot("narrow");
  return seen;
}

/** A photo let go over the node that holds the picture: the picker, the editor and the video take it. */
export async function drops(visitor, folder) {
  const { page } = visitor;
  const photo = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [256, 256];
    const context = canvas.getContext("2d");
    const sky = context.createLinearGradient(0, 0, 0, 256);
    sky.addColorStop(0, "#1060c0");
    sky.addColorStop(1, "#e0b060");
    context.fillStyle = sky;
    context.fillRect(0, 0, 256, 256);
    return canvas.toDataURL();
  });
  const file = `${folder}/photo_${visitor.mode}.png`;
  writeFileSync(file, Buffer.from(photo.split(",")[1], "base64"));
  const list = await page.locator(".msp-list").boundingBox();
  await drop(visitor, file, list.x + list.width / 2, list.y + list.height / 2);
  const seen = { picked: await inNode(visitor, PICTURE, `widget("image").value`) };
  seen.nodes = await page.evaluate(() => window.app.graph.nodes.length);
  await visitor.wait(1500);
  await visitor.shot("photo");
  seen.run = await visitor.run();
  await page.getByRole("option", { name: "three shapes" }).click();
  await visitor.wait(500);
  seen.back = await inNode(visitor, PICTURE, `widget("image").value`);
  return seen;
}

/** Letters typed before the search has the keyboard would be shortcuts of the graph. */
async function openSearch(visitor) {
  await visitor.page.evaluate(() => {
    document.activeElement?.blur();
    return window.app.extensionManager.command.execute("Workspace.SearchBox.Toggle");
  });
  await until(visitor, () => document.activeElement?.tagName === "INPUT");
}

/** Names in the node search, first to last. */
export async function searches(visitor, words) {
  const { page, wait } = visitor;
  const found = {};
  await openSearch(visitor);
  for (const word of words) {
    await page.keyboard.press("Control+a");
    await page.keyboard.type(word);
    await wait(1500);
    const shown = await page.getByTestId("result-item").allInnerTexts();
    found[word] = shown.map((text) => text.split("\n")[0].trim());
  }
  await visitor.shot("search");
  await page.keyboard.press("Escape");
  await page.getByTestId("result-item").first().waitFor({ state: "hidden" });
  return found;
}

/** The first of what the node search finds; it hangs on the pointer until a click puts it down. */
async function pick(visitor, name) {
  const { page, wait } = visitor;
  await openSearch(visitor);
  await page.keyboard.type(name);
  const first = page.getByTestId("result-item").first();
  await first.filter({ hasText: name }).waitFor();
  await page.keyboard.press("Enter");
  await first.waitFor({ state: "hidden" });
  await wait(500);
}

/** A blueprint taken from the node search, fed with a picture, drawn in where it is, and run. */
export async function blueprint(visitor, name, sources, isDrawn) {
  const { page, wait } = visitor;
  await page.evaluate(() => window.app.clean()); // the graph, and what was shown at nodes of the same numbers
  await pick(visitor, name);
  const isHeld = (held) =>
    window.app.graph.nodes.some(({ subgraph, flags }) => subgraph && Boolean(flags.ghost) === held);
  await until(visitor, isHeld, true);
  await page.mouse.move(740, 290);
  await page.mouse.click(750, 300);
  await until(visitor, isHeld, false);
  await page.evaluate((sources) => {
    const { graph, canvas } = window.app;
    const host = graph.nodes.find(({ subgraph }) => subgraph);
    host.pos = [480, 120];
    const add = (kind, x, y) => {
      const node = window.LiteGraph.createNode(kind);
      node.pos = [x, y];
      graph.add(node);
      return node;
    };
    sources.forEach(([kind, slot, input], row) => {
      const target = host.inputs.findIndex((each) => each.name === input);
      const made = graph.nodes.find(({ comfyClass }) => comfyClass === kind) ?? add(kind, 100, 120 + 420 * row);
      made.connect(slot, host, target);
    });
    host.connect(0, add("SaveVideo", 1120, 120), 0);
    canvas.ds.reset?.();
    canvas.ds.scale = 0.8;
    graph.setDirtyCanvas(true, true);
  }, sources);
  await wait(2500);
  const seen = {};
  if (isDrawn) {
    await until(visitor, () => {
      const surface = document.querySelector(".mste-surface");
      return surface && !surface.closest("[inert]"); // as long as a dialog of the page is open
    });
    await stroke(visitor, [0.28, 0.02], [-0.1, 0.1]);
    seen.drawn = await drawing(visitor, "subgraph");
  }
  seen.run = await visitor.run();
  await wait(1000);
  await visitor.shot(name.replaceAll(" ", "_"));
  if (isDrawn) {
    await page.evaluate(() => window.app.loadGraphData(window.app.graph.serialize()));
    await wait(3000);
    seen.loaded = await drawing(visitor, "subgraph");
  }
  return seen;
}

/** Another pack's editor beside this one's: both are there, both stay. */
export async function beside(visitor) {
  const { page, wait } = visitor;
  const isThere = await page.evaluate(() => Boolean(window.LiteGraph.registered_node_types.SplineEditor));
  if (!isThere) return null;
  await page.evaluate(
    (kinds) => {
      const { graph, canvas } = window.app;
      graph.clear();
      kinds.forEach((kind, column) => {
        const node = window.LiteGraph.createNode(kind);
        node.pos = [120 + 640 * column, 120];
        graph.add(node);
      });
      canvas.ds.reset?.();
      canvas.ds.scale = 0.8;
    },
    [EDITOR, "SplineEditor"],
  );
  await wait(3000);
  await stroke(visitor, [-0.2, -0.2], [0.2, 0.2]);
  await visitor.shot("beside_kjnodes");
  return drawing(visitor);
}
