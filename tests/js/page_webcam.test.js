// The live stage with a webcam, in Chromium, whose camera is a film made here: the grid goes where the thing in it went.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, missing, serve } from "./page/browser.js";
import { writeFilm } from "./page/camera_scene.js";

const FAKE_SOCKET = fileURLToPath(new URL("page/fake_socket.js", import.meta.url));
const skip = await missing();
if (skip) console.log(`# the webcam is not tested: ${skip}`);
const options = { skip: skip ?? false, timeout: 90_000 };

// Of 160 x 120 px: from here to there in a second and a half, back again, and rest between.
const [FROM, WAY] = [
  [60, 50],
  [45, 22.5],
];
const [REST, MOVE] = [30, 45];
const share = (i) => Math.min(1, Math.max(0, i / MOVE));
const there = Array.from({ length: REST + MOVE }, (_, i) => share(i - REST + 1));
const PLACES = [...there, ...there.map((each) => 1 - each)].map((s) => [FROM[0] + s * WAY[0], FROM[1] + s * WAY[1]]);

let folder;
let server;
const browsers = [];
const json = (answer, value) =>
  answer.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
const ROUTES = {
  "/": "js/live/page.html",
  "/motionstream/live/current": (_request, answer) => json(answer, { session: "s1" }),
};

before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), "webcam-"));
  writeFilm(join(folder, "camera.y4m"), PLACES);
  server = await serve(ROUTES);
});
after(async () => {
  for (const each of browsers) await each.close();
  server?.close();
  if (folder) rmSync(folder, { recursive: true });
});

/** The page in a browser with these arguments, at this machine's address or another one. */
async function opened(args, address = server.address) {
  const browser = await launch(args);
  browsers.push(browser);
  const page = await browser.newPage({ viewport: { width: 800, height: 660 } });
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  await page.addInitScript({ path: FAKE_SOCKET });
  await page.goto(address);
  await page.waitForFunction(
    () => window.motionstreamLive?.session.isOpen && window.motionstreamLive.editor.surface.size.width > 0,
  );
  await page.evaluate(() => window.FakeSocket.all.at(-1).chunk(["#305070"], { reset: true, num_frames: 1 }));
  return page;
}

const FAKE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
const words = (page) => page.locator(".mste-words").textContent();
const said = (page) => page.evaluate(() => window.FakeSocket.all.at(-1).sent.splice(0));

test(
  "the grid in hand goes where the thing before the webcam went, as in a mirror, and stays when it is off",
  options,
  async () => {
    const page = await opened([...FAKE, `--use-file-for-fake-video-capture=${join(folder, "camera.y4m")}`]);
    assert.ok(!(await page.locator(".mste-webcam").isVisible()));
    await page.keyboard.press("w");
    await page.locator(".mste-webcam-square[data-seeking=false]").waitFor(); // it has found what moves
    assert.match(await page.locator(".mste-webcam").textContent(), /stays in this page/);
    await page.keyboard.press("d");
    await page.waitForTimeout(1000); // the square is on the thing by then
    await said(page);
    await page.waitForTimeout((1000 * PLACES.length) / 30 + 2000);
    if (process.env.SHOT) await page.screenshot({ path: process.env.SHOT });
    const samples = (await said(page)).filter(({ type }) => type === "samples").flatMap((each) => each.samples);
    assert.ok(samples.length > 60, `${samples.length}`);
    const { width, height } = await page.evaluate(() => window.motionstreamLive.canvas);
    const scale = Math.max(width / 160, height / 120);
    const range = (axis) =>
      Math.max(...samples.map((each) => each[axis])) - Math.min(...samples.map((each) => each[axis]));
    const expected = WAY.map((each) => each * scale);
    for (const axis of [0, 1])
      assert.ok(Math.abs(range(axis) / expected[axis] - 1) < 0.03, `${range(axis)} px for ${expected[axis]}`);
    // To the right before the camera is to the left in the picture; all of the way is straight, there and back.
    const [x0, y0] = samples.reduce((a, b) => (a[0] > b[0] ? a : b));
    for (const [x, y] of samples) {
      const astray = (y - y0) * (WAY[0] / Math.hypot(...WAY)) + (x - x0) * (WAY[1] / Math.hypot(...WAY));
      assert.ok(Math.abs(astray) < 1.5, `${[x, y]} is ${astray} px beside the way from ${[x0, y0]}`);
    }
    await page.keyboard.press("w");
    assert.ok(!(await page.locator(".mste-webcam").isVisible()));
    assert.equal(await page.evaluate(() => window.motionstreamLive.webcam.video.srcObject), null);
    await said(page);
    await page.waitForTimeout(2500);
    assert.deepEqual(
      (await said(page)).filter(({ type }) => type !== "ping"),
      [],
    );
    await page.keyboard.press("d");
    assert.deepEqual(await said(page), [{ type: "release", id: 0 }]);
    assert.deepEqual(page.problems, []);
  },
);

test(
  "a click on the view says what is followed, and selected anchors go along instead of the crosshair",
  options,
  async () => {
    const page = await opened([...FAKE, `--use-file-for-fake-video-capture=${join(folder, "camera.y4m")}`]);
    await page.keyboard.press("a");
    await page.keyboard.press("d"); // an anchor in the middle, which is then selected
    await page.keyboard.press("w");
    await page.locator(".mste-webcam-square[data-seeking=false]").waitFor();
    await page.waitForTimeout(2500);
    const [first, ...moved] = (await said(page)).filter(({ type }) => type === "samples");
    assert.ok(first.grid && moved.length > 10 && moved.every(({ id }) => id === first.id));
    const box = await page.locator(".mste-webcam-view").boundingBox();
    const [x, y] = [box.x + box.width * 0.2, box.y + box.height * 0.85]; // the bare wall
    await page.mouse.click(x, y);
    await page.waitForTimeout(300);
    await said(page);
    await page.waitForTimeout(2500);
    assert.deepEqual(
      (await said(page)).filter(({ type }) => type === "samples"),
      [],
    );
    const square = await page.locator(".mste-webcam-square").boundingBox();
    assert.ok(Math.hypot(square.x + square.width / 2 - x, square.y + square.height / 2 - y) < 3);
    assert.deepEqual(page.problems, []);
  },
);

test("a stage that goes takes its webcam along, also while the browser still asks", options, async () => {
  for (const delay of [0, 500]) {
    const page = await opened([]);
    const state = await page.evaluate(async (delay) => {
      const stream = document.createElement("canvas").captureStream(30);
      const given = new Promise((done) => setTimeout(() => done(stream), delay));
      navigator.mediaDevices.getUserMedia = () => given;
      const { webcam } = window.motionstreamLive;
      const asking = webcam.toggle();
      if (!delay) await asking;
      const wasOn = webcam.isOn;
      window.motionstreamLive.end();
      await asking;
      return [wasOn, webcam.isOn, stream.getTracks()[0].readyState];
    }, delay);
    assert.deepEqual(state, [delay === 0, false, "ended"]);
    assert.deepEqual(page.problems, []);
  }
});

test("why there is no webcam is said in words", options, async () => {
  const none = await opened(["--use-fake-ui-for-media-stream"]);
  await none.getByRole("button", { name: "Webcam" }).click();
  await none.waitForFunction(() => /no webcam/.test(document.querySelector(".mste-words").textContent));
  const refused = await opened(["--use-fake-device-for-media-stream", "--deny-permission-prompts"]);
  await refused.keyboard.press("w");
  await refused.waitForFunction(() => /may not use the webcam/.test(document.querySelector(".mste-words").textContent));
  const open = await opened(
    ["--host-resolver-rules=MAP stage.test 127.0.0.1"],
    server.address.replace("127.0.0.1", "stage.test"),
  );
  await open.keyboard.press("w");
  assert.match(await words(open), /by https/);
  for (const page of [none, refused, open]) {
    assert.ok(!(await page.locator(".mste-webcam").isVisible()));
    assert.deepEqual(page.problems, []);
  }
});
