// The README's animation: the live page in Chromium, two drags and words between them, as the browser painted it.
//
//     python -m motionstream_core live --no-browser --image PHOTO &
//     node docs/images/animation/record_live.js FOLDER "[[[48,48],[64,34]],[[64,34],[46,50]]]" "snow, night falling"
//     python docs/images/animation/join_live.py FOLDER docs/images/live.webp
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { launch } from "../../../tests/js/page/browser.js";

const folder = process.argv[2];
const DRAGS = JSON.parse(process.argv[3]); // from, to, in px of the stream
const WORDS = process.argv[4]; // typed into the prompt after the first drag
const DRAG_MS = 1700;

mkdirSync(folder, { recursive: true });
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 560, height: 600 } });
await page.goto("http://127.0.0.1:8189/");
await page.waitForFunction(() => window.motionstreamLive?.session.isOpen && window.motionstreamLive.shown.frames > 0);
await page.keyboard.press("Enter");
await page.waitForFunction(() => window.motionstreamLive.session.chunk?.index >= 5);
const client = await page.context().newCDPSession(page);
let number = 0;
client.on("Page.screencastFrame", ({ data, metadata, sessionId }) => {
  const name = `${String(number++).padStart(4, "0")}_${Math.round(metadata.timestamp * 1000)}.jpg`;
  writeFileSync(join(folder, name), Buffer.from(data, "base64"));
  void client.send("Page.screencastFrameAck", { sessionId });
});
await client.send("Page.startScreencast", { format: "jpeg", quality: 90, everyNthFrame: 1 });
const place = (at) =>
  page.evaluate(([x, y]) => {
    const { surface } = window.motionstreamLive.editor;
    const box = surface.element.getBoundingClientRect();
    return [box.left + x * surface.view.scale + surface.view.x, box.top + y * surface.view.scale + surface.view.y];
  }, at);
for (const [index, [from, to]] of DRAGS.entries()) {
  const [[x0, y0], [x1, y1]] = [await place(from), await place(to)];
  await page.mouse.move(x0, y0);
  await page.waitForTimeout(400);
  await page.mouse.down();
  const begin = Date.now();
  for (let share = 0; share < 1; ) {
    share = Math.min(1, (Date.now() - begin) / DRAG_MS);
    const eased = share * share * (3 - 2 * share);
    await page.mouse.move(x0 + (x1 - x0) * eased, y0 + (y1 - y0) * eased);
    await page.waitForTimeout(25);
  }
  await page.waitForTimeout(1100);
  await page.mouse.up();
  if (index === 0 && WORDS) {
    await page.locator(".mste-prompt").click();
    await page.keyboard.type(WORDS, { delay: 60 });
    await page.keyboard.press("Enter");
    await page.waitForTimeout(2200);
  }
}
await page.waitForTimeout(500);
await client.send("Page.stopScreencast");
await page.keyboard.press("Enter");
await page.waitForFunction(() => window.motionstreamLive.session.ended);
await browser.close();
