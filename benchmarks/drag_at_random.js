// A browser in front of the live page, dragging at moments of no rhythm; prints what the page measured.
//
//     node drag_at_random.js ADDRESS SECONDS
import { launch } from "../tests/js/page/browser.js";

const [address, seconds] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 900, height: 760 } });
await page.goto(address);
await page.waitForFunction(() => window.motionstreamLive?.session.isOpen && window.motionstreamLive.shown.frames > 0);
await page.keyboard.press("Enter");
await page.waitForFunction(() => window.motionstreamLive.session.chunk?.index >= 8, null, { timeout: 60_000 });
const box = await page.locator(".mste-surface").boundingBox();
const result = await page.evaluate(
  async ([box, seconds]) => {
    const stage = window.motionstreamLive;
    const surface = stage.editor.surface.element;
    const wait = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));
    // Pointer events of the page's own, so that no other process has to keep up.
    const send = (type, x, y) =>
      surface.dispatchEvent(
        new PointerEvent(type, {
          pointerId: 1,
          pointerType: "mouse",
          button: 0,
          buttons: 1,
          clientX: x,
          clientY: y,
          bubbles: true,
        }),
      );
    surface.setPointerCapture = () => {};
    const [made, early] = [[], []];
    let last = stage.session.chunk.index;
    const looking = setInterval(() => {
      if (stage.session.chunk.index !== last) {
        made.push(stage.session.chunk.made_ms);
        early.push(Math.min(...stage.screen.player.slacks));
      }
      last = stage.session.chunk.index;
    }, 30);
    const [began, first] = [performance.now(), stage.shown.frames];
    let seed = 1;
    const random = () => {
      seed = (seed * 16807) % 2147483647;
      return seed / 2147483647;
    };
    while (performance.now() - began < seconds * 1000) {
      await wait(500 + 1100 * random());
      const [x, y] = [box.x + box.width * (0.3 + 0.4 * random()), box.y + box.height * (0.3 + 0.4 * random())];
      const turn = 2 * Math.PI * random();
      const [dx, dy] = [45 * Math.cos(turn), 45 * Math.sin(turn)];
      send("pointerdown", x, y);
      for (let step = 1; step <= 15; step++) {
        await wait(30);
        send("pointermove", x + (dx * step) / 15, y + (dy * step) / 15);
      }
      send("pointerup", x + dx, y + dy);
    }
    clearInterval(looking);
    const shown = (stage.shown.frames - first) / ((performance.now() - began) / 1000);
    return { delays: [...stage.delays], made, early, fps: shown };
  },
  [box, Number(seconds)],
);
await page.keyboard.press("Enter");
await browser.close();
console.log(JSON.stringify(result));
