// The live stage as a page, in Chromium: worked with mouse, fingers and keys, against a socket that is the server.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, missing, serve } from "./page/browser.js";

const FAKE_SOCKET = fileURLToPath(new URL("page/fake_socket.js", import.meta.url));
const skip = await missing();
if (skip) console.log(`# the live page is not tested: ${skip}`);
const options = { skip: skip ?? false, timeout: 60_000 };

let browser;
let server;
let page;
let problems;
/** What the server was asked for over HTTP. */
let asked;
let current;

const json = (answer, value) =>
  answer.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
const ROUTES = {
  "/": "js/live/page.html",
  "/motionstream/live/current": (request, answer) => {
    asked.push(request.url);
    json(answer, { session: current });
  },
  "/motionstream/live/picture": async (request, answer) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    asked.push(
      `${request.method} ${/name="(\w+)"; filename="([^"]*)"/.exec(Buffer.concat(parts).toString("latin1")).slice(1)}`,
    );
    json(answer, { session: "from_picture" });
  },
};

before(async () => {
  if (!skip) [browser, server] = await Promise.all([launch(), serve(ROUTES)]);
});
after(async () => {
  await browser?.close();
  server?.close();
});
beforeEach(async () => {
  if (skip) return;
  [asked, current, problems] = [[], "s1", []];
  await page?.context().close();
  const context = await browser.newContext({ viewport: { width: 800, height: 660 }, hasTouch: true });
  page = await context.newPage();
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.addInitScript({ path: FAKE_SOCKET });
  await page.goto(`${server.address}/?token=t0`);
  await page.waitForFunction(
    () => window.motionstreamLive?.session.isOpen && window.motionstreamLive.editor.surface.size.width > 0,
  );
  await chunk(["#305070"], { reset: true, num_frames: 1 });
  await page.waitForFunction(() => window.motionstreamLive.shown.frames === 1);
  await still();
});

/** What the page has said since it was asked last. */
const said = () => page.evaluate(() => window.FakeSocket.all.at(-1).sent.splice(0));
const change = (more) => page.evaluate((more) => window.FakeSocket.all.at(-1).change(more), more);
const chunk = (colours, more) =>
  page.evaluate(([colours, more]) => window.FakeSocket.all.at(-1).chunk(colours, more), [colours, more]);
const button = (name) => page.getByRole("button", { name, exact: false });
const words = () => page.locator(".mste-words").textContent();

/** Wait until the page has painted what there is. */
const still = () =>
  page.evaluate(async () => {
    for (let i = 0; i < 4; i++) await new Promise((done) => requestAnimationFrame(done));
  });

/** Where a point of the frame is on the page. */
const place = (x, y) =>
  page.evaluate(
    ([x, y]) => {
      const { surface } = window.motionstreamLive.editor;
      const box = surface.element.getBoundingClientRect();
      return [box.left + x * surface.view.scale + surface.view.x, box.top + y * surface.view.scale + surface.view.y];
    },
    [x, y],
  );

const samplesOf = (messages, id) => messages.filter((each) => each.type === "samples" && each.id === id);
const near = (actual, expected) =>
  assert.ok(Math.hypot(actual[0] - expected[0], actual[1] - expected[1]) < 0.6, `${actual} for ${expected}`);

test(
  "Enter starts, a drag by mouse is samples with their times, Space pauses and goes on, Enter ends",
  options,
  async () => {
    assert.deepEqual(asked, ["/motionstream/live/current?token=t0"]);
    assert.equal(await page.evaluate(() => new URL(window.FakeSocket.all[0].url).search), "?token=t0");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => window.motionstreamLive.session.status.state === "running");
    assert.deepEqual(await said(), [{ type: "start" }]);
    const [from, to] = [await place(64, 48), await place(90, 30)];
    const began = await page.evaluate(() => performance.now());
    await page.mouse.move(...from);
    await page.mouse.wheel(0, -300);
    await page.mouse.down();
    await page.mouse.move(...to, { steps: 6 });
    await still();
    await page.mouse.up();
    const messages = await said();
    const [first, ...rest] = samplesOf(messages, 0);
    assert.equal(first.grid.columns, 5);
    assert.ok(first.grid.dx > 5, `${first.grid.dx}`); // a fifth of the frame's height, and larger by the wheel
    near(first.samples[0], [64, 48]);
    near(rest.at(-1).samples.at(-1), [90, 30]);
    assert.ok(rest.every(({ grid }) => grid === undefined));
    const times = [first, ...rest].flatMap(({ samples }) => samples.map(([, , t]) => t));
    assert.ok(times[0] > began && times.every((t, i) => !i || t >= times[i - 1]), `${times}`);
    assert.deepEqual(messages.at(-1), { type: "release", id: 0 });
    await page.keyboard.press("Space");
    await page.keyboard.press("Space");
    await page.keyboard.press("Enter");
    assert.deepEqual(
      (await said()).map(({ type }) => type),
      ["pause", "resume", "stop"],
    );
    await page.getByRole("link", { name: "Video" }).waitFor();
    const links = await page.getByRole("link").evaluateAll((all) => all.map(({ href }) => new URL(href).pathname));
    assert.deepEqual(links, ["/files/v.mp4", "/files/t.npz", "/files/d.json", "/files/l.json"]);
    // Enter once more: what the server has now, started at once.
    current = "s2";
    await page.keyboard.press("Enter");
    await page.waitForFunction(
      () => window.FakeSocket.all.length === 2 && window.motionstreamLive.session.status.state === "running",
    );
    assert.deepEqual(await said(), [{ type: "start" }]);
    assert.deepEqual(problems, []);
  },
);

test("two fingers are two hands, and do not zoom", options, async () => {
  const client = await page.context().newCDPSession(page);
  const scale = await page.evaluate(() => window.motionstreamLive.editor.surface.view.scale);
  const touch = async (type, points) => {
    const touchPoints = await Promise.all(
      points.map(async ([id, x, y]) => {
        const [px, py] = await place(x, y);
        return { id, x: px, y: py };
      }),
    );
    await client.send("Input.dispatchTouchEvent", { type, touchPoints });
  };
  await touch("touchStart", [[0, 30, 40]]);
  await touch("touchStart", [
    [0, 30, 40],
    [1, 90, 40],
  ]);
  for (let i = 1; i <= 4; i++)
    await touch("touchMove", [
      [0, 30 - i, 40],
      [1, 90 + 2 * i, 40 + i],
    ]);
  await still();
  await touch("touchEnd", [[0, 26, 40]]);
  await touch("touchEnd", []);
  const messages = await said();
  near(samplesOf(messages, 0).at(-1).samples.at(-1), [26, 40]);
  near(samplesOf(messages, 1).at(-1).samples.at(-1), [98, 44]);
  const released = messages.filter(({ type }) => type === "release").map(({ id }) => id);
  assert.deepEqual(released.sort(), [0, 1]);
  assert.equal(await page.evaluate(() => window.motionstreamLive.editor.surface.view.scale), scale);
  assert.deepEqual(problems, []);
});

test("by keyboard alone: grab, move, let go, and every command", options, async () => {
  for (const key of ["ArrowRight", "Shift+ArrowDown", "d", "ArrowRight", "Shift+ArrowLeft", "d"])
    await page.keyboard.press(key);
  await still();
  const messages = await said();
  const [first, ...rest] = samplesOf(messages, 0);
  assert.deepEqual(first.samples[0].slice(0, 2), [65, 58]);
  assert.deepEqual(rest.at(-1).samples.at(-1).slice(0, 2), [56, 58]);
  assert.deepEqual(messages.at(-1), { type: "release", id: 0 });
  for (const key of ["b", "n"]) await page.keyboard.press(key);
  assert.match(await words(), /has not begun/);
  for (const key of ["Enter", "n", "b", "x"]) await page.keyboard.press(key);
  assert.deepEqual(await said(), [
    { type: "start" },
    { type: "reanchor" },
    { type: "back", seconds: 2 },
    { type: "clear" },
  ]);
  await page.keyboard.press("?");
  assert.ok(await page.locator(".mste-help").isVisible());
  await page.keyboard.press("Escape");
  assert.ok(!(await page.locator(".mste-help").isVisible()));
  assert.deepEqual(problems, []);
});

test("anchors, paths until they have played, the camera", options, async () => {
  await page.keyboard.press("a");
  await page.mouse.click(...(await place(20, 20)));
  await page.mouse.click(...(await place(100, 20)));
  await page.mouse.click(...(await place(100, 20)));
  await still();
  let messages = await said();
  assert.deepEqual(
    messages.map(({ type, id }) => [type, id]),
    [
      ["samples", 0],
      ["samples", 1],
      ["release", 1],
    ],
  );
  await page.keyboard.press("p");
  await page.mouse.move(...(await place(30, 70)));
  await page.mouse.down();
  for (const [x, y] of [
    [50, 60],
    [70, 75],
    [100, 60],
  ])
    await page.mouse.move(...(await place(x, y)), { steps: 4 });
  await page.mouse.up();
  await still();
  messages = await said();
  assert.deepEqual(
    messages.map(({ type }) => type),
    ["play"],
  );
  const [{ document }] = messages;
  assert.deepEqual(
    document.tracks.map(({ kind, start, duration }) => [kind, start, duration]),
    [["path", 0, 48]],
  );
  const kinds = () => page.evaluate(() => window.motionstreamLive.model.document.tracks.map(({ kind }) => kind));
  assert.deepEqual(await kinds(), ["anchor", "path"]);
  await chunk(["#305070"], { index: 1, start_frame: 48, num_frames: 49 });
  await page.waitForFunction(() => window.motionstreamLive.shown.frame === 48);
  assert.deepEqual(await kinds(), ["anchor", "path"]);
  await chunk(["#305070"], { index: 2, start_frame: 49, num_frames: 50 });
  await page.waitForFunction(() => window.motionstreamLive.shown.frame === 49);
  assert.deepEqual(await kinds(), ["anchor"]);
  await page.mouse.move(...(await place(30, 70)));
  await page.mouse.down();
  await page.mouse.move(...(await place(90, 70)), { steps: 4 });
  await page.mouse.up();
  await still();
  assert.deepEqual(await kinds(), ["anchor", "path"]);
  const error = { type: "error", field: "play", message: "The path leaves the frame" };
  await page.evaluate((error) => window.FakeSocket.all[0].tell(error), error);
  assert.deepEqual(await kinds(), ["anchor"]);
  assert.equal((await said())[0].type, "play");
  await page.getByLabel("Camera", { exact: true }).selectOption("truck");
  await button("The camera moves now").click();
  const [camera] = await said();
  assert.deepEqual([camera.type, camera.document.camera[0].move], ["play", "truck"]);
  assert.ok(camera.document.tracks.length > 40);
  assert.deepEqual(problems, []);
});

test("pictures are shown in their time, and the delay from drag to picture is measured", options, async () => {
  const colours = ["#ff0000", "#00ff00", "#0000ff", "#ffff00"];
  const sent = await page.evaluate(() => performance.now());
  await chunk(colours, {
    index: 1,
    start_frame: 1,
    num_frames: 5,
    answers: [{ id: 0, t_ms: sent - 100, first: true }],
  });
  await page.waitForFunction(() => window.motionstreamLive.shown.frame === 4);
  const [delay, took, pixel] = await page.evaluate(
    (sent) => [
      window.motionstreamLive.delays[0],
      performance.now() - sent,
      [...window.motionstreamLive.pixels().data.slice(0, 3)],
    ],
    sent,
  );
  assert.ok(delay >= 100 && delay < 100 + took, `${delay} of ${took}`);
  assert.ok(took > 3 * 62.5 - 20, `${took}`);
  assert.ok(pixel[0] > 243 && pixel[1] > 243 && pixel[2] < 12, `${pixel}`);
  await page.waitForFunction(() => /\d ms from drag/.test(document.querySelector(".mste-hud").textContent));
  assert.match(
    await page.locator(".mste-hud").textContent(),
    /16\.0 fps made.*210 ms a chunk.*\d+ ms from drag to picture.*812 MB/,
  );
  assert.deepEqual(problems, []);
});

test("the prompt, its words, and what the server does not take", options, async () => {
  const prompt = page.getByLabel("Prompt", { exact: true });
  assert.equal(await prompt.inputValue(), "red ball");
  await prompt.fill("red ball ");
  const offered = await page.evaluate(() => [...document.querySelector("datalist").options].map(({ value }) => value));
  assert.deepEqual(offered, ["red ball red", "red ball ball", "red ball rolls"]);
  await page.getByLabel("Chunks over which").fill("4");
  await page.getByLabel("Chunks over which").press("Tab");
  await prompt.press("Enter");
  assert.deepEqual(await said(), [{ type: "prompt", text: "red ball ", blend_chunks: 4 }]);
  await page.evaluate(() =>
    window.FakeSocket.all[0].tell({
      type: "error",
      field: "prompt",
      message: "The model does not know the word 'ufo'",
    }),
  );
  await still();
  assert.equal(await words(), "The model does not know the word 'ufo'");
  await page.keyboard.press("Enter"); // the keyboard is the picture's again
  assert.deepEqual(await said(), [{ type: "start" }]);
});

test("who watches sees it all, holds nothing, and may ask to steer", options, async () => {
  await change({ steering: false, watchers: 1 });
  await still();
  await page.mouse.move(...(await place(64, 48)));
  await page.mouse.down();
  await page.mouse.up();
  await page.keyboard.press("Enter");
  assert.deepEqual(await said(), []);
  await button("asked to hand over").click();
  assert.deepEqual(await said(), [{ type: "take" }]);
  await change({ steering: true, asked: true });
  await still();
  await button("Somebody else steers from now on").click();
  assert.deepEqual(await said(), [{ type: "yield" }]);
  assert.deepEqual(problems, []);
});

test("a picture that is dropped begins another session; a lost line comes back with its hands", options, async () => {
  await page.evaluate(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["x"], "cat.png", { type: "image/png" }));
    const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
    window.motionstreamLive.editor.surface.element.dispatchEvent(drop);
  });
  await page.waitForFunction(() => window.FakeSocket.all.length === 2 && window.motionstreamLive.session.isOpen);
  assert.deepEqual(asked.slice(1), ["POST image,cat.png"]);
  assert.match(await page.evaluate(() => window.FakeSocket.all[1].url), /live\/from_picture\?token=t0$/);
  await page.mouse.move(...(await place(40, 40)));
  await page.mouse.down();
  await page.evaluate(() => window.FakeSocket.all[1].onclose({ code: 1006, reason: "" }));
  await page.waitForFunction(() => window.FakeSocket.all.length === 3 && window.motionstreamLive.session.isOpen);
  const [again] = await said();
  assert.deepEqual([again.type, again.id, again.grid.columns], ["samples", 0, 5]);
  await page.mouse.up();
  assert.deepEqual(problems, []);
});

test(
  "in a node the stage opens for its own session alone, in a subgraph too, and goes to the node of an undo, or ends",
  options,
  async () => {
    const seen = await page.evaluate(async () => {
      const { attachLive } = await import("/js/live/widget.js");
      const box = document.createElement("div");
      box.style.cssText = "position: fixed; left: 0; top: 0; width: 560px; height: 640px; z-index: 5";
      document.body.append(box);
      const node = { id: 5, size: [100, 100], widgets: [], setSize: (size) => (node.size = size) };
      node.addDOMWidget = (_name, _type, element) => {
        box.append(element);
        return {};
      };
      const inner = { getNodeById: (id) => (id === 5 ? node : null) };
      const rootGraph = {
        getNodeById: (id) => (id === 12 ? { id: 12, subgraph: inner } : id === 5 ? { id: 5 } : null),
      };
      const api = Object.assign(new EventTarget(), { apiURL: (path) => `/pre/api${path}` });
      attachLive(node, { rootGraph }, api);
      const tell = (detail) => api.dispatchEvent(new CustomEvent("motionstream.live", { detail }));
      const text = box.textContent;
      const count = () => window.FakeSocket.all.length;
      const before = count();
      tell({ node: "5", session: "x", state: "open" });
      const others = count() - before;
      tell({ node: "12:5", session: "y", state: "open" });
      tell({ node: "12:5", session: "y", state: "open" });
      await new Promise((done) => setTimeout(done, 400));
      const stage = box.querySelector(".mste");
      tell({ node: "12:5", session: "y", state: "closed" });
      tell({ node: "12:5", session: "z", state: "open" });
      await new Promise((done) => setTimeout(done, 400));
      const urls = window.FakeSocket.all.slice(before).map(({ url }) => new URL(url).pathname);
      const isSame = box.querySelector(".mste") === stage;
      const isClosed = () => window.FakeSocket.all.at(-1).readyState === 3;
      node.onRemoved();
      const next = { ...node, onConfigure: undefined, onAdded: undefined, onRemoved: undefined };
      attachLive(next, { rootGraph }, api); // what an undo of the graph puts in its place
      next.onConfigure();
      await new Promise((done) => setTimeout(done, 2300));
      const isKept = box.querySelector(".mste") === stage && !isClosed();
      next.onRemoved();
      await new Promise((done) => setTimeout(done, 2300));
      const left = box.querySelectorAll(".mste").length;
      return { text, others, urls, isSame, isKept, isClosed: isClosed(), size: node.size, left };
    });
    assert.match(seen.text, /Run the workflow: the stage opens here/);
    assert.deepEqual(seen.urls, ["/pre/api/motionstream/live/y", "/pre/api/motionstream/live/z"]);
    assert.deepEqual([seen.others, seen.isSame, seen.isKept, seen.isClosed, seen.left], [0, true, true, true, 0]);
    assert.deepEqual(seen.size, [760, 1000]);
    assert.deepEqual(problems, []);
  },
);
