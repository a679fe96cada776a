// A browser in front of the live page: drags an object, and keeps what the page showed and when.
//
//     node drag_in_browser.js ADDRESS SCREENSHOT JOB.json
//
// The job: {"from": [x, y], "to": [x, y], "seconds": s, "after": s} in px of the stream. Prints one JSON object.
import { readFileSync } from "node:fs";

import { launch } from "../../js/page/browser.js";

const [address, screenshot, job] = process.argv.slice(2);
const { from, to, seconds, after } = JSON.parse(readFileSync(job, "utf8"));
const problems = [];
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 900, height: 760 } });
page.setDefaultTimeout(90_000); // a busy machine takes its time
page.on("pageerror", (error) => problems.push(String(error)));
await page.goto(address);
await page.waitForFunction(() => window.motionstreamLive?.session.isOpen && window.motionstreamLive.shown.frames > 0);
await page.keyboard.press("Enter");
await page.waitForFunction(() => window.motionstreamLive.session.chunk?.index >= 3);

/** Where a place of the stream is on the page. @type {(at: number[]) => Promise<{x: number, y: number}>} */
const place = (at) =>
  page.evaluate(([x, y]) => {
    const { surface } = window.motionstreamLive.editor;
    const box = surface.element.getBoundingClientRect();
    const scale = box.width / surface.size.width;
    const { view } = surface;
    return { x: box.left + (x * view.scale + view.x) * scale, y: box.top + (y * view.scale + view.y) * scale };
  }, at);

// Every frame that is shown, with its time, until told to stop.
await page.evaluate(() => {
  const seen = (window.seen = []);
  let last = -1;
  const look = () => {
    const stage = window.motionstreamLive;
    if (stage.shown.frames !== last) {
      last = stage.shown.frames;
      const { data, width } = stage.pixels();
      let text = "";
      for (const value of data) text += String.fromCharCode(value);
      seen.push({ time: performance.now(), frame: stage.shown.frame, width, pixels: btoa(text) });
    }
    window.looking = requestAnimationFrame(look);
  };
  look();
});
const [start, end] = [await place(from), await place(to)];
const now = () => page.evaluate(() => performance.now());
await page.mouse.move(start.x, start.y);
const began = await now();
await page.mouse.down();
const steps = Math.round(seconds * 30);
const clock = Date.now();
for (let step = 1; step <= steps; step++) {
  const share = step / steps;
  await page.mouse.move(start.x + (end.x - start.x) * share, start.y + (end.y - start.y) * share);
  await page.waitForTimeout(Math.max(0, clock + (1000 * seconds * step) / steps - Date.now()));
}
const arrived = await now();
await page.screenshot({ path: screenshot });
const making = await page.evaluate(() => window.motionstreamLive.session.chunk.made_ms);
await page.waitForTimeout(1000 * after + 4 * making); // a busy machine shows it later
const seen = await page.evaluate(() => {
  cancelAnimationFrame(window.looking);
  return window.seen;
});
await page.mouse.up();
const { delays, made_ms } = await page.evaluate(() => ({
  delays: window.motionstreamLive.delays,
  made_ms: window.motionstreamLive.session.chunk.made_ms,
}));
await page.keyboard.press("Enter");
await page.waitForFunction(() => window.motionstreamLive.session.ended);
const files = await page.evaluate(() => window.motionstreamLive.session.ended.files);
await browser.close();
console.log(JSON.stringify({ problems, began, arrived, seen, delays: [...delays], made_ms, files }));
