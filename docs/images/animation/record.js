// Two strokes drawn by the mouse in the real editor, a picture after every step: record.js FOLDER
// Writes FOLDER/NNN.png and FOLDER/document.json.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { launch, serve } from "../../../tests/js/page/browser.js";
import { Driver } from "../../../tests/js/page/driver.js";

const STEPS = 26;
const STROKES = [
  { from: [34, 31], by: [66, 2], to: [94, 34] },
  { from: [101, 68], by: [88, 108], to: [54, 96] },
];

const folder = process.argv[2];
const driver = new Driver();
[driver.browser, driver.server] = await Promise.all([launch(), serve()]);
await driver.open({ viewport: { width: 760, height: 800 } });
await driver.page.evaluate(async () => {
  document.getElementById("place").style.height = "790px";
  window.canvas = { width: 128, height: 128, num_frames: 49, fps: 16 };
  window.editor.setText("");
  await window.editor.setImage("/js/picker/bundled/three_shapes.png");
});
await driver.settled();

let count = 0;
const box = await driver.page.locator("#place").boundingBox();
async function shoot() {
  await driver.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await driver.page.screenshot({ path: join(folder, `${String(count++).padStart(3, "0")}.png`), clip: box });
}

await driver.button("Grid brush").click();
for (const [name, value] of [
  ["Spacing of the grid", "7"],
  ["Size of the grid", "15"],
]) {
  const input = driver.page.getByTitle(name);
  await input.fill(value);
  await input.press("Enter");
}
await driver.settled();
await shoot();
for (const { from, by, to } of STROKES) {
  for (let step = 0; step <= STEPS; step++) {
    const t = (1 - Math.cos((Math.PI * step) / STEPS)) / 2;
    const at = [0, 1].map((axis) => (1 - t) ** 2 * from[axis] + 2 * t * (1 - t) * by[axis] + t * t * to[axis]);
    await driver.page.mouse.move(...(await driver.place(...at)));
    if (step === 0) await driver.page.mouse.down();
    await shoot();
  }
  await driver.page.mouse.up();
  await shoot();
}
const saved = await driver.page.evaluate(() => window.saved.at(-1));
writeFileSync(join(folder, "document.json"), saved);
await driver.browser.close();
driver.server.close();
console.log(`${count} pictures, ${readFileSync(join(folder, "document.json")).length} bytes of document`);
