// The camera's moves in the editor's page: added, changed in fields and on the timeline, seen, undone, taken away.
import assert from "node:assert/strict";
import { test } from "node:test";

import { drivePage } from "./page/driver.js";

const ui = await drivePage();
const { options } = ui;

/** Where a frame of a row of the timeline is on the page. */
const onTimeline = (frame, row) =>
  ui.page.evaluate(
    async ([frame, row]) => {
      const { frameToX, rowTop } = await import("/js/track_editor/tools/timeline.js");
      const { timeline } = window.editor;
      const box = timeline.element.getBoundingClientRect();
      return [box.left + frameToX(timeline.layout, frame), box.top + rowTop(timeline.layout, row) + 8];
    },
    [frame, row],
  );

async function pull(from, to, row) {
  await ui.settled();
  await ui.page.mouse.move(...(await onTimeline(from, row)));
  await ui.page.mouse.down();
  await ui.page.mouse.move(...(await onTimeline(to, row)), { steps: 3 });
  await ui.page.mouse.up();
  await ui.settled();
}

const addMove = async (kind) => {
  await ui.openMore();
  await ui.page.getByLabel("Camera", { exact: true }).selectOption(kind);
  await ui.settled();
};

async function fill(label, value) {
  const field = ui.page.getByLabel(label, { exact: true });
  await field.fill(String(value));
  await field.press("Enter");
  await field.blur();
}

/** How many values of the upper layer's picture around a point of the image are opaque. */
const painted = (x, y, reach = 5) =>
  ui.page.evaluate(
    ([x, y, reach]) => {
      const { layers, view, density } = window.editor.surface;
      const at = [x * view.scale + view.x - reach, y * view.scale + view.y - reach].map((value) => value * density);
      const { data } = layers.top.getContext("2d").getImageData(...at, 2 * reach * density, 2 * reach * density);
      return data.filter((value, i) => i % 4 === 3 && value > 200).length;
    },
    [x, y, reach],
  );

test("a move is added as a layer, changed in its fields and on the timeline, undone and redone", options, async () => {
  await ui.button("Anchor").click();
  await ui.click(200, 60);
  await addMove("pan");
  assert.deepEqual((await ui.saved()).camera, [
    { move: "pan", amount: 10, start: 0, duration: 24, easing: "ease_in_out" },
  ]);
  await fill("Amount", -20);
  await ui.page.getByLabel("Easing of the move").selectOption("linear");
  await pull(24, 12, 0);
  assert.deepEqual((await ui.saved()).camera, [{ move: "pan", amount: -20, start: 0, duration: 12 }]);
  await pull(4, 10, 0);
  assert.deepEqual((await ui.saved()).camera, [{ move: "pan", amount: -20, start: 6, duration: 12 }]);
  await addMove("handheld");
  await fill("Seed of the shake", 7);
  await fill("Amount", 99); // out of bounds: left as it was
  assert.deepEqual((await ui.saved()).camera[1], { move: "handheld", amount: 0.8, start: 0, duration: 24, seed: 7 });
  await ui.page.getByLabel("What the camera does").selectOption("zoom");
  assert.deepEqual((await ui.saved()).camera[1], {
    move: "zoom",
    amount: 1.4,
    start: 0,
    duration: 24,
    easing: "ease_in_out",
  });
  await ui.page.getByLabel("Trajectories").focus();
  for (let i = 0; i < 3; i++) await ui.page.keyboard.press("Control+z");
  assert.equal((await ui.saved()).camera.length, 1);
  for (let i = 0; i < 3; i++) await ui.page.keyboard.press("Control+Shift+z");
  assert.equal((await ui.saved()).camera[1].move, "zoom");
  const { tracks } = await ui.saved();
  assert.deepEqual([tracks.length, tracks[0].duration], [1, 24]); // tracks are left alone
  assert.deepEqual(ui.problems, []);
});

test("a move chosen on the timeline goes by Delete, and by its button; tracks stay", options, async () => {
  await ui.button("Anchor").click();
  await ui.click(200, 60);
  for (const kind of ["roll", "dolly", "orbit"]) await addMove(kind);
  await ui.page.mouse.click(...(await onTimeline(12, 1)));
  await ui.page.keyboard.press("Delete");
  assert.deepEqual(
    (await ui.saved()).camera.map(({ move }) => move),
    ["roll", "orbit"],
  );
  await ui.page.getByLabel("Camera move", { exact: true }).selectOption({ label: "1 roll" });
  await ui.button("Remove this move").click();
  assert.deepEqual(
    (await ui.saved()).camera.map(({ move }) => move),
    ["orbit"],
  );
  await ui.page.mouse.click(...(await onTimeline(12, 1))); // the track's row lies below the moves
  assert.deepEqual(await ui.page.evaluate(() => [...window.editor.model.selection.tracks]), ["t1"]);
  await ui.page.keyboard.press("Delete");
  const { camera, tracks } = await ui.saved();
  assert.deepEqual([camera.length, tracks.length], [1, 0]);
});

test(
  "points lie where the camera sees them, control points where they are drawn, and editing is of what is drawn",
  options,
  async () => {
    await ui.page.evaluate(() =>
      window.editor.model.add([
        {
          kind: "path",
          interpolation: "linear",
          points: [
            [200, 60],
            [200, 160],
          ],
          start: 0,
          duration: 24,
        },
      ]),
    );
    await addMove("truck");
    await fill("Amount", 0.25); // the plane, at distance 1 and 320 px wide, goes 80 px to the left
    await ui.page.evaluate(() => {
      window.editor.model.setTool("select");
      window.editor.model.select({ tracks: new Set(["t1"]), points: new Map() });
      window.editor.model.setFrame(24);
    });
    await ui.settled();
    assert.ok((await painted(120, 160)) > 20, "the point at the last frame, seen 80 px further to the left");
    assert.ok((await painted(200, 160)) > 20, "the control point, as drawn");
    await ui.page.getByLabel("As the camera sees").uncheck();
    await ui.settled();
    assert.equal(await painted(120, 160), 0);
    await ui.page.getByLabel("As the camera sees").check();
    await ui.button("Select and move").click();
    await ui.drag([
      [200, 60],
      [230, 40],
    ]);
    assert.deepEqual(
      (await ui.saved()).tracks[0].points.map((point) => point.map(Math.round)),
      [
        [230, 40],
        [200, 160],
      ],
    );
    // What is exported is what the camera sees.
    const [path] = await ui.page.evaluate(() => window.sample(window.editor.model.document));
    assert.ok(Math.hypot(path.at(-1).x - 120, path.at(-1).y - 160) < 1e-6);
  },
);

test("a pasted document brings its camera, and another canvas its times", options, async () => {
  await ui.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await addMove("pan");
  const move = { move: "zoom", amount: 2, start: 3, duration: 6 };
  const pasted = {
    format: "motionstream-tracks",
    version: 1,
    canvas: { width: 320, height: 200, num_frames: 25, fps: 16 },
    tracks: [],
    camera: [move],
  };
  await ui.page.evaluate((text) => navigator.clipboard.writeText(text), JSON.stringify(pasted));
  await ui.page.getByLabel("Trajectories").focus();
  await ui.page.keyboard.press("Control+v");
  await ui.settled();
  assert.deepEqual((await ui.saved()).camera[1], move);
  await ui.page.evaluate(() => {
    window.canvas = { width: 320, height: 200, num_frames: 49, fps: 16 };
    window.editor.repaint();
  });
  await ui.button("Scale the drawing").click();
  assert.deepEqual((await ui.saved()).camera[1], { ...move, start: 6, duration: 12 });
});
