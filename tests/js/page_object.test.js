// An object on the editor's page: clicked in a picture, taken from a mask, dragged, turned, paced, named; and its words.
import assert from "node:assert/strict";
import { test } from "node:test";

import { drivePage, near } from "./page/driver.js";

const ui = await drivePage();
const { options } = ui;

/** Under the drawing a dark picture of 320 x 200 px, a light square of 60 px with its corner at (100, 70). */
const showSquare = () =>
  ui.page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [320, 200];
    const context = canvas.getContext("2d");
    context.fillStyle = "#203040";
    context.fillRect(0, 0, 320, 200);
    context.fillStyle = "#e8c890";
    context.fillRect(100, 70, 60, 60);
    await window.editor.setImage(await new Promise((done) => canvas.toBlob(done)));
  });

/** Where its points lie in the first and the last frame: their middle, and the box around them. */
const places = () =>
  ui.page.evaluate(() => {
    const sampled = window.sample(window.read(window.saved.at(-1)));
    return [0, 24].map((frame) => {
      const [xs, ys] = ["x", "y"].map((axis) => sampled.map((path) => path[frame][axis]));
      const mean = (all) => all.reduce((sum, value) => sum + value, 0) / all.length;
      const width = Math.max(...xs) - Math.min(...xs);
      return { count: xs.length, middle: [mean(xs), mean(ys)], left: Math.min(...xs), width };
    });
  });

/** The first object's knob, on the page. */
const knob = () =>
  ui.page.evaluate(async () => {
    const { knobOf } = await import("/js/track_editor/tools/region.js");
    const { surface, model } = window.editor;
    const box = surface.element.getBoundingClientRect();
    const { knob, middle } = knobOf(model.document.tracks[0], surface.view);
    return [knob, middle].map(({ x, y }) => [box.left + x, box.top + y]);
  });

test("an object: clicked in the picture, dragged, turned and scaled by its knob", options, async () => {
  await showSquare();
  await ui.button("Object brush").click();
  await ui.click(130, 100);
  let [first] = await places();
  near(first.middle, [130, 100]);
  assert.ok(first.left > 99 && first.width > 40 && first.width < 60, JSON.stringify(first));
  assert.match(await ui.page.locator(".mste-hint").textContent(), /drag it/);
  await ui.drag([
    [115, 90],
    [150, 100],
    [200, 100],
    [245, 90],
  ]);
  let last;
  [first, last] = await places();
  near(first.middle, [130, 100]);
  near(last.middle, [260, 100], 2);
  assert.ok(Math.abs(last.width - first.width) < 0.1);
  const [[kx, ky], [mx, my]] = await knob();
  await ui.page.mouse.move(kx, ky);
  await ui.page.mouse.down();
  const far = 2 * (Math.hypot(kx - mx, ky - my) - 20) + 20;
  await ui.page.mouse.move(mx + far * 0.7, my - far * 0.7, { steps: 5 });
  await ui.page.mouse.move(mx + far, my, { steps: 5 });
  await ui.page.mouse.up();
  const [{ region }] = (await ui.saved()).tracks;
  assert.ok(Math.abs(region.turn - 90) < 1 && Math.abs(region.scale - 2) < 0.05, `${region.turn} ${region.scale}`);
  [first, last] = await places();
  assert.ok(Math.abs(last.width / first.width - 2) < 0.1, "it does not grow");
  await ui.page.keyboard.press("Control+z");
  assert.equal((await ui.saved()).tracks[0].region.turn, undefined);
  assert.deepEqual(ui.problems, []);
});

test("an object of the mask that comes in, where it lies in the picture; without one it is said", options, async () => {
  await ui.page.evaluate(() => {
    window.editor.host.mask = async () => window.mask ?? null;
    window.editor.repaint();
  });
  await ui.button("Object brush").click();
  await ui.button("An object of the mask").click();
  await ui.page.waitForFunction(() => /No mask/.test(document.querySelector(".mste-status").textContent));
  await ui.page.evaluate(() => {
    window.mask = document.createElement("canvas"); // half the size, twice as wide: its middle is what the clip shows
    [window.mask.width, window.mask.height] = [320, 100];
    const context = window.mask.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, 320, 100);
    context.fillStyle = "#fff";
    context.fillRect(200, 20, 20, 30);
  });
  await ui.button("An object of the mask").click();
  await ui.page.waitForFunction(() => window.saved.length === 1);
  const [{ middle, count }] = await places();
  // 320 x 100 covers 320 x 200 at twice its size; x 80 of it is the clip's left edge.
  near(middle, [(210 - 80) * 2, 35 * 2], 2);
  assert.ok(count > 25 && count < 60, String(count));
});

test(
  "a mask is read as core's loaders read the file: a channel of it, or what its alpha leaves out",
  options,
  async () => {
    const found = await ui.page.evaluate(async () => {
      const { maskPicture } = await import("/js/track_editor/io/mask_picture.js");
      const canvas = document.createElement("canvas"); // opaque red | opaque blue | nothing
      [canvas.width, canvas.height] = [3, 1];
      const context = canvas.getContext("2d");
      ["#ff0000", "#0000ff"].forEach((colour, x) => {
        context.fillStyle = colour;
        context.fillRect(x, 0, 1, 1);
      });
      const read = async (writing) => {
        const mask = await maskPicture(canvas.toDataURL(), writing);
        return mask && [...mask.getContext("2d").getImageData(0, 0, 3, 1).data].filter((_, i) => i % 4 === 0);
      };
      return Promise.all(["red", "green", "blue", "not_alpha"].map(read));
    });
    assert.deepEqual(found, [[255, 0, 0], null, [0, 255, 0], [0, 0, 255]]);
  },
);

test("pace: a handle of the graph is pulled, keyframes along the way too", options, async () => {
  await ui.drag([
    [40, 100],
    [160, 100],
    [280, 100],
  ]);
  const row = ui.page.locator(".mste-easing");
  assert.equal(await row.isVisible(), false);
  await ui.button("Pace: slow").click();
  const box = await ui.page.locator(".mste-graph").boundingBox();
  const at = (time, way) => [
    box.x + ((10 + time * 164) / 184) * box.width,
    box.y + ((112 - 10 - way * 92) / 112) * box.height,
  ];
  const pull = async (from, to) => {
    await ui.page.mouse.move(...at(...from));
    await ui.page.mouse.down();
    await ui.page.mouse.move(...at(...to), { steps: 4 });
    await ui.page.mouse.up();
  };
  await pull([1 / 3, 1 / 3], [0.9, 0.05]);
  const [track] = (await ui.saved()).tracks;
  track.easing.forEach((value, i) => {
    assert.ok(Math.abs(value - [0.9, 0.05, 2 / 3, 2 / 3][i]) < 0.02, String(track.easing));
  });
  const halfway = await ui.page.evaluate(() => window.sample(window.read(window.saved.at(-1)))[0][12].x);
  assert.ok(halfway < 40 + 0.4 * 240, `at ${halfway} it is not late`);
  await ui.page.keyboard.press("Control+z");
  assert.equal((await ui.saved()).tracks[0].easing, undefined);
  await ui.page.evaluate(() =>
    window.editor.model.changeSelected((each) => ({
      ...each,
      keyframes: [
        [0, 0],
        [12, (each.points.length - 1) / 2],
        [24, each.points.length - 1],
      ],
    })),
  );
  await pull([0.5, 0.5], [0.25, 0.75]);
  const keyframes = (await ui.saved()).tracks[0].keyframes;
  assert.ok(Math.abs(keyframes[1][0] - 6) < 0.4, String(keyframes));
  const quarter = await ui.page.evaluate(() => window.sample(window.read(window.saved.at(-1)))[0][6].x);
  assert.ok(Math.abs(quarter - (40 + 0.75 * 240)) < 8, String(quarter));
});

test("a name and a colour are the track's, and come back from its text", options, async () => {
  await ui.drag([
    [40, 100],
    [160, 60],
    [280, 100],
  ]);
  const written = () =>
    ui.page.evaluate(() => {
      // Beside the first point, in the colour of the track.
      const { layers, view, density } = window.editor.surface;
      const [x, y] = [(40 * view.scale + view.x + 8) * density, (100 * view.scale + view.y - 18) * density];
      const { data } = layers.top.getContext("2d").getImageData(x, y, 50 * density, 12 * density);
      return data.filter((value, i) => i % 4 === 3 && value > 128).length;
    });
  const before = await written();
  await ui.page.getByLabel("Name", { exact: true }).fill("  the ball ");
  await ui.page.getByLabel("Name", { exact: true }).press("Enter");
  await ui.page.getByLabel("Colour", { exact: true }).fill("#12e0a0");
  await ui.settled();
  assert.ok((await written()) > before + 100, "the name is not written beside its track");
  const [{ name, color }] = (await ui.saved()).tracks;
  assert.deepEqual([name, color], ["the ball", "#12e0a0"]);
  await ui.settled();
  const [x, y] = await ui.page.evaluate(
    () => window.sample(window.read(window.saved.at(-1)))[0].map(({ x, y }) => [x, y])[4],
  );
  await ui.page.evaluate(() => window.editor.model.select({ tracks: new Set(), points: new Map() }));
  await ui.settled();
  const [r, g, b] = await ui.colour(x, y);
  assert.ok(g > 150 && r < 100 && b > 90 && b < 200, `${r} ${g} ${b}`);
});

for (const way of ["Escape", "a click on it", "a click beside it", "?"]) {
  test(`the list of keys goes by ${way}, and the drawing has the keyboard again`, options, async () => {
    const help = ui.page.locator(".mste-help");
    await ui.button("Full screen").click();
    await ui.page.keyboard.press("?");
    assert.equal(await help.isVisible(), true);
    if (way === "Escape") await ui.page.keyboard.press("Escape");
    else if (way === "?") await ui.page.keyboard.press("?");
    else await help.click(way === "a click beside it" ? { position: { x: 4, y: 4 } } : {});
    assert.equal(await help.isVisible(), false);
    assert.equal(await ui.page.locator(".mste-full").count(), 1);
    await ui.page.keyboard.press("Escape");
    assert.equal(await ui.page.locator(".mste-full").count(), 0);
  });
}

test("the words of an empty drawing go with the first drag, which draws", options, async () => {
  const words = ui.page.locator(".mste-empty");
  assert.match(await words.textContent(), /Drag to draw what moves/);
  assert.equal(await words.isVisible(), true);
  // Words are no obstacle: the drag begins on them.
  const box = await words.boundingBox();
  await ui.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await ui.page.mouse.down();
  await ui.page.mouse.move(box.x + box.width / 2 + 80, box.y - 60, { steps: 6 });
  await ui.settled(); // panels follow with the next picture
  assert.equal(await words.isVisible(), false);
  await ui.page.mouse.up();
  assert.equal((await ui.saved()).tracks.length, 1);
  await ui.page.keyboard.press("Control+z");
  await ui.settled();
  assert.equal(await words.isVisible(), true);
});

for (const width of [268, 300, 420]) {
  test(`at ${width} px nothing is cut off or lies outside`, options, async () => {
    await ui.page.evaluate((width) => {
      document.getElementById("place").style.cssText = `width: ${width}px; height: 360px`;
    }, width);
    await ui.settled();
    await ui.drag([
      [40, 100],
      [160, 60],
      [280, 100],
    ]);
    for (const tool of ["Select", "Draw free-hand", "Object brush", "Draw by points", "Drag live", "Anchor"]) {
      await ui.button(tool).first().click();
      await ui.settled();
      const outside = await ui.page.evaluate(() => {
        const page = window.editor.element.getBoundingClientRect();
        const shown = [...window.editor.element.querySelectorAll("button, input, select, canvas")].filter(
          (each) => each.checkVisibility() && each.getBoundingClientRect().width > 2,
        );
        return shown
          .filter((each) => {
            const box = each.getBoundingClientRect();
            let frame = { left: page.left, right: page.right, top: page.top, bottom: page.bottom };
            for (let up = each.parentElement; up !== window.editor.element; up = up.parentElement) {
              if (getComputedStyle(up).overflow === "visible") continue;
              const edge = up.getBoundingClientRect();
              frame = {
                left: Math.max(frame.left, edge.left),
                right: Math.min(frame.right, edge.right),
                top: Math.max(frame.top, edge.top),
                bottom: Math.min(frame.bottom, edge.bottom),
              };
            }
            return (
              box.left < frame.left - 1 ||
              box.right > frame.right + 1 ||
              box.top < frame.top - 1 ||
              box.bottom > frame.bottom + 1
            );
          })
          .map((each) => each.title || each.ariaLabel || each.className || each.tagName);
      });
      assert.deepEqual(outside, [], tool);
    }
  });
}

test("with stretch the whole picture is shown, with crop its middle", options, async () => {
  await ui.page.evaluate(async () => {
    const canvas = document.createElement("canvas"); // thirds: red, green, blue; twice as wide as the clip
    [canvas.width, canvas.height] = [1280, 400];
    const context = canvas.getContext("2d");
    ["#ff0000", "#00ff00", "#0000ff"].forEach((colour, i) => {
      context.fillStyle = colour;
      context.fillRect((1280 / 3) * i, 0, 1280 / 3 + 1, 400);
    });
    await window.editor.setImage(await new Promise((done) => canvas.toBlob(done)));
  });
  await ui.settled();
  // 640 of 1280 px are shown: 320 to 960, of which 427 to 853 are green.
  assert.deepEqual(await ui.colour(25, 190), [255, 0, 0]);
  assert.deepEqual(await ui.colour(60, 190), [0, 255, 0]);
  await ui.page.evaluate(() => window.editor.surface.setPictureFit("stretch"));
  await ui.settled();
  assert.deepEqual(await ui.colour(60, 190), [255, 0, 0]);
  assert.deepEqual(await ui.colour(120, 190), [0, 255, 0]);
  assert.deepEqual(await ui.colour(220, 190), [0, 0, 255]);
});

test("the picture's size is taken on a button, and the drawing goes with what it was drawn over", options, async () => {
  await ui.page.evaluate(() => {
    window.editor.host.takeSize = (size) => {
      window.canvas = { ...window.canvas, ...size };
    };
  });
  await showSquare();
  assert.equal(await ui.button("Take the picture's size").isVisible(), false);
  await ui.drag([
    [130, 100],
    [160, 100],
    [200, 100],
  ]);
  await ui.page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [1280, 400]; // 640 px of its middle are shown
    canvas.getContext("2d").fillRect(0, 0, 9, 9);
    await window.editor.setImage(await new Promise((done) => canvas.toBlob(done)));
  });
  await ui.button("Take the picture's size").click();
  const { canvas, tracks } = await ui.saved();
  assert.deepEqual([canvas.width, canvas.height], [1280, 400]);
  near(tracks[0].points[0], [320 + 2 * 130, 200], 1);
  assert.deepEqual(await ui.page.evaluate(() => [window.canvas.width, window.canvas.height]), [1280, 400]);
  assert.equal(await ui.button("Take the picture's size").isVisible(), false);
});
