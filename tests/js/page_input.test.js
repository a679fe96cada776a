// The editor on a page of its own, in Chromium, with what comes in from outside: touch, pen, zoom, drops, pastes.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { drivePage, near } from "./page/driver.js";

const ui = await drivePage();
const { options } = ui;

test("zoom by the wheel keeps its place, the right button pans, 0 fits", options, async () => {
  const spot = await ui.place(100, 60);
  await ui.page.mouse.move(...spot);
  await ui.page.mouse.wheel(0, -400);
  await ui.settled();
  near(await ui.place(100, 60), spot, 1);
  assert.ok((await ui.page.evaluate(() => window.editor.surface.view.scale)) > 3);
  await ui.page.mouse.down({ button: "right" });
  await ui.page.mouse.move(spot[0] + 40, spot[1] - 25);
  await ui.page.mouse.up({ button: "right" });
  near(await ui.place(100, 60), [spot[0] + 40, spot[1] - 25], 1);
  await ui.page.getByLabel("Trajectories").focus();
  await ui.page.keyboard.press("0");
  near(await ui.place(100, 60), spot, 0.5);
  await ui.page.keyboard.down("Space");
  await ui.drag([
    [100, 60],
    [140, 60],
  ]);
  await ui.page.keyboard.up("Space");
  assert.equal(await ui.page.evaluate(() => window.editor.model.playing), false);
  assert.equal(await ui.page.evaluate(() => window.saved.length), 0);
});

test("a lost pointer gives back what was begun", options, async () => {
  await ui.button("Anchor").click();
  await ui.click(50, 50);
  await ui.button("Select and move").click();
  const [x, y] = await ui.place(50, 50);
  await ui.page.mouse.move(x, y);
  await ui.page.mouse.down();
  await ui.page.mouse.move(x + 60, y);
  await ui.page.evaluate(() => {
    const { surface } = window.editor;
    surface.element.dispatchEvent(new PointerEvent("pointercancel", { pointerId: surface.held.id, bubbles: true }));
  });
  await ui.page.mouse.up();
  near((await ui.saved()).tracks[0].points[0], [50, 50]);
  assert.equal(await ui.page.evaluate(() => window.editor.model.draft), null);
});

test("events do not leave the editor, but the middle button does", options, async () => {
  await ui.page.evaluate(() => {
    window.heard = [];
    for (const name of ["pointerdown", "keydown", "wheel", "copy", "paste"])
      document.addEventListener(name, (e) => window.heard.push(`${name} ${e.button ?? e.key ?? ""}`));
  });
  await ui.click(50, 50);
  await ui.page.keyboard.press("Delete");
  await ui.page.keyboard.press("Control+c");
  await ui.page.mouse.wheel(0, 100);
  assert.deepEqual(await ui.page.evaluate(() => window.heard), []);
  await ui.page.mouse.down({ button: "middle" });
  await ui.page.mouse.up({ button: "middle" });
  assert.equal(await ui.page.evaluate(() => window.heard[0]), "pointerdown 1"); // Linux pastes on a middle click, too
});

/** An orange picture of 32 x 20 px, as a data URL. */
const picture = () =>
  ui.page.evaluate(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [32, 20];
    const context = canvas.getContext("2d");
    context.fillStyle = "#f08020";
    context.fillRect(0, 0, 32, 20);
    return canvas.toDataURL();
  });
const ORANGE = [0xf0, 0x80, 0x20];

/** Files of the disk dragged from outside onto the page and let go there; the browser makes the events. */
async function dropFiles(files, [x, y]) {
  const client = await ui.page.context().newCDPSession(ui.page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"])
    await client.send("Input.dispatchDragEvent", { type, x, y, data });
}

test(
  "files dropped from outside: tracks are added, a picture is shown, the page around hears nothing",
  options,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "editor-"));
    const file = async (name, content) => {
      await writeFile(join(folder, name), content);
      return join(folder, name);
    };
    try {
      await ui.page.evaluate(() => {
        window.heard = [];
        for (const name of ["dragover", "drop"]) document.addEventListener(name, () => window.heard.push(name));
      });
      const middle = await ui.place(160, 100);
      await dropFiles([await file("kj.json", '[[{"x":10,"y":20},{"x":60,"y":20}]]')], middle);
      await ui.page.waitForFunction(() => window.saved.length === 1);
      await dropFiles([await file("path.svg", '<svg><path d="M10 10C20 20 30 20 40 10"/></svg>')], middle);
      await ui.page.waitForFunction(() => window.saved.length === 2);
      assert.equal((await ui.saved()).tracks.length, 2);
      await dropFiles([await file("picture.png", Buffer.from((await picture()).split(",")[1], "base64"))], middle);
      await ui.page.waitForFunction(() => window.imported === "picture.png");
      await ui.settled();
      assert.deepEqual(await ui.colour(300, 190), ORANGE);
      await dropFiles([await file("broken.json", "{")], middle);
      await ui.page.waitForFunction(() => /Not imported/.test(document.querySelector(".mste-status").textContent));
      assert.equal((await ui.saved()).tracks.length, 2);
      assert.deepEqual(await ui.page.evaluate(() => window.heard), []);
      assert.deepEqual(ui.problems, []);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test("pasted from the system's clipboard: a picture, and tracks as text", options, async () => {
  await ui.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await ui.page.getByLabel("Trajectories").focus();
  await ui.page.evaluate(
    async (url) => {
      const blob = await (await fetch(url)).blob();
      await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    },
    await picture(),
  );
  await ui.page.keyboard.press("Control+v");
  await ui.page.waitForFunction(() => window.imported);
  await ui.settled();
  assert.deepEqual(await ui.colour(300, 190), ORANGE);
  await ui.page.evaluate(() => navigator.clipboard.writeText("M0 0L9 9"));
  await ui.page.keyboard.press("Control+v");
  await ui.settled();
  assert.deepEqual(
    (await ui.saved()).tracks.map(({ points }) => points.map((point) => point.slice(0, 2))),
    [
      [
        [0, 0],
        [9, 9],
      ],
    ],
  );
});

/** An anchor set with the mouse, pulled away, and the picture around it as sharp as the screen is. */
async function placesRightly() {
  await ui.button("Anchor").click();
  await ui.click(80, 60);
  near((await ui.saved()).tracks[0].points[0], [80, 60], 1.5);
  await ui.button("Select and move").click();
  await ui.drag([
    [80, 60],
    [200, 120],
  ]);
  near((await ui.saved()).tracks[0].points[0], [200, 120], 1.5);
}

for (const zoom of [0.5, 2]) {
  test(`at ${zoom * 100} % of CSS zoom`, options, async () => {
    await ui.page.evaluate((zoom) => (document.documentElement.style.zoom = zoom), zoom);
    if (zoom > 1) await ui.page.setViewportSize({ width: 1600, height: 1320 });
    await placesRightly();
    const pixels = await ui.page.evaluate(() => {
      const { base } = window.editor.surface.layers;
      return base.width / base.getBoundingClientRect().width;
    });
    assert.ok(pixels >= Math.min(1, zoom) - 0.01, `${pixels} px of the canvas to one of the screen`);
  });

  test(`at ${zoom * 100} % of browser zoom, which leaves the page ${1 / zoom} times the room`, options, async () => {
    await ui.open({
      deviceScaleFactor: zoom,
      viewport: { width: Math.round(1000 / zoom), height: Math.round(800 / zoom) },
    });
    await ui.page.evaluate(() => (document.getElementById("place").style.cssText = "width: 100vw; height: 100vh"));
    await placesRightly();
  });
}

for (const deviceScaleFactor of [0.5, 1.25, 2]) {
  test(`at ${deviceScaleFactor * 100} % browser zoom, and scaled by the graph`, options, async () => {
    await ui.open({ deviceScaleFactor });
    await ui.page.evaluate(
      () => (document.getElementById("place").style.cssText += "transform: scale(0.6); transform-origin: 0 0"),
    );
    await ui.button("Anchor").click();
    await ui.click(80, 60);
    near((await ui.saved()).tracks[0].points[0], [80, 60], 1.5);
  });
}

test("pen: draws as a mouse does, whatever its pressure and tilt", options, async () => {
  const client = await ui.page.context().newCDPSession(ui.page);
  await ui.page.evaluate(() => {
    window.kinds = new Set();
    window.editor.surface.element.addEventListener("pointermove", ({ pointerType }) => window.kinds.add(pointerType));
  });
  const drawn = [];
  for (const force of [0.05, 0.9]) {
    await ui.button("free-hand").click();
    await ui.settled();
    const path = await Promise.all(
      [
        [40, 100],
        [80, 80],
        [120, 60],
        [200, 100],
      ].map(([x, y]) => ui.place(x, y)),
    );
    const send = (type, [x, y], buttons) =>
      client.send("Input.dispatchMouseEvent", {
        type,
        x,
        y,
        button: "left",
        buttons,
        force,
        tiltX: 40,
        tiltY: 10,
        pointerType: "pen",
        clickCount: 1,
      });
    await send("mousePressed", path[0], 1);
    for (const at of path.slice(1)) await send("mouseMoved", at, 1);
    await send("mouseReleased", path.at(-1), 0);
    await ui.settled();
    drawn.push((await ui.saved()).tracks.at(-1));
  }
  assert.deepEqual(await ui.page.evaluate(() => [...window.kinds]), ["pen"]);
  assert.equal((await ui.saved()).tracks.length, 2);
  near(drawn[0].points[0], [40, 100], 1);
  near(drawn[0].points.at(-1), [200, 100], 1);
  assert.deepEqual(drawn[0].points, drawn[1].points);
});

test("touch: a finger draws, two fingers zoom, pressure does not matter", options, async () => {
  await ui.open({ hasTouch: true });
  await ui.button("free-hand").click();
  const client = await ui.page.context().newCDPSession(ui.page);
  const send = (type, points) =>
    client.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map(([x, y], id) => ({ x, y, id, force: 0.1 + 0.4 * id })),
    });
  const path = await Promise.all(
    [
      [40, 100],
      [80, 80],
      [120, 60],
      [200, 100],
    ].map(([x, y]) => ui.place(x, y)),
  );
  await send("touchStart", [path[0]]);
  for (const at of path.slice(1)) await send("touchMove", [at]);
  await send("touchEnd", []);
  await ui.settled();
  assert.equal((await ui.saved()).tracks.length, 1);
  const [a, b] = [await ui.place(120, 100), await ui.place(200, 100)];
  await send("touchStart", [a]);
  await send("touchStart", [a, b]);
  await send("touchMove", [
    [a[0] - 60, a[1]],
    [b[0] + 60, b[1]],
  ]);
  await send("touchEnd", []);
  await ui.settled();
  assert.equal((await ui.saved()).tracks.length, 1);
  assert.ok((await ui.page.evaluate(() => window.editor.surface.view.scale)) > 3);
});

test("a bitmap of many curves that moves, pans or zooms shows what painting it anew would show", options, async () => {
  const differences = await ui.page.evaluate(async () => {
    const { model, surface } = window.editor;
    const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const tracks = Array.from({ length: 100 }, (_, i) => {
      const [x, y] = [(i * 37) % 320, (i * 91) % 200];
      return {
        kind: i % 2 ? "path" : "drag",
        interpolation: "catmull_rom",
        points: [
          [x, y],
          [x + 20, y + 9],
          [x + 9, y + 30],
        ],
        start: 0,
        duration: 20,
      };
    });
    model.add(tracks);
    surface.settle = () => {}; // it would paint anew by itself
    await frame();
    const px = 1 / (surface.view.scale * surface.density);
    const look = () =>
      [surface.layers.base, surface.layers.top].map(
        (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data,
      );
    look(); // the first look changes how the browser paints
    const differs = async (change) => {
      surface.repaint();
      await frame();
      change();
      await frame();
      const carried = look();
      let made = 0;
      for (const bitmap of Object.values(surface.layers.bitmaps)) {
        made += Number(bitmap.painted !== null);
        bitmap.forget();
      }
      surface.repaint();
      await frame();
      const [few, all] = look().map((layer, k) =>
        layer.reduce((n, value, i) => n + Number(Math.abs(value - carried[k][i]) > 3), 0),
      );
      return [made, few, all];
    };
    const { movePoints } = await import("/js/track_editor/document/edits.js");
    const selected = () => new Map([...model.selection.tracks].map((id) => [id, null]));
    const moved = (dx, dy) => () =>
      model.apply({ document: movePoints(model.history.present, selected(), dx * px, dy * px) });
    const pan = (x, y) => () => {
      surface.view = { ...surface.view, x: surface.view.x + x, y: surface.view.y + y };
      model.changed();
    };
    const found = {
      near: await differs(moved(40, -25)),
      far: await differs(moved(-700, 0)),
      pan: await differs(pan(31, -12)),
      away: await differs(pan(900, 0)),
    };
    model.draft = null;
    surface.fit();
    model.run({ name: "escape" });
    await frame();
    return { ...found, resting: await differs(pan(-60, 33)) };
  });
  // A handful of values may differ in the smoothing of lines; a picture a px off differs in thousands.
  for (const [name, [made, below, above]] of Object.entries(differences))
    assert.ok(made === 1 && below + above < 50, `${name}: ${made} ${below} ${above}`);
});
