// Pictures of a stream played against a clock that the test turns.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../../js/live/player.js";
import { median } from "../../js/live/screen.js";

const PAGE_MS = 1000 / 60;

/** Chunk `index` of four pictures, named by their frames. */
const chunk = (index, more = {}) => {
  const startFrame = more.startFrame ?? index * 4;
  return {
    pictures: [0, 1, 2, 3].map((i) => startFrame + i),
    index,
    startFrame,
    frameMs: 50,
    reset: false,
    ...more,
  };
};

/** What is shown from `from` to `to` ms, page frame by page frame, as [ms, frame]; `at` pushes chunks when their time comes. */
function play(player, from, to, at = {}) {
  const coming = Object.entries(at).map(([ms, value]) => [Number(ms), value]);
  const seen = [];
  for (let now = from; now < to; now += PAGE_MS) {
    while (coming.length && coming[0][0] <= now) player.push(coming.shift()[1], now);
    const shown = player.tick(now);
    if (shown) seen.push([now, shown.frame]);
  }
  return seen;
}

const gaps = (seen) => seen.slice(1).map(([ms], i) => ms - seen[i][0]);

test("pictures stand as long as their chunk says, to a page frame, over chunks that come in time", () => {
  const at = Object.fromEntries([0, 1, 2, 3, 4, 5].map((i) => [i * 200, chunk(i)]));
  const seen = play(new Player(), 0, 1150, at);
  assert.deepEqual(
    seen.map(([, frame]) => frame),
    Array.from({ length: seen.length }, (_, i) => i),
  );
  assert.ok(seen.length >= 22, `${seen.length}`);
  for (const gap of gaps(seen)) assert.ok(Math.abs(gap - 50) <= PAGE_MS + 1e-6, `${gap}`);
  assert.ok(Math.abs(seen.at(-1)[0] - seen[0][0] - 50 * (seen.length - 1)) <= PAGE_MS + 1e-6);
});

test("a queue that runs dry waits, and goes on evenly from what comes", () => {
  const player = new Player();
  const seen = play(player, 0, 1000, { 0: chunk(0), 500: chunk(1) });
  assert.deepEqual(
    seen.map(([, frame]) => frame),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
  const [first, ...later] = seen.slice(4).map(([ms]) => ms);
  assert.ok(first >= 500 && first < 500 + 2 * PAGE_MS, `${first}`);
  later.forEach((ms, i) => {
    assert.ok(Math.abs(ms - first - 50 * (i + 1)) <= PAGE_MS + 1e-6, `${ms}`);
  });
});

test("a reset drops what waits and shows the new picture at once", () => {
  const gone = [];
  const player = new Player((picture) => gone.push(picture));
  play(player, 0, 60, { 0: chunk(0) });
  player.push(chunk(7, { startFrame: 1, pictures: [100, 101], reset: true }), 60);
  const shown = player.tick(60);
  assert.deepEqual([shown.picture, shown.frame, shown.index, shown.isFirst], [100, 1, 7, true]);
  assert.deepEqual(gone, [2, 3]);
  assert.equal(player.tick(100), null);
  assert.equal(player.tick(111).picture, 101);
});

test("after a pause of the page it goes on with the picture of that moment, and tells of the skipped", () => {
  const gone = [];
  const player = new Player((picture) => gone.push(picture));
  player.push(chunk(0), 0);
  player.push(chunk(1), 0);
  assert.equal(player.tick(0).frame, 0);
  const shown = player.tick(275);
  assert.deepEqual([shown.frame, shown.isFirst], [5, true]);
  assert.deepEqual(gone, [1, 2, 3, 4]);
  assert.equal(player.tick(299 - 4), null);
  assert.equal(player.tick(300).frame, 6);
});

test("what one late chunk left waiting is caught up, a little faster, and never more than a tenth", () => {
  const player = new Player();
  // Chunks every 200 ms but for one that is 300 ms late, after which the others come in time again.
  const at = {};
  for (let i = 0; i < 60; i++) at[i * 200 + (i === 3 ? 300 : i === 4 ? 101 : 0)] = chunk(i);
  const seen = play(player, 0, 12_000, at);
  assert.equal(player.numSkipped, 0);
  const lag = (frame) => seen.find(([, each]) => each === frame)[0] - frame * 50;
  assert.ok(lag(20) > 250, `${lag(20)}`);
  assert.ok(lag(220) < 120, `${lag(220)}`);
  for (const gap of gaps(seen.slice(30))) assert.ok(gap > 50 / 1.1 - PAGE_MS - 1e-6, `${gap}`);
});

test("a page that is hidden keeps four seconds at most", () => {
  const player = new Player();
  for (let i = 0; i < 50; i++) player.push(chunk(i), i * 200);
  assert.ok(player.waitingMs(10_000) <= 4000);
  assert.equal(player.queue.at(-1).frame, 199);
});

test("pictures shown per second, and the median", () => {
  const player = new Player();
  play(player, 0, 900, Object.fromEntries([0, 1, 2, 3, 4].map((i) => [i * 200, chunk(i)])));
  assert.ok(Math.abs(player.rate(900) - 20) < 1, `${player.rate(900)}`);
  assert.equal(player.rate(5000), 0);
  assert.deepEqual([median([]), median([3, 1, 2]), median([4, 1, 2, 3])], [null, 2, 2.5]);
});
