// A browser in front of a running ComfyUI: runs a workflow and watches the video in its node, in both forms of the graph.
//
//     node preview_in_browser.js PORT PROMPT.json SCREENSHOT_FOLDER
//
// Prints one JSON object of what it saw. Run by test_preview.py.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { until, visit } from "./newcomer/visit.js";

const [port, promptFile, shots] = process.argv.slice(2);
const folder = resolve(shots);
const prompt = JSON.parse(readFileSync(promptFile, "utf8"));
const STREAMER = "MotionStreamStudentStreamer";
const seen = {};

for (const mode of ["classic", "vue"]) {
  const visitor = await visit(port, mode, folder);
  const { page, problems } = visitor;
  await page.evaluate((prompt) => window.app.loadApiJson(prompt, "preview"), prompt);
  await visitor.wait(2500);
  await page.evaluate((kind) => {
    const { graph, canvas } = window.app;
    const node = graph.nodes.find(({ comfyClass }) => comfyClass === kind);
    for (const [index, each] of graph.nodes.entries()) each.pos = each === node ? [300, 40] : [4000 + 600 * index, 40];
    node.setSize([460, 900]);
    canvas.ds.scale = 0.9;
    canvas.ds.offset = [0, 0];
    graph.setDirtyCanvas(true, true);
  }, STREAMER);
  const ran = await visitor.run();
  await until(visitor, () => [...document.querySelectorAll("video")].some(({ currentTime }) => currentTime > 0));
  const times = [];
  for (let shot = 0; shot < 4; shot++) {
    // it begins again and again: at the very start, and while the page puts another element in its place, it is waited for
    const video = await page.waitForFunction(() => {
      const found = [...document.querySelectorAll("video")].find(({ currentTime }) => currentTime > 0);
      if (!found) return null;
      const { currentTime, paused, muted, loop, duration } = found;
      return { currentTime, paused, muted, loop, duration };
    });
    times.push(await video.jsonValue());
    await visitor.shot(`preview_${shot}`);
    await visitor.wait(400);
  }
  // stopped by hand it stays so
  const stopped = await page.evaluate(async () => {
    const video = [...document.querySelectorAll("video")].find(({ paused }) => !paused);
    video.pause();
    await new Promise((done) => setTimeout(done, 1500));
    return video.paused;
  });
  const pictures = await page.evaluate((kind) => {
    const inPage = [...document.querySelectorAll('[data-node-id] img[src^="blob:"]')];
    const node = window.app.graph.nodes.find(({ comfyClass }) => comfyClass === kind);
    const inGraph = node.widgets.filter(({ name }) => name === "$$canvas-image-preview");
    return inPage.filter((each) => each.checkVisibility()).length + inGraph.length;
  }, STREAMER);
  seen[mode] = { ran: ran.name, times, stopped, pictures, problems };
  await visitor.end();
}
console.log(JSON.stringify(seen));
