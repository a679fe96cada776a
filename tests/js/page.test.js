// The editor on a page of its own, in Chromium, worked as a person would: mouse, touch, keys.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { launch, missing, serve } from "./page/browser.js";

const skip = await missing();
if (skip) console.log(`# the page is not tested: ${skip}`);
const options = { skip: skip ?? false, timeout: 60_000 };
let browser, server, page, problems;

before(async () => {
  if (skip) return;
  [browser, server] = await Promise.all([launch(), serve()]);
});
after(async () => {
  await browser?.close();
  server?.close();
});
beforeEach(async () => {
  if (skip) return;
  await page?.context().close();
  await open();
});

async function open(settings = {}) {
  const context = await browser.newContext({ viewport: { width: 800, height: 660 }, ...settings });
  page = await context.newPage();
  page.setDefaultTimeout(50_000);
  problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(`${server.address}/tests/js/page/editor.html`);
  await page.waitForFunction(() => window.ready && window.editor.surface.size.width > 0);
  await settled();
}

/** Wait until the picture stays where it is: what the tools show may still be about to move it. */
const settled = () =>
  page.evaluate(async () => {
    const where = () => JSON.stringify([window.editor.surface.element.getBoundingClientRect(), window.editor.surface.view]);
    let before = "";
    for (let same = 0; same < 6; ) {
      await new Promise((done) => requestAnimationFrame(done));
      same = where() === before ? same + 1 : 0;
      before = where();
    }
  });
/** The document that the host was given last. */
const saved = () => page.evaluate(() => window.read(window.saved.at(-1) ?? ""));
const button = (name) => page.getByRole("button", { name, exact: false });

/** Where a point of the image is on the page. */
const place = (x, y) =>
  page.evaluate(
    ([x, y]) => {
      const { surface } = window.editor;
      const box = surface.element.getBoundingClientRect();
      const scale = box.width / surface.size.width;
      return [box.left + (x * surface.view.scale + surface.view.x) * scale, box.top + (y * surface.view.scale + surface.view.y) * scale];
    },
    [x, y],
  );

async function drag(points, press = page.mouse) {
  await settled();
  const [first, ...rest] = await Promise.all(points.map(([x, y]) => place(x, y)));
  await press.move(...first);
  await press.down();
  for (const each of rest) await press.move(...each, { steps: 4 });
  await press.up();
  await settled();
}

async function click(x, y, more = {}) {
  await settled();
  await page.mouse.click(...(await place(x, y)), more);
  await settled();
}

const near = ([x, y], [ex, ey], tolerance = 1) => assert.ok(Math.hypot(x - ex, y - ey) <= tolerance, `${x},${y} for ${ex},${ey}`);

test("free-hand with the mouse, and the point goes where it was drawn", options, async () => {
  await button("free-hand").click();
  await drag([[40, 100], [120, 40], [200, 100], [280, 60]]);
  const { tracks } = await saved();
  assert.deepEqual(tracks.map(({ kind, interpolation }) => [kind, interpolation]), [["path", "freehand"]]);
  const [[first, ...rest]] = await page.evaluate(() => window.sample(window.read(window.saved.at(-1))));
  near([first.x, first.y], [40, 100]);
  near([rest.at(-1).x, rest.at(-1).y], [280, 60]);
  assert.deepEqual(problems, []);
});

test("points, dragging one, undo and redo by keys", options, async () => {
  await page.keyboard.press("Tab"); // the keyboard alone gets there as well, see below
  await button("Draw by points").click();
  for (const [x, y] of [[40, 40], [160, 40], [160, 160]]) await click(x, y);
  await page.keyboard.press("Enter");
  await page.keyboard.press("v");
  await drag([[160, 40], [200, 80]]);
  near((await saved()).tracks[0].points[1], [200, 80]);
  await page.keyboard.press("Control+z");
  near((await saved()).tracks[0].points[1], [160, 40]);
  for (let i = 0; i < 9; i++) await page.keyboard.press("Control+z");
  assert.equal((await saved()).tracks.length, 0);
  for (let i = 0; i < 9; i++) await page.keyboard.press("Control+Shift+z");
  near((await saved()).tracks[0].points[1], [200, 80]);
});

test("selecting by a press does not move what lies under the pointer", options, async () => {
  await page.evaluate(() => {
    const track = { kind: "path", interpolation: "linear", points: [[40, 100], [260, 100]], start: 0, duration: 24 };
    window.editor.model.add([track]);
    window.editor.model.run({ name: "escape" });
  });
  await settled();
  await page.mouse.move(...(await place(150, 100)));
  await page.mouse.down();
  await settled();
  await settled();
  await page.mouse.move(...(await place(160, 100)), { steps: 3 });
  await page.mouse.up();
  near((await saved()).tracks[0].points[0], [50, 100]);
});

test("box select, nudge, copy and paste, duplicate, delete", options, async () => {
  await button("Anchor").click();
  for (const x of [50, 80, 250]) await click(x, 50);
  await button("Select and move").click();
  await drag([[30, 30], [100, 80]]);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowDown");
  let { tracks } = await saved();
  [[51, 60], [81, 60], [250, 50]].forEach((point, i) => near(tracks[i].points[0], point, 0.6));
  await page.keyboard.press("Control+c");
  await page.keyboard.press("Control+v");
  tracks = (await saved()).tracks;
  assert.equal(tracks.length, 5);
  near(tracks[3].points[0], [61, 70], 0.6);
  await page.keyboard.press("Control+d");
  assert.equal((await saved()).tracks.length, 7);
  await page.keyboard.press("Delete");
  assert.equal((await saved()).tracks.length, 5);
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  assert.equal((await saved()).tracks.length, 0);
});

test("a live drag is recorded in time, its pauses too", options, async () => {
  await page.evaluate(() => {
    window.canvas = { ...window.canvas, num_frames: 2000 };
    window.editor.setText("");
  });
  await settled();
  await button("Drag live").click();
  await settled();
  const [from, to] = [await place(60, 100), await place(260, 100)];
  await page.mouse.move(...from);
  await page.mouse.down();
  for (let i = 1; i <= 10; i++) {
    await page.mouse.move(from[0] + ((to[0] - from[0]) * i) / 10, from[1]);
    await page.waitForTimeout(30);
  }
  await page.waitForTimeout(500);
  await page.mouse.up();
  const [track] = (await saved()).tracks;
  assert.deepEqual([track.kind, track.start], ["drag", 0]);
  // 500 ms of rest at 16 fps: the last 8 frames or more.
  const [start, middle, rest] = await page.evaluate(async () => {
    const { positionAt } = await import("/js/track_editor/timing.js");
    const [track] = window.editor.model.document.tracks;
    return [0, track.duration / 4, track.duration - 6].map((frame) => positionAt(track, frame)).map(({ x, y }) => [x, y]);
  });
  near(start, [60, 100], 2);
  near(rest, [260, 100], 2);
  assert.ok(middle[0] > 62 && middle[0] < 258, `${middle}`);
});

test("the timeline: scrub, move a span, hide, keyframe", options, async () => {
  await page.evaluate(() => {
    const track = { id: "a", kind: "path", interpolation: "linear", points: [[20, 100], [260, 100]], start: 0, duration: 12 };
    window.editor.model.add([track]);
  });
  await settled();
  const at = (frame, row) =>
    page.evaluate(
      async ([frame, row]) => {
        const { frameToX, rowTop } = await import("/js/track_editor/timeline.js");
        const { timeline } = window.editor;
        const box = timeline.element.getBoundingClientRect();
        return [box.left + frameToX(timeline.layout, frame), box.top + (row < 0 ? 8 : rowTop(timeline.layout, row) + 8)];
      },
      [frame, row],
    );
  const pull = async (from, to, row) => {
    await page.mouse.move(...(await at(from, row)));
    await page.mouse.down();
    await page.mouse.move(...(await at(to, row)), { steps: 3 });
    await page.mouse.up();
  };
  await pull(3, 9, -1);
  assert.equal(await page.evaluate(() => window.editor.model.frame), 9);
  await pull(6, 10, 0);
  assert.deepEqual((({ start, duration }) => [start, duration])((await saved()).tracks[0]), [4, 12]);
  await page.keyboard.down("Alt");
  await pull(8, 11, 0);
  await page.keyboard.up("Alt");
  assert.deepEqual((await saved()).tracks[0].hidden, [[8, 11]]);
  await page.mouse.dblclick(...(await at(13, 0)));
  assert.equal((await saved()).tracks[0].keyframes.length, 3);
  await page.keyboard.press("h");
  assert.deepEqual((await saved()).tracks[0].hidden, [[8, 8], [10, 11]]);
});

test("presets, static borders and background in one choice", options, async () => {
  await page.getByLabel("Presets").selectOption("circle");
  await page.getByLabel("Still", { exact: true }).selectOption("border");
  await page.getByLabel("Still", { exact: true }).selectOption("background");
  const { tracks } = await saved();
  assert.equal(tracks[0].interpolation, "bezier");
  assert.ok(tracks.filter(({ kind }) => kind === "anchor").length > 20);
});

test("the grid brush with its size, moved as one", options, async () => {
  await button("Grid brush").click();
  await page.getByLabel("Spacing of the grid").fill("8");
  await page.getByLabel("Size of the grid").fill("32");
  await page.getByLabel("Size of the grid").press("Enter");
  await drag([[60, 60], [120, 100], [200, 100]]);
  assert.deepEqual((await saved()).tracks[0].grid, { columns: 5, rows: 5, dx: 8, dy: 8 });
  await button("Select and move").click();
  const before = (await saved()).tracks[0].points[0];
  await page.evaluate(() => window.editor.model.select({ tracks: new Set([window.editor.model.document.tracks[0].id]), points: new Map() }));
  await page.getByLabel("Trajectories").focus();
  await page.keyboard.press("ArrowUp");
  near((await saved()).tracks[0].points[0], [before[0], before[1] - 1], 0.01);
});

test("zoom by the wheel keeps its place, the right button pans, 0 fits", options, async () => {
  const spot = await place(100, 60);
  await page.mouse.move(...spot);
  await page.mouse.wheel(0, -400);
  await settled();
  near(await place(100, 60), spot, 1);
  assert.ok((await page.evaluate(() => window.editor.surface.view.scale)) > 3);
  await page.mouse.down({ button: "right" });
  await page.mouse.move(spot[0] + 40, spot[1] - 25);
  await page.mouse.up({ button: "right" });
  near(await place(100, 60), [spot[0] + 40, spot[1] - 25], 1);
  await page.getByLabel("Trajectories").focus();
  await page.keyboard.press("0");
  near(await place(100, 60), spot, 0.5);
  await page.keyboard.down("Space");
  await drag([[100, 60], [140, 60]]);
  await page.keyboard.up("Space");
  assert.equal(await page.evaluate(() => window.editor.model.playing), false);
  assert.equal(await page.evaluate(() => window.saved.length), 0);
});

test("keyboard only: reach the surface by Tab, draw, time, and leave full screen", options, async () => {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.className === "mste-keys")) break;
  }
  for (const key of ["p", "ArrowRight", "Enter", "Shift+ArrowRight", "Shift+ArrowRight", "Enter", "Shift+ArrowDown", "Enter", "Escape"]) {
    await page.keyboard.press(key);
  }
  assert.deepEqual((await saved()).tracks[0].points, [[161, 100], [181, 100], [181, 110]]);
  for (const key of ["v", "Escape", "Escape", "]", "}", "}", "ArrowLeft", ".", ".", ".", "k"]) await page.keyboard.press(key);
  const [track] = (await saved()).tracks;
  assert.deepEqual(track.points[1], [180, 100]);
  assert.equal(track.keyframes[1][0], 3);
  await page.keyboard.press("Escape");
  await button("Full screen").focus();
  await page.keyboard.press("Enter");
  assert.ok(await page.evaluate(() => document.querySelector(".mste-full").clientWidth === innerWidth));
  await page.keyboard.press("Escape");
  assert.ok(await page.evaluate(() => !document.querySelector(".mste-full") && document.querySelector("#place .mste")));
});

test("space plays and stops", options, async () => {
  await page.getByLabel("Trajectories").focus();
  await page.keyboard.press("Space");
  await page.waitForTimeout(300);
  const frame = await page.evaluate(() => window.editor.model.frame);
  assert.ok(frame > 1 && frame < 12, `frame ${frame}`);
  await page.keyboard.press("Space");
  assert.ok(await page.evaluate(() => !window.editor.model.playing && Number.isInteger(window.editor.model.frame)));
});

test("a lost pointer gives back what was begun", options, async () => {
  await button("Anchor").click();
  await click(50, 50);
  await button("Select and move").click();
  const [x, y] = await place(50, 50);
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + 60, y);
  await page.evaluate(() => {
    const { surface } = window.editor;
    surface.element.dispatchEvent(new PointerEvent("pointercancel", { pointerId: surface.held.id, bubbles: true }));
  });
  await page.mouse.up();
  near((await saved()).tracks[0].points[0], [50, 50]);
  assert.equal(await page.evaluate(() => window.editor.model.draft), null);
});

test("events do not leave the editor, but the middle button does", options, async () => {
  await page.evaluate(() => {
    window.heard = [];
    for (const name of ["pointerdown", "keydown", "wheel", "copy", "paste"]) document.addEventListener(name, (e) => window.heard.push(`${name} ${e.button ?? e.key ?? ""}`));
  });
  await click(50, 50);
  await page.keyboard.press("Delete");
  await page.keyboard.press("Control+c");
  await page.mouse.wheel(0, 100);
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  await page.mouse.down({ button: "middle" });
  await page.mouse.up({ button: "middle" });
  assert.equal(await page.evaluate(() => window.heard[0]), "pointerdown 1"); // Linux pastes on a middle click, too
});

test("tracks and pictures can be dropped and pasted", options, async () => {
  const drop = (name, type, base64) =>
    page.evaluate(
      async ([name, type, base64]) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        await window.editor.open(new File([bytes], name, { type }));
      },
      [name, type, base64],
    );
  const text = (value) => Buffer.from(value).toString("base64");
  await drop("kj.json", "application/json", text('[[{"x":10,"y":20},{"x":60,"y":20}]]'));
  await drop("path.svg", "image/svg+xml", text('<svg><path d="M10 10C20 20 30 20 40 10"/></svg>'));
  assert.equal((await saved()).tracks.length, 2);
  await drop("broken.json", "application/json", text("{"));
  await settled();
  assert.match(await page.locator(".mste-status").textContent(), /Not imported/);
  const png = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [32, 20];
    canvas.getContext("2d").fillStyle = "#f08020";
    canvas.getContext("2d").fillRect(0, 0, 32, 20);
    return canvas.toDataURL().split(",")[1];
  });
  await drop("picture.png", "image/png", png);
  await settled();
  assert.equal(await page.evaluate(() => window.given), "picture.png");
  const colour = await page.evaluate(() => {
    const { surface } = window.editor;
    const { base, view, density } = surface;
    return [...base.getContext("2d").getImageData((300 * view.scale + view.x) * density, (190 * view.scale + view.y) * density, 1, 1).data];
  });
  assert.deepEqual(colour.slice(0, 3), [0xf0, 0x80, 0x20]);
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "M0 0L9 9");
    window.editor.keys.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  assert.equal((await saved()).tracks.length, 3);
});

test("npz out, and in again", options, async () => {
  const [before, after] = await page.evaluate(async () => {
    const { toNpz, fromNpz } = await import("/js/track_editor/npz.js");
    const { model } = window.editor;
    model.add([{ kind: "path", interpolation: "catmull_rom", points: [[20, 100], [90, 20], [260, 100]], start: 2, duration: 12, hidden: [[4, 6]] }]);
    const shapes = await fromNpz(toNpz(model.document).buffer, window.canvas);
    return [window.sample(model.document), window.sample({ canvas: window.canvas, tracks: shapes.map((shape) => ({ id: "b", ...shape })) })];
  });
  before[0].forEach(({ x, y, v }, frame) => {
    assert.equal(after[0][frame].v, v);
    if (v) near([after[0][frame].x, after[0][frame].y], [x, y], 0.02);
  });
});

test("text that is no document is shown, and left alone until the user gives it up", options, async () => {
  await page.evaluate(() => window.editor.setText('{"format": "motionstream-tracks", "version": 7}'));
  await settled();
  assert.match(await page.locator(".mste-problem").textContent(), /version: 7: this pack reads version 1/);
  await button("Anchor").click();
  await click(50, 50);
  assert.equal(await page.evaluate(() => window.saved.length), 0);
  await button("Give the text up").click();
  await click(50, 50);
  assert.equal((await saved()).tracks.length, 1);
});

test("another canvas is told, and taken over on request", options, async () => {
  await button("Anchor").click();
  await click(160, 100);
  await page.evaluate(() => (window.canvas = { width: 640, height: 200, num_frames: 49, fps: 16 }) && window.editor.repaint());
  await settled();
  assert.match(await page.locator(".mste-status").textContent(), /node: 640 × 200 px, 49 frames/);
  await button("Scale the drawing").click();
  const { canvas, tracks } = await saved();
  assert.deepEqual([canvas.width, canvas.num_frames], [640, 49]);
  near(tracks[0].points[0], [320, 100], 2);
});

test("what was drawn comes back from its text", options, async () => {
  await button("free-hand").click();
  await drag([[40, 100], [120, 40], [280, 60]]);
  const text = await page.evaluate(() => window.saved.at(-1));
  await page.reload();
  await page.waitForFunction(() => window.ready);
  await page.evaluate((text) => window.editor.setText(text), text);
  const again = await page.evaluate(async () => (await import("/js/track_editor/document.js")).serialise(window.editor.model.document));
  assert.equal(again, text);
});

for (const deviceScaleFactor of [0.5, 1.25, 2]) {
  test(`at ${deviceScaleFactor * 100} % browser zoom, and scaled by the graph`, options, async () => {
    await page.context().close();
    await open({ deviceScaleFactor });
    await page.evaluate(() => (document.getElementById("place").style.cssText += "transform: scale(0.6); transform-origin: 0 0"));
    await button("Anchor").click();
    await click(80, 60);
    near((await saved()).tracks[0].points[0], [80, 60], 1.5);
  });
}

test("touch: a finger draws, two fingers zoom, pressure does not matter", options, async () => {
  await page.context().close();
  await open({ hasTouch: true });
  await button("free-hand").click();
  const client = await page.context().newCDPSession(page);
  const send = (type, points) =>
    client.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id, force: 0.1 + 0.4 * id })) });
  const path = await Promise.all([[40, 100], [80, 80], [120, 60], [200, 100]].map(([x, y]) => place(x, y)));
  await send("touchStart", [path[0]]);
  for (const at of path.slice(1)) await send("touchMove", [at]);
  await send("touchEnd", []);
  await settled();
  assert.equal((await saved()).tracks.length, 1);
  const [a, b] = [await place(120, 100), await place(200, 100)];
  await send("touchStart", [a]);
  await send("touchStart", [a, b]);
  await send("touchMove", [[a[0] - 60, a[1]], [b[0] + 60, b[1]]]);
  await send("touchEnd", []);
  await settled();
  assert.equal((await saved()).tracks.length, 1);
  assert.ok((await page.evaluate(() => window.editor.surface.view.scale)) > 3);
});

test("nothing stays behind", options, async () => {
  await page.evaluate(() => window.editor.destroy());
  assert.equal(await page.evaluate(() => document.querySelector(".mste")), null);
  await page.mouse.click(200, 200);
  assert.deepEqual(problems, []);
});
