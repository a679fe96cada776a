// The editor's page in a test file: opened anew for every test, and worked through what a person has.
import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";

import { launch, missing, serve } from "./browser.js";

/** Hooks for the tests of one file; `options` are each test's, and skip it where no browser is there. */
export async function drivePage() {
  const skip = await missing();
  if (skip) console.log(`# the page is not tested: ${skip}`);
  const driver = new Driver();
  driver.options = { skip: skip ?? false, timeout: 60_000 };
  before(async () => {
    if (!skip) [driver.browser, driver.server] = await Promise.all([launch(), serve()]);
  });
  after(async () => {
    await driver.browser?.close();
    driver.server?.close();
  });
  beforeEach(async () => {
    if (!skip) await driver.open();
  });
  return driver;
}

export class Driver {
  /** A page with the editor alone; what was open before goes. */
  async open(settings = {}) {
    await this.page?.context().close();
    const context = await this.browser.newContext({ viewport: { width: 800, height: 660 }, ...settings });
    this.page = await context.newPage();
    this.page.setDefaultTimeout(50_000);
    this.problems = [];
    this.page.on("pageerror", (error) => this.problems.push(String(error)));
    this.page.on("console", (message) => message.type() === "error" && this.problems.push(message.text()));
    await this.page.goto(`${this.server.address}/tests/js/page/editor.html`);
    await this.page.waitForFunction(() => window.ready && window.editor.surface.size.width > 0);
    await this.settled();
  }

  /** Wait until the picture stays where it is: what the tools show may still be about to move it. */
  settled() {
    return this.page.evaluate(async () => {
      const where = () =>
        JSON.stringify([window.editor.surface.element.getBoundingClientRect(), window.editor.surface.view]);
      let before = "";
      for (let same = 0; same < 6; ) {
        await new Promise((done) => requestAnimationFrame(done));
        same = where() === before ? same + 1 : 0;
        before = where();
      }
    });
  }

  /** The document that the host was given last. */
  saved() {
    return this.page.evaluate(() => window.read(window.saved.at(-1) ?? ""));
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: false });
  }

  /** The row of what is folded away. */
  async openMore() {
    const menus = this.page.getByLabel("Presets", { exact: true });
    if (!(await menus.isVisible())) await this.button("More: presets").click();
    await this.settled();
  }

  /** Where a point of the image is on the page. */
  place(x, y) {
    return this.page.evaluate(
      ([x, y]) => {
        const { surface } = window.editor;
        const box = surface.element.getBoundingClientRect();
        const scale = box.width / surface.size.width;
        return [
          box.left + (x * surface.view.scale + surface.view.x) * scale,
          box.top + (y * surface.view.scale + surface.view.y) * scale,
        ];
      },
      [x, y],
    );
  }

  async drag(points, press = this.page.mouse) {
    await this.settled();
    const [first, ...rest] = await Promise.all(points.map(([x, y]) => this.place(x, y)));
    await press.move(...first);
    await press.down();
    for (const each of rest) await press.move(...each, { steps: 4 });
    await press.up();
    await this.settled();
  }

  async click(x, y, more = {}) {
    await this.settled();
    await this.page.mouse.click(...(await this.place(x, y)), more);
    await this.settled();
  }

  /** The colour of the lower layer at a point of the image: [r, g, b]. */
  colour(x, y) {
    return this.page.evaluate(
      ([x, y]) => {
        const {
          layers: { base },
          view,
          density,
        } = window.editor.surface;
        const at = [(x * view.scale + view.x) * density, (y * view.scale + view.y) * density];
        return [...base.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
      },
      [x, y],
    );
  }
}

export const near = ([x, y], [ex, ey], tolerance = 1) =>
  assert.ok(Math.hypot(x - ex, y - ey) <= tolerance, `${x},${y} for ${ex},${ey}`);
