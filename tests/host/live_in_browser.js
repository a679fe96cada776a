// A browser in front of a running ComfyUI: runs the example of the live node, steers it in every way, loads the page anew.
//
//     node live_in_browser.js PORT WORKFLOW.json SCREENSHOT_FOLDER classic|vue
//
// Prints one JSON object of what it saw. Run by test_live.py.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

import { launch } from "../js/page/browser.js";
import { writeFilm } from "../js/page/camera_scene.js";

const [port, workflowFile, shots, mode] = process.argv.slice(2);
const folder = resolve(shots);
const workflow = JSON.parse(readFileSync(workflowFile, "utf8"));
const seen = { problems: [], prompts: [] };
// Before the webcam a thing goes to the right and back, for three seconds, over and over.
const FILM = Array.from({ length: 90 }, (_, i) => [70 + 20 * Math.sin((2 * Math.PI * i) / 90), 60]);
writeFilm(`${folder}/camera.y4m`, FILM);
const browser = await launch([
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  `--use-file-for-fake-video-capture=${folder}/camera.y4m`,
]);
const context = await browser.newContext({ viewport: { width: 1500, height: 1100 }, hasTouch: true });
const page = await context.newPage();
page.setDefaultTimeout(120_000); // a busy machine takes its time
page.on("pageerror", (error) => seen.problems.push(String(error)));
page.on("dialog", (dialog) => dialog.accept());
page.on("response", async (answer) => {
  if (answer.request().method() !== "POST" || !/\/prompt$/.test(new URL(answer.url()).pathname)) return;
  seen.prompts.push((await answer.json()).prompt_id);
});
const wait = (ms) => page.waitForTimeout(ms);
const shot = (name) => page.screenshot({ path: `${folder}/${mode}_${name}.png` });
const words = () => page.locator(".mste-words").textContent();
const run = () => page.getByTestId("queue-button").click();

/** Runs in the page with the live node, its stage, and `more`. */
const inStage = (what, more) =>
  page.evaluate(
    ([source, more]) => {
      const node = window.app.graph.nodes.find(({ comfyClass }) => comfyClass === "MotionStreamLive");
      const stage = node?.widgets.find(({ name }) => name === "live_stage")?.element.stage ?? null;
      return new Function("node", "stage", "more", `return (async () => (${source}))()`)(node, stage, more);
    },
    [what, more],
  );

/** Until something is so; what it was at last is part of the error. */
async function until(what, limit_s = 90) {
  const end = Date.now() + 1000 * limit_s;
  while (!(await inStage(what).catch(() => false))) {
    if (Date.now() > end) {
      await shot("failed");
      const status = await inStage(
        "stage && JSON.stringify([stage.session.status, stage.session.chunk, stage.editor.message])",
      );
      throw new Error(`not so after ${limit_s} s: ${what}; ${status}; ${seen.problems}`);
    }
    await wait(50);
  }
}

async function opened() {
  await page.waitForFunction(
    () => window.app?.graph && window.LiteGraph?.registered_node_types?.MotionStreamLive,
    null,
    { timeout: 120_000 },
  );
}

/** Where a point of the frame is on the page. */
const place = (x, y) =>
  inStage(
    `(() => {
      const { surface } = stage.editor;
      const box = surface.element.getBoundingClientRect();
      const scale = box.width / surface.element.clientWidth;
      const at = (start, value, shift) => start + (value * surface.view.scale + shift) * scale;
      return [at(box.left, more[0], surface.view.x), at(box.top, more[1], surface.view.y)];
    })()`,
    [x, y],
  );

// From here on, on every frame of the page: where the hand is, and where a colour is in the picture that is shown.
const WATCH = `(() => {
  const is = {
    pink: (r, g, b) => r > 150 && b > 110 && g < 110 && r - g > 70,
    green: (r, g, b) => g > 120 && g - r > 50 && g - b > 50,
    red: (r, g, b) => r > 120 && r - g > 70 && r - b > 70,
  };
  const middleOf = ({ data, width }, isIt) => {
    let [n, sx, sy] = [0, 0, 0];
    for (let i = 0; i < data.length; i += 4) {
      if (!isIt(data[i], data[i + 1], data[i + 2])) continue;
      n++;
      sx += (i / 4) % width;
      sy += Math.floor(i / 4 / width);
    }
    return n < 20 ? null : [sx / n + 0.5, sy / n + 0.5, n];
  };
  const watch = { pictures: [], hands: [], chunks: [] };
  window.watched = watch;
  let [frames, chunk] = [-1, null];
  const look = () => {
    const now = performance.now();
    const held = [...stage.hands.held.values()];
    watch.hands.push([now, held.map(({ at }) => [...at])]);
    if (stage.session.chunk !== chunk) {
      chunk = stage.session.chunk;
      if (chunk) watch.chunks.push([now, chunk.made_ms, chunk.frame_ms * chunk.sizes.length, chunk.num_frames]);
    }
    if (stage.shown.frames !== frames) {
      frames = stage.shown.frames;
      const pixels = stage.pixels();
      const middles = Object.fromEntries(Object.keys(is).map((name) => [name, pixels && middleOf(pixels, is[name])]));
      watch.pictures.push({ t: now, frame: stage.shown.frame, ...middles });
    }
    window.watching = requestAnimationFrame(look);
  };
  look();
})()`;
const watched = () => inStage("(cancelAnimationFrame(window.watching), window.watched)");
const middle = async (colour) => {
  await inStage(WATCH);
  const { pictures } = await watched();
  return pictures[0][colour];
};

/** Fingers or a mouse along ways of the frame, all at once, evenly over `ms`; each stays at its end until `after` is done. */
async function drag(ways, ms, press, after) {
  const steps = 30;
  const places = await Promise.all(ways.map(async ([from, to]) => [await place(...from), await place(...to)]));
  const began = Date.now();
  for (let step = 0; step <= steps; step++) {
    const at = places.map(([a, b]) => [0, 1].map((i) => a[i] + ((b[i] - a[i]) * step) / steps));
    await press(at, step === 0);
    await wait(Math.max(0, began + (ms * step) / steps - Date.now()));
  }
  await after();
}

const mouse = async ([[x, y]], isFirst) => {
  await page.mouse.move(x, y);
  if (isFirst) await page.mouse.down();
};

// A newcomer: the example is opened, run by the button, and Enter pressed.
await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: "domcontentloaded" });
await opened();
await wait(3000);
await page.keyboard.press("Escape");
await page.evaluate((on) => window.app.extensionManager.setting.set("Comfy.VueNodes.Enabled", on), mode === "vue");
await page.evaluate((workflow) => window.app.loadGraphData(workflow), workflow);
await wait(2500);
seen.problems.length = 0; // what the front end itself stumbles over while it starts
const look = () =>
  page.evaluate(() => {
    const { ds } = window.app.canvas;
    [ds.scale, ds.offset[0], ds.offset[1]] = [0.8, 80, 20];
    window.app.graph.setDirtyCanvas(true, true);
  });
await look();
// A node behind it, which gets the frames.
await inStage(
  `(() => {
  const { graph } = window.app;
  const made = ["CreateVideo", "SaveVideo"].map((type, i) => {
    const next = window.LiteGraph.createNode(type);
    graph.add(next);
    next.pos = [1200, 60 + 200 * i];
    return next;
  });
  node.connect(0, made[0], made[0].inputs.findIndex(({ name }) => name === "images"));
  node.connect(1, made[0], made[0].inputs.findIndex(({ name }) => name === "fps"));
  made[0].connect(0, made[1], made[1].inputs.findIndex(({ name }) => name === "video"));
  made[1].widgets.find(({ name }) => name === "filename_prefix").value = more;
})()`,
  `after_live_${mode}`,
);
await wait(800);
seen.widgets = await inStage("node.serialize().widgets_values");
seen.size = await inStage("[...node.size]");
await shot("loaded");
await run();
await until("stage?.session.isOpen && stage.shown.frames > 0");
seen.ready = await words();
await shot("ready");
await page.keyboard.press("Enter");
await until("stage.session.status.state === 'running' && stage.screen.numCome > 17");

// An object is taken along by the mouse, 25 px within 1.5 s, and held there until the picture has had its time.
const start = await middle("pink");
await inStage(WATCH);
await drag([[start, [start[0] + 24, start[1] + 8]]], 1500, mouse, async () => {
  await shot("drag");
  const { num_frames } = await inStage("stage.session.chunk");
  await until(`stage.shown.frame > ${num_frames} + 20`);
  await page.mouse.up();
});
seen.drag = { start, ...(await watched()) };
seen.delays = await inStage("stage.delays");
seen.fps_made = await inStage("stage.session.chunk.fps_made");

// Pause, back by a second, resume, a new anchor.
await page.keyboard.press("Space");
await until("stage.session.status.state === 'paused'");
await wait(1500);
const paused = await inStage("stage.screen.numCome");
await wait(1000);
seen.paused = [paused, await inStage("stage.screen.numCome")];
await shot("paused");
await inStage("(stage.backSeconds = 1)");
await page.keyboard.press("b");
await until(`stage.screen.numCome < ${paused}`, 30);
seen.back = [paused, await inStage("stage.screen.numCome")];
await page.keyboard.press("Space");
await until(`stage.screen.numCome > ${paused}`);
await page.keyboard.press("n");
const anchored = await inStage("stage.screen.numCome");
await until(`stage.screen.numCome > ${anchored} + 16`);
seen.after_anchor = await words();

// A webcam takes what lies at the crosshair along.
const grabbed = await middle("pink");
await inStage(
  `(({ x, y }) => stage.tools.nudge(more[0] - x, more[1] - y, performance.now()))(stage.tools.model.cursor ?? { x: 64, y: 64 })`,
  grabbed,
);
await page.locator(".mste-surface").focus();
await page.keyboard.press("w");
await page.locator(".mste-webcam-square[data-seeking=false]").waitFor();
await page.keyboard.press("d");
await inStage(WATCH);
await wait(4000);
await shot("webcam");
await wait(4000);
seen.webcam = { grabbed, ...(await watched()) };
await page.keyboard.press("d");
await page.keyboard.press("w");
await page.keyboard.press("Escape"); // the crosshair goes
seen.webcam_is_on = await page
  .locator(".mste-webcam")
  .waitFor({ state: "hidden", timeout: 2000 }) // with the next frame that the page draws
  .then(() => false)
  .catch(() => true);

// Another run waits, and is told of.
await run();
await until("/more in the queue/.test(document.querySelector('.mste-words').textContent)", 30);
seen.queued = await words();
await shot("queued");

// Full screen, and two fingers at once.
await page.getByLabel("Full screen").click();
await wait(500);
const client = await context.newCDPSession(page);
const touch = (type, at) =>
  client.send("Input.dispatchTouchEvent", { type, touchPoints: at.map(([x, y], id) => ({ id, x, y })) });
const [left, right] = [(await middle("green")) ?? [20, 100], (await middle("red")) ?? [100, 64]];
await inStage(WATCH);
await drag(
  [
    [left, [left[0] + 14, left[1] - 10]],
    [right, [right[0] - 14, right[1] + 6]],
  ],
  1200,
  (at, isFirst) => touch(isFirst ? "touchStart" : "touchMove", at),
  async () => {
    seen.fingers = await inStage("stage.hands.held.size");
    await shot("full");
    const { num_frames } = await inStage("stage.session.chunk");
    await until(`stage.shown.frame > ${num_frames} + 16`);
    await touch("touchEnd", []);
  },
);
seen.touch = { left, right, ...(await watched()) };
seen.held_after_touch = await inStage("stage.hands.held.size");
await page.keyboard.press("Escape");
await wait(500);
seen.left_full_screen = await page.evaluate(() => !document.querySelector(".mste-full"));

// The node made smaller and larger: the picture goes along.
const sizes = [];
for (const size of [
  [640, 980],
  [920, 1040],
]) {
  await inStage("(node.setSize(more), window.app.graph.setDirtyCanvas(true, true))", size);
  await wait(700);
  sizes.push(await inStage("[stage.editor.surface.size.width, stage.editor.surface.size.height]"));
  await shot(`size_${size[0]}`);
}
seen.surfaces = sizes;
await inStage("node.setSize([760, 1000])");

// A picture that is dropped on the stage is the next run's.
const PICTURE = `(() => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 64];
  canvas.getContext("2d").fillRect(0, 0, 64, 64);
  return canvas.toDataURL();
})()`;
writeFileSync(`${folder}/dropped.png`, Buffer.from((await inStage(PICTURE)).split(",")[1], "base64"));
const LOADER = `window.app.graph.nodes.find(({ comfyClass }) => comfyClass === "MotionStreamPicture").widgets[0].value`;
const [dropX, dropY] = await place(64, 64);
const nodes = await page.evaluate(() => window.app.graph.nodes.length);
for (const type of ["dragEnter", "dragOver", "drop"]) {
  await client.send("Input.dispatchDragEvent", {
    type,
    x: dropX,
    y: dropY,
    data: { items: [], files: [`${folder}/dropped.png`], dragOperationsMask: 1 },
  });
}
await until("/is in the loader/.test(document.querySelector('.mste-words').textContent)", 30);
seen.dropped = { words: await words(), loader: await inStage(LOADER) };
seen.dropped.nodes = (await page.evaluate(() => window.app.graph.nodes.length)) - nodes;
await shot("dropped");

// The graph's own undo makes the nodes anew: the loader has its picture again, and the stage opens again.
await page.evaluate(() => {
  document.activeElement?.blur();
  return window.app.extensionManager.command.execute("Comfy.Undo");
});
await until(`${LOADER} === "bundled/three_shapes"`, 30);
await until("stage?.session.status.state === 'running' && stage.shown.frames > 8", 40);
seen.after_undo = { loader: await inStage(LOADER), steering: await inStage("stage.session.status.steering") };

// The page loaded anew in mid-stream: the stage is there again, and steers.
await wait(1500);
await page.reload({ waitUntil: "domcontentloaded" });
await opened();
await until("stage?.session.status.state === 'running' && stage.shown.frames > 8");
seen.after_reload = await inStage("[stage.session.status.steering, node.id]");
await look();
await wait(1000);
await shot("reloaded");

// Enter ends it; the file is linked to, and the next run's stage opens in its place.
const first = await inStage("stage.session.id");
await page.locator(".mste-surface").click();
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.querySelector(".mste-note a"));
seen.ended = await inStage("[stage.session.status.num_frames, stage.session.ended?.reason]");
seen.links = await page.locator(".mste-note a").evaluateAll((all) => all.map(({ textContent }) => textContent));
seen.video = await page.evaluate(async () => {
  const answer = await fetch(document.querySelector(".mste-note a").href);
  return [answer.status, answer.headers.get("content-type"), (await answer.arrayBuffer()).byteLength];
});
await until(
  `stage.session.id !== ${JSON.stringify(first)} && stage.session.isOpen && stage.session.status.state === "ready"`,
);
await wait(1000);
await shot("next");
seen.next = await words();
// Started and ended at once, and nothing of the page's own pushes the stage aside.
await page.keyboard.press("Enter");
await until("stage.session.status.state === 'running' && stage.screen.numCome > 9");
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.querySelectorAll(".mste-note a").length === 4);
await wait(2500);
await shot("ended");
seen.size_at_end = await inStage("[...node.size]");
seen.picture_at_end = await inStage("[stage.editor.surface.size.width, stage.editor.surface.size.height]");
seen.start_at_end = await page.locator(".mste-go").first().isDisabled();

console.log(JSON.stringify(seen));
await browser.close();
