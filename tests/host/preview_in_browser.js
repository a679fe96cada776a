// A browser in front of a running ComfyUI: runs a workflow and watches the video in its node, in both forms of the graph.
//
//     node preview_in_browser.js PORT PROMPT.json SCREENSHOT_FOLDER
//
// Prints one JSON object of what it saw. Run by test_preview.py.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { inNode, until, visit } from "./newcomer/visit.js";

const [port, promptFile, shots] = process.argv.slice(2);
const folder = resolve(shots);
const prompt = JSON.parse(readFileSync(promptFile, "utf8"));
const STREAMER = "MotionStreamStudentStreamer";
/** So much later the classic graph gets its pictures, as on a busy machine. */
const LATE_MS = 400;
const seen = {};

/** How many pictures of a run and how many videos the node shows. */
const shows = (visitor) =>
  inNode(
    visitor,
    STREAMER,
    `(() => {
      const inPage = (kind) =>
        [...document.querySelectorAll(\`[data-node-id="\${node.id}"] \${kind}\`)].filter((each) => each.checkVisibility());
      const inGraph = (...names) => node.widgets.filter(({ name }) => names.includes(name));
      return {
        pictures: [...inPage('img[src^="blob:"]'), ...inGraph("$$canvas-image-preview", "$$comfy_animation_preview")].length,
        videos: [...inPage(".video-preview"), ...inGraph("video-preview")].length,
        height: node.size[1],
      };
    })()`,
  );

for (const mode of ["classic", "vue"]) {
  const visitor = await visit(port, mode, folder);
  const { page, problems } = visitor;
  if (mode === "classic")
    await page.evaluate((late) => {
      const { get, set } = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
      Object.defineProperty(HTMLImageElement.prototype, "src", {
        get,
        set(address) {
          setTimeout(() => set.call(this, address), String(address).startsWith("blob:") ? late : 0);
        },
      });
    }, LATE_MS);
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
  const shown = await shows(visitor);
  // run again: its pictures come in the place of the video, and make way for the next one
  const again = visitor.run();
  let during = await shows(visitor);
  for (let look = 0; look < 300 && (during.videos || !during.pictures); look++) {
    await visitor.wait(100);
    during = await shows(visitor);
  }
  await visitor.shot("again");
  const ended = await again;
  await until(visitor, () => [...document.querySelectorAll("video")].some(({ currentTime }) => currentTime > 0));
  await visitor.wait(LATE_MS + 1000);
  await visitor.shot("again_ended");
  seen[mode] = {
    ran: ran.name,
    times,
    stopped,
    shown,
    during,
    again: ended.name,
    after: await shows(visitor),
    problems,
  };
  await visitor.end();
}
console.log(JSON.stringify(seen));
