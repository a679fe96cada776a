// The editor as wide as a page, as docs/comfyui.md shows it: drawn tracks, and a camera that moves over them.
//
//     node docs/images/editor/take_alone.js FOLDER
//
// Writes FOLDER/drawn.png and FOLDER/camera.png.
import { launch, serve } from "../../../tests/js/page/browser.js";
import { Driver } from "../../../tests/js/page/driver.js";

const folder = process.argv[2];
const [WIDTH, HEIGHT] = [1100, 760];
const CANVAS = { width: 256, height: 256, num_frames: 49, fps: 16 };
const base = { kind: "path", interpolation: "catmull_rom", start: 0, duration: 48 };
const TRACKS = [
  {
    ...base,
    id: "t1",
    interpolation: "bezier",
    points: [
      [198, 134, 0, 0, -4, 50],
      [142, 208, 40, -8, -32, 8],
      [96, 164, 8, 34, 0, 0],
    ],
    duration: 40,
    easing: [0.7, 0, 0.25, 1],
    name: "cube",
  },
  {
    ...base,
    id: "t3",
    kind: "drag",
    points: [
      [120, 30],
      [146, 52],
      [172, 30],
      [198, 54],
      [232, 34],
    ],
    start: 6,
    duration: 36,
    keyframes: [
      [0, 0],
      [12, 2],
      [18, 2],
      [36, 4],
    ],
    hidden: [[22, 26]],
  },
  { ...base, id: "t4", kind: "anchor", points: [[28, 193]], grid: { columns: 3, rows: 3, dx: 11, dy: 11 } },
];
const CAMERA = [
  { move: "orbit", amount: 22, start: 0, duration: 48, easing: "ease_in_out" },
  { move: "handheld", amount: 0.4, start: 0, duration: 48, seed: 3 },
];

const driver = new Driver();
[driver.browser, driver.server] = await Promise.all([launch(), serve()]);
await driver.open({ viewport: { width: WIDTH, height: HEIGHT } });
const { page } = driver;

async function show(more) {
  await page.evaluate(
    async ([canvas, tracks, more, size]) => {
      document.getElementById("place").style.cssText = size;
      window.canvas = canvas;
      window.editor.setText(JSON.stringify({ format: "motionstream-tracks", version: 2, canvas, tracks, ...more }));
      await window.editor.setImage("/js/picker/bundled/dotted_things.png");
    },
    [CANVAS, TRACKS, more, `width: ${WIDTH}px; height: ${HEIGHT}px`],
  );
  await driver.settled();
}

// The ball is painted, dragged and turned; then the cube's pace is looked at.
await show({});
await driver.button("Full screen").click();
await driver.button("Object brush").click();
await page.getByLabel("Brush size").fill("46");
await driver.drag([
  [56, 56],
  [80, 56],
  [80, 72],
  [56, 72],
]);
await driver.drag([
  [60, 66],
  [80, 100],
  [112, 120],
  [152, 112],
]);
await page.evaluate(() => {
  const { model } = window.editor;
  model.changeSelected((track) => ({
    ...track,
    name: "ball",
    easing: [0.75, 0, 0.3, 1],
    region: { ...track.region, turn: 120, scale: 0.75 },
  }));
  model.setFrame(10);
});
await driver.settled();
await driver.button("Pace: slow").click();
await page.mouse.move(4, 4);
await driver.settled();
await page.screenshot({ path: `${folder}/drawn.png` });
await driver.button("Pace: slow").click();

await show({ camera: CAMERA });
await page.keyboard.press("v");
await page.evaluate(() => {
  const { model } = window.editor;
  model.select({ tracks: new Set(["t1"]), points: new Map() });
  model.setFrame(36);
});
await page.mouse.move(4, 4);
await driver.settled();
await page.screenshot({ path: `${folder}/camera.png` });
await driver.browser.close();
driver.server.close();
