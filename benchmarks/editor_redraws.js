// Redraws a second of the trajectory editor in headless Chromium: 500 tracks of 50 points, on a page of its own.
//
//     node benchmarks/editor_redraws.js [tracks] [points]
//
// For every kind of work: the page's frames in 3 s, and the processor time of the page's main thread for one of them
// (with everything that the browser does there; what other processes take from the machine does not count). Up to
// 16.7 ms, 60 redraws a second are there on a free core.
import { launch, serve } from "../tests/js/page/browser.js";

const [numTracks, numPoints] = [Number(process.argv[2] ?? 500), Number(process.argv[3] ?? 50)];
const [browser, server] = await Promise.all([launch(), serve()]);
const page = await browser.newPage({ viewport: { width: 1000, height: 760 } });
await page.goto(`${server.address}/tests/js/page/editor.html`);
await page.waitForFunction(() => window.ready && window.editor.surface.size.width > 0);

const client = await page.context().newCDPSession(page);
await client.send("Performance.enable", { timeDomain: "threadTicks" });
await page.exposeFunction("threadMs", async () => {
  const { metrics } = await client.send("Performance.getMetrics");
  return 1000 * metrics.find(({ name }) => name === "TaskDuration").value;
});

const rows = await page.evaluate(
  async ([numTracks, numPoints]) => {
    const { editor } = window;
    window.canvas = { width: 832, height: 480, num_frames: 81, fps: 16 };
    editor.setText("");
    let seed = 7;
    const random = () => {
      seed = (seed * 16807) % 2147483647;
      return seed / 2147483647;
    };
    const tracks = Array.from({ length: numTracks }, () => {
      let [x, y, angle] = [random() * 832, random() * 480, random() * 7];
      const points = Array.from({ length: numPoints }, () => {
        angle += random() - 0.5;
        [x, y] = [x + 6 * Math.cos(angle), y + 6 * Math.sin(angle)];
        return [x, y];
      });
      return { kind: "path", interpolation: "catmull_rom", points, start: 0, duration: 80 };
    });
    const began = await window.threadMs();
    editor.model.add(tracks);
    const { model, surface } = editor;
    const nothing = { tracks: new Set(), points: new Map() };
    const pointer = (type, x, y) => {
      const box = surface.element.getBoundingClientRect();
      return surface.element.dispatchEvent(
        new PointerEvent(type, {
          clientX: box.left + x,
          clientY: box.top + y,
          pointerId: 1,
          pointerType: "mouse",
          bubbles: true,
          button: type === "pointermove" ? -1 : 0,
        }),
      );
    };
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const loaded = (await window.threadMs()) - began;
    surface.element.setPointerCapture = () => {};
    const middle = [surface.size.width / 2, surface.size.height / 2];
    const works = {
      playing: { every: (i) => model.setFrame(i % 81) },
      "pointer over the tracks": {
        every: (i) => pointer("pointermove", middle[0] + 90 * Math.sin(i / 9), middle[1] + 60 * Math.cos(i / 7)),
      },
      "dragging one track": {
        start: () => {
          model.select({ tracks: new Set(["t1"]), points: new Map() });
          const [x, y] = model.document.tracks[0].points[9];
          pointer("pointerdown", x * surface.view.scale + surface.view.x, y * surface.view.scale + surface.view.y);
        },
        every: (i) => pointer("pointermove", middle[0] + 90 * Math.sin(i / 9), middle[1] + 60 * Math.cos(i / 7)),
        stop: () => pointer("pointerup", ...middle),
      },
      panning: {
        every: (i) => {
          surface.view = { ...surface.view, x: 40 * Math.sin(i / 5) };
          model.changed();
        },
      },
      zooming: { every: (i) => surface.zoom(i % 40 < 20 ? 1.05 : 1 / 1.05), stop: () => surface.fit() },
      "a box over more and more tracks": {
        start: () => pointer("pointerdown", 1, 1),
        every: (i) => pointer("pointermove", (2 * middle[0] * (i % 100)) / 100, (2 * middle[1] * (i % 100)) / 100),
        stop: () => pointer("pointerup", 1, 1),
      },
      "dragging all tracks": {
        start: () => {
          model.run({ name: "select_all" });
          const [x, y] = model.document.tracks[0].points[9];
          pointer("pointerdown", x * surface.view.scale + surface.view.x, y * surface.view.scale + surface.view.y);
        },
        every: (i) => pointer("pointermove", middle[0] + 90 * Math.sin(i / 9), middle[1] + 60 * Math.cos(i / 7)),
        stop: () => pointer("pointerup", ...middle),
      },
    };
    const rows = [["loading and the first picture", "", loaded.toFixed(0)]];
    for (const [name, { start, every, stop }] of Object.entries(works)) {
      model.select(nothing);
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      start?.();
      await new Promise((done) => requestAnimationFrame(done));
      let frames = 0;
      const [from, busyBefore] = [performance.now(), await window.threadMs()];
      await new Promise((done) => {
        const step = () => {
          every(frames++);
          if (performance.now() - from < 3000) requestAnimationFrame(step);
          else done(undefined);
        };
        requestAnimationFrame(step);
      });
      rows.push([
        name,
        (frames / ((performance.now() - from) / 1000)).toFixed(1),
        (((await window.threadMs()) - busyBefore) / frames).toFixed(1),
      ]);
      stop?.();
    }
    return rows;
  },
  [numTracks, numPoints],
);
console.log(`${numTracks} tracks of ${numPoints} points`);
for (const [name, rate, busy] of rows)
  console.log(`${name.padEnd(32)} ${rate.padStart(6)} redraws/s  ${busy.padStart(6)} ms`);
await browser.close();
server.close();
