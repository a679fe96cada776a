// The editor on a page of its own, in Chromium, worked as a person would: mouse, keys, timeline, files.
import assert from "node:assert/strict";
import { test } from "node:test";

import { drivePage, near } from "./page/driver.js";

const ui = await drivePage();
const { options } = ui;

test("free-hand with the mouse, and the point goes where it was drawn", options, async () => {
  await ui.button("free-hand").click();
  await ui.drag([
    [40, 100],
    [120, 40],
    [200, 100],
    [280, 60],
  ]);
  const { tracks } = await ui.saved();
  assert.deepEqual(
    tracks.map(({ kind, interpolation }) => [kind, interpolation]),
    [["path", "freehand"]],
  );
  const [[first, ...rest]] = await ui.page.evaluate(() => window.sample(window.read(window.saved.at(-1))));
  near([first.x, first.y], [40, 100]);
  near([rest.at(-1).x, rest.at(-1).y], [280, 60]);
  assert.deepEqual(ui.problems, []);
});

test("points, dragging one, undo and redo by keys", options, async () => {
  await ui.page.keyboard.press("Tab"); // the keyboard alone gets there as well, see below
  await ui.button("Draw by points").click();
  for (const [x, y] of [
    [40, 40],
    [160, 40],
    [160, 160],
  ])
    await ui.click(x, y);
  await ui.page.keyboard.press("Enter");
  await ui.page.keyboard.press("v");
  await ui.drag([
    [160, 40],
    [200, 80],
  ]);
  near((await ui.saved()).tracks[0].points[1], [200, 80]);
  await ui.page.keyboard.press("Control+z");
  near((await ui.saved()).tracks[0].points[1], [160, 40]);
  for (let i = 0; i < 9; i++) await ui.page.keyboard.press("Control+z");
  assert.equal((await ui.saved()).tracks.length, 0);
  for (let i = 0; i < 9; i++) await ui.page.keyboard.press("Control+Shift+z");
  near((await ui.saved()).tracks[0].points[1], [200, 80]);
});

test("selecting by a press does not move what lies under the pointer", options, async () => {
  await ui.page.evaluate(() => {
    const track = {
      kind: "path",
      interpolation: "linear",
      points: [
        [40, 100],
        [260, 100],
      ],
      start: 0,
      duration: 24,
    };
    window.editor.model.add([track]);
    window.editor.model.run({ name: "escape" });
  });
  await ui.button("Select and move").click();
  await ui.settled();
  await ui.page.mouse.move(...(await ui.place(150, 100)));
  await ui.page.mouse.down();
  await ui.settled();
  await ui.settled();
  await ui.page.mouse.move(...(await ui.place(160, 100)), { steps: 3 });
  await ui.page.mouse.up();
  near((await ui.saved()).tracks[0].points[0], [50, 100]);
});

test("box select, nudge, copy and paste, duplicate, delete", options, async () => {
  await ui.button("Anchor").click();
  for (const x of [50, 80, 250]) await ui.click(x, 50);
  await ui.button("Select and move").click();
  await ui.drag([
    [30, 30],
    [100, 80],
  ]);
  await ui.page.keyboard.press("ArrowRight");
  await ui.page.keyboard.press("Shift+ArrowDown");
  let { tracks } = await ui.saved();
  for (const [i, point] of [
    [51, 60],
    [81, 60],
    [250, 50],
  ].entries())
    near(tracks[i].points[0], point, 0.6);
  await ui.page.keyboard.press("Control+c");
  await ui.page.keyboard.press("Control+v");
  tracks = (await ui.saved()).tracks;
  assert.equal(tracks.length, 5);
  near(tracks[3].points[0], [61, 70], 0.6);
  await ui.page.keyboard.press("Control+d");
  assert.equal((await ui.saved()).tracks.length, 7);
  await ui.page.keyboard.press("Delete");
  assert.equal((await ui.saved()).tracks.length, 5);
  await ui.page.keyboard.press("Control+a");
  await ui.page.keyboard.press("Delete");
  assert.equal((await ui.saved()).tracks.length, 0);
});

test("a live drag is recorded in time, its pauses too", options, async () => {
  await ui.page.evaluate(() => {
    window.canvas = { ...window.canvas, num_frames: 2000 };
    window.editor.setText("");
  });
  await ui.settled();
  await ui.button("Drag live").click();
  await ui.settled();
  const [from, to] = [await ui.place(60, 100), await ui.place(260, 100)];
  await ui.page.mouse.move(...from);
  await ui.page.mouse.down();
  for (let i = 1; i <= 10; i++) {
    await ui.page.mouse.move(from[0] + ((to[0] - from[0]) * i) / 10, from[1]);
    await ui.page.waitForTimeout(30);
  }
  await ui.page.waitForTimeout(500);
  await ui.page.mouse.up();
  const [track] = (await ui.saved()).tracks;
  assert.deepEqual([track.kind, track.start], ["drag", 0]);
  // 500 ms of rest at 16 fps: the last 8 frames or more.
  const [start, middle, rest] = await ui.page.evaluate(async () => {
    const { positionAt } = await import("/js/track_editor/document/sampling.js");
    const [track] = window.editor.model.document.tracks;
    return [0, track.duration / 4, track.duration - 6]
      .map((frame) => positionAt(track, frame))
      .map(({ x, y }) => [x, y]);
  });
  near(start, [60, 100], 2);
  near(rest, [260, 100], 2);
  assert.ok(middle[0] > 62 && middle[0] < 258, `${middle}`);
});

test("the timeline: scrub, move a span, hide, keyframe", options, async () => {
  await ui.page.evaluate(() => {
    const track = {
      id: "a",
      kind: "path",
      interpolation: "linear",
      points: [
        [20, 100],
        [260, 100],
      ],
      start: 0,
      duration: 12,
    };
    window.editor.model.add([track]);
  });
  await ui.settled();
  const at = (frame, row) =>
    ui.page.evaluate(
      async ([frame, row]) => {
        const { frameToX, rowTop } = await import("/js/track_editor/tools/timeline.js");
        const { timeline } = window.editor;
        const box = timeline.element.getBoundingClientRect();
        return [
          box.left + frameToX(timeline.layout, frame),
          box.top + (row < 0 ? 8 : rowTop(timeline.layout, row) + 8),
        ];
      },
      [frame, row],
    );
  const pull = async (from, to, row) => {
    await ui.page.mouse.move(...(await at(from, row)));
    await ui.page.mouse.down();
    await ui.page.mouse.move(...(await at(to, row)), { steps: 3 });
    await ui.page.mouse.up();
  };
  await pull(3, 9, -1);
  assert.equal(await ui.page.evaluate(() => window.editor.model.frame), 9);
  await pull(6, 10, 0);
  assert.deepEqual((({ start, duration }) => [start, duration])((await ui.saved()).tracks[0]), [4, 12]);
  await ui.page.keyboard.down("Alt");
  await pull(8, 11, 0);
  await ui.page.keyboard.up("Alt");
  assert.deepEqual((await ui.saved()).tracks[0].hidden, [[8, 11]]);
  await ui.page.mouse.dblclick(...(await at(13, 0)));
  assert.equal((await ui.saved()).tracks[0].keyframes.length, 3);
  await ui.page.keyboard.press("h");
  assert.deepEqual((await ui.saved()).tracks[0].hidden, [
    [8, 8],
    [10, 11],
  ]);
});

test("presets, static borders and background in one choice", options, async () => {
  await ui.openMore();
  await ui.page.getByLabel("Presets", { exact: true }).selectOption("circle");
  await ui.page.getByLabel("Still", { exact: true }).selectOption("border");
  await ui.page.getByLabel("Still", { exact: true }).selectOption("background");
  const { tracks } = await ui.saved();
  assert.equal(tracks[0].interpolation, "bezier");
  assert.ok(tracks.filter(({ kind }) => kind === "anchor").length > 20);
});

test("the grid brush with its size, moved as one", options, async () => {
  await ui.button("Grid brush").click();
  await ui.page.getByLabel("Spacing of the grid").fill("8");
  await ui.page.getByLabel("Size of the grid").fill("32");
  await ui.page.getByLabel("Size of the grid").press("Enter");
  await ui.drag([
    [60, 60],
    [120, 100],
    [200, 100],
  ]);
  assert.deepEqual((await ui.saved()).tracks[0].grid, { columns: 5, rows: 5, dx: 8, dy: 8 });
  await ui.button("Select and move").click();
  const before = (await ui.saved()).tracks[0].points[0];
  await ui.page.evaluate(() =>
    window.editor.model.select({ tracks: new Set([window.editor.model.document.tracks[0].id]), points: new Map() }),
  );
  await ui.page.getByLabel("Trajectories").focus();
  await ui.page.keyboard.press("ArrowUp");
  near((await ui.saved()).tracks[0].points[0], [before[0], before[1] - 1], 0.01);
});

test("keyboard only: reach the surface by Tab, draw, time, and leave full screen", options, async () => {
  for (let i = 0; i < 40; i++) {
    await ui.page.keyboard.press("Tab");
    if (await ui.page.evaluate(() => document.activeElement.className === "mste-keys")) break;
  }
  for (const key of [
    "p",
    "ArrowRight",
    "Enter",
    "Shift+ArrowRight",
    "Shift+ArrowRight",
    "Enter",
    "Shift+ArrowDown",
    "Enter",
    "Escape",
  ]) {
    await ui.page.keyboard.press(key);
  }
  assert.deepEqual((await ui.saved()).tracks[0].points, [
    [161, 100],
    [181, 100],
    [181, 110],
  ]);
  for (const key of ["v", "Escape", "Escape", "]", "}", "}", "ArrowLeft", ".", ".", ".", "k"])
    await ui.page.keyboard.press(key);
  const [track] = (await ui.saved()).tracks;
  assert.deepEqual(track.points[1], [180, 100]);
  assert.equal(track.keyframes[1][0], 3);
  await ui.page.keyboard.press("Escape");
  await ui.button("Full screen").focus();
  await ui.page.keyboard.press("Enter");
  assert.ok(await ui.page.evaluate(() => document.querySelector(".mste-full").clientWidth === innerWidth));
  await ui.page.keyboard.press("Escape");
  assert.ok(
    await ui.page.evaluate(() => !document.querySelector(".mste-full") && document.querySelector("#place .mste")),
  );
});

test("space plays and stops", options, async () => {
  await ui.page.getByLabel("Trajectories").focus();
  await ui.page.keyboard.press("Space");
  await ui.page.waitForTimeout(300);
  const frame = await ui.page.evaluate(() => window.editor.model.frame);
  assert.ok(frame > 1 && frame < 12, `frame ${frame}`);
  await ui.page.keyboard.press("Space");
  assert.ok(await ui.page.evaluate(() => !window.editor.model.playing && Number.isInteger(window.editor.model.frame)));
});

test("npz out, and in again", options, async () => {
  const [before, after] = await ui.page.evaluate(async () => {
    const { toNpz, fromNpz } = await import("/js/track_editor/io/npz.js");
    const { model } = window.editor;
    model.add([
      {
        kind: "path",
        interpolation: "catmull_rom",
        points: [
          [20, 100],
          [90, 20],
          [260, 100],
        ],
        start: 2,
        duration: 12,
        hidden: [[4, 6]],
      },
    ]);
    const shapes = await fromNpz(toNpz(model.document).buffer, window.canvas);
    return [
      window.sample(model.document),
      window.sample({ canvas: window.canvas, tracks: shapes.map((shape) => ({ id: "b", ...shape })) }),
    ];
  });
  before[0].forEach(({ x, y, v }, frame) => {
    assert.equal(after[0][frame].v, v);
    if (v) near([after[0][frame].x, after[0][frame].y], [x, y], 0.02);
  });
});

test("text that is no document is shown, and left alone until the user gives it up", options, async () => {
  await ui.page.evaluate(() => window.editor.setText('{"format": "motionstream-tracks", "version": 7}'));
  await ui.settled();
  assert.match(await ui.page.locator(".mste-problem").textContent(), /version: 7: this pack reads versions 1 and 2/);
  await ui.button("Anchor").click();
  await ui.click(50, 50);
  assert.equal(await ui.page.evaluate(() => window.saved.length), 0);
  await ui.button("Give the text up").click();
  await ui.click(50, 50);
  assert.equal((await ui.saved()).tracks.length, 1);
});

test("another canvas is told, and taken over on request", options, async () => {
  await ui.button("Anchor").click();
  await ui.click(160, 100);
  await ui.page.evaluate(() => {
    window.canvas = { width: 640, height: 200, num_frames: 49, fps: 16 };
    window.editor.repaint();
  });
  await ui.settled();
  assert.match(await ui.page.locator(".mste-status").textContent(), /node: 640 × 200 px, 49 frames/);
  await ui.button("Scale the drawing").click();
  const { canvas, tracks } = await ui.saved();
  assert.deepEqual([canvas.width, canvas.num_frames], [640, 49]);
  near(tracks[0].points[0], [320, 100], 2);
});

test("what was drawn comes back from its text", options, async () => {
  await ui.button("free-hand").click();
  await ui.drag([
    [40, 100],
    [120, 40],
    [280, 60],
  ]);
  const text = await ui.page.evaluate(() => window.saved.at(-1));
  await ui.page.reload();
  await ui.page.waitForFunction(() => window.ready);
  await ui.page.evaluate((text) => window.editor.setText(text), text);
  const again = await ui.page.evaluate(async () =>
    (await import("/js/track_editor/document/format.js")).serialise(window.editor.model.document),
  );
  assert.equal(again, text);
});

test("nothing stays behind", options, async () => {
  await ui.page.evaluate(() => window.editor.destroy());
  assert.equal(await ui.page.evaluate(() => document.querySelector(".mste")), null);
  await ui.page.mouse.click(200, 200);
  assert.deepEqual(ui.problems, []);
});
