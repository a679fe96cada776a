// The editor in its node, as docs/comfyui.md shows it: in front of a running ComfyUI that has this pack.
//
//     node docs/images/editor/take_in_node.js PORT FOLDER classic|vue PICTURE
//
// Writes FOLDER/classic.png or FOLDER/vue.png: a node of the size that it comes with, PICTURE below the tracks.
import { readFileSync } from "node:fs";

import { visit } from "../../../tests/host/newcomer/visit.js";

const [port, folder, mode, picture] = process.argv.slice(2);
const MARGIN_PX = 12;
const path = (id, more) => ({ id, kind: "path", interpolation: "catmull_rom", start: 0, duration: 48, ...more });
const DRAWING = {
  format: "motionstream-tracks",
  version: 1,
  canvas: { width: 256, height: 256, num_frames: 49, fps: 16 },
  tracks: [
    path("t1", {
      points: [
        [68, 63],
        [120, 36],
        [150, 84],
        [104, 132],
      ],
      easing: "ease_in_out",
      duration: 40,
    }),
    path("t2", {
      kind: "drag",
      points: [
        [198, 134],
        [222, 176],
        [196, 222],
        [150, 214],
      ],
      start: 6,
      duration: 34,
      keyframes: [
        [0, 0],
        [14, 1.5],
        [20, 1.5],
        [34, 3],
      ],
      grid: { columns: 3, rows: 3, dx: 14, dy: 14 },
    }),
    path("t3", { kind: "anchor", points: [[28, 193]], grid: { columns: 3, rows: 3, dx: 11, dy: 11 } }),
  ],
};

const visitor = await visit(port, mode, folder);
const { page, wait } = visitor;
const bytes = readFileSync(picture).toString("base64");
await page.evaluate(
  async ([bytes, drawing]) => {
    const body = new FormData();
    const content = await (await fetch(`data:image/png;base64,${bytes}`)).blob();
    body.append("image", new File([content], "picture.png", { type: "image/png" }));
    const { name } = await (await window.app.api.fetchApi("/upload/image", { method: "POST", body })).json();
    const prompt = {
      1: { class_type: "LoadImage", inputs: { image: name } },
      2: {
        class_type: "MotionStreamTrackEditor",
        inputs: { document: drawing, width: 256, height: 256, length: 49, time: "stretch", image: ["1", 0] },
      },
    };
    window.app.loadApiJson(prompt, "editor");
  },
  [bytes, JSON.stringify(DRAWING)],
);
await wait(3000);
const nodeId = await page.evaluate(() => {
  const { graph, canvas } = window.app;
  const [loader, node] = ["LoadImage", "MotionStreamTrackEditor"].map((kind) =>
    graph.nodes.find(({ comfyClass }) => comfyClass === kind),
  );
  loader.pos = [3000, 0];
  node.pos = [260, 90];
  canvas.ds.reset?.();
  graph.setDirtyCanvas(true, true);
  node.widgets
    .find(({ name }) => name === "track_editor")
    .element.querySelector(".mste-keys")
    .focus();
  return node.id;
});
await page.keyboard.press("]");
for (let frame = 0; frame < 12; frame++) await page.keyboard.press(".");
await page.mouse.move(1300, 300);
await wait(1500);
const box = await page.evaluate((id) => {
  const shown = document.querySelector(`[data-node-id="${id}"]`)?.getBoundingClientRect();
  if (shown) return { x: shown.x, y: shown.y, width: shown.width, height: shown.height };
  const { canvas, graph } = window.app;
  const node = graph.getNodeById(id);
  const page = canvas.canvas.getBoundingClientRect();
  const [left, top] = [0, 1].map((i) => node.pos[i] + canvas.ds.offset[i]);
  return { x: page.x + left, y: page.y + top - 30, width: node.size[0], height: node.size[1] + 30 };
}, nodeId);
const clip = {
  x: box.x - MARGIN_PX,
  y: box.y - MARGIN_PX,
  width: box.width + 2 * MARGIN_PX,
  height: box.height + 2 * MARGIN_PX,
};
await page.screenshot({ path: `${folder}/${mode}.png`, clip });
await visitor.end();
