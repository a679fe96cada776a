// What moves in front of a webcam: pictures made here with motions that are known.
import assert from "node:assert/strict";
import { test } from "node:test";

import { greyOf, pyramidOf, shiftOf } from "../../js/live/webcam/flow.js";
import { Follower } from "../../js/live/webcam/follower.js";
import { scene } from "./page/camera_scene.js";

const BLANK = { width: 160, height: 120, data: new Float32Array(160 * 120).fill(90) };

/** All that was followed along the scenes. */
function followed(follower, scenes) {
  let [dx, dy] = [0, 0];
  for (const each of scenes) {
    const shift = follower.push(each);
    dx += shift?.dx ?? 0;
    dy += shift?.dy ?? 0;
  }
  return [dx, dy];
}

const near = (actual, expected, by) =>
  assert.ok(Math.hypot(actual[0] - expected[0], actual[1] - expected[1]) < by, `${actual} for ${expected}`);

const still = (count, x = 80, y = 60) => Array(count).fill(scene(x, y));
const way = (from, to, count) =>
  Array.from({ length: count }, (_, i) => {
    const share = (i + 1) / count;
    return scene(from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1]));
  });

test("a point is followed over a fraction of a pixel and over many", () => {
  const from = pyramidOf(scene(80, 60));
  for (const [dx, dy] of [
    [0.3, -0.6],
    [2.25, 1.5],
    [-9.4, 5.2],
  ]) {
    const shift = shiftOf(from, pyramidOf(scene(80 + dx, 60 + dy)), 84, 57);
    near([shift.dx, shift.dy], [dx, dy], 0.1);
  }
});

test("nothing is told of a blank wall, of a place at the edge, or of what is no longer there", () => {
  const [from, blank] = [pyramidOf(scene(80, 60)), pyramidOf(BLANK)];
  assert.equal(shiftOf(blank, blank, 80, 60), null);
  assert.equal(shiftOf(from, from, 1, 60), null);
  assert.equal(shiftOf(from, blank, 80, 60), null);
});

test("grey is the luma of the colours", () => {
  const { data } = greyOf({ width: 2, height: 1, data: [255, 0, 0, 255, 10, 20, 30, 255] });
  assert.ok(Math.abs(data[0] - 76.245) < 1e-3 && Math.abs(data[1] - 18.15) < 1e-3, `${data}`);
});

test("the square goes where the thing in it goes, quickly, slowly and there and back", () => {
  const follower = new Follower();
  followed(follower, still(2));
  follower.place(80, 60);
  near(followed(follower, [...still(3), ...way([80, 60], [115, 40], 14)]), [35, -20], 1.5);
  near([follower.x, follower.y], [115, 40], 1.5);
  near(followed(follower, way([115, 40], [105, 46], 120)), [-10, 6], 1.5); // a tenth of a pixel at a time
  near(followed(follower, way([105, 46], [40, 60], 10)), [-65, 14], 3);
  near(followed(follower, still(200, 40, 60)), [0, 0], 0.5);
});

test("the square seeks what moves, wherever it is, and again when that has left the picture", () => {
  const follower = new Follower();
  followed(follower, still(5, 40, 80));
  assert.ok(follower.isSeeking);
  followed(follower, way([40, 80], [70, 80], 12));
  assert.ok(!follower.isSeeking);
  near([follower.x, follower.y], [70, 80], 12);
  followed(follower, [...way([70, 80], [185, 80], 30), ...still(20, 185, 80)]);
  assert.ok(follower.isSeeking);
  followed(follower, still(3, 120, 30));
  near(followed(follower, way([120, 30], [100, 50], 15)), [-20, 20], 9); // but for what it took to find it
  near([follower.x, follower.y], [100, 50], 12);
});

test("another light, and something that passes beside the square, are no motion", () => {
  const follower = new Follower();
  followed(follower, still(2));
  follower.place(80, 60);
  const dusk = Array.from({ length: 30 }, (_, i) => scene(80, 60, { light: -i }));
  near(followed(follower, [...still(2), ...dusk]), [0, 0], 0.5);
  follower.place(30, 60);
  const passing = Array.from({ length: 20 }, (_, i) => scene(100 + 2 * i, 60, { light: -29 }));
  near(followed(follower, passing), [0, 0], 0.5);
});
