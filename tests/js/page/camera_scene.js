// What a camera sees in tests: a thing before a wall, both with patterns of their own, and where it is is known.
import { closeSync, openSync, writeSync } from "node:fs";

/** A number from -1 to 1 for every whole place. */
const hashed = (x, y, seed) => {
  const value = Math.sin(x * 127.1 + y * 311.7 + seed * 74.7) * 43758.5453;
  return 2 * (value - Math.floor(value)) - 1;
};

/** Smooth noise, as large as `size` px. */
function noise(x, y, size, seed) {
  const [u, v] = [x / size, y / size];
  const [column, row] = [Math.floor(u), Math.floor(v)];
  const [fx, fy] = [u - column, v - row].map((f) => f * f * (3 - 2 * f));
  const at = (i, j) => hashed(column + i, row + j, seed);
  return (1 - fy) * ((1 - fx) * at(0, 0) + fx * at(1, 0)) + fy * ((1 - fx) * at(0, 1) + fx * at(1, 1));
}

/** What a surface looks like, defined between pixels too. */
const surface = (seed) => (x, y) => noise(x, y, 12, seed) + noise(x, y, 4, seed + 1);
const [wall, thing] = [surface(1), surface(4)];
const RADIUS = 22;

/** Grey (0 to 255), 160 x 120 or as many times more: a disc at (x, y), in px of the small picture. */
export function scene(x, y, { light = 0, times = 1 } = {}) {
  const [width, height] = [160 * times, 120 * times];
  const data = new Float32Array(width * height);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const [u, v] = [column / times, row / times];
      const isThing = Math.hypot(u - x, v - y) < RADIUS;
      data[row * width + column] = 120 + light + (isThing ? 60 * thing(u - x, v - y) : 30 * wall(u, v));
    }
  return { width, height, data };
}

/** A film for a browser's make-believe camera (YUV4MPEG2, 320 x 240, 30 frames a second): the disc at each place in turn. */
export function writeFilm(path, places) {
  const file = openSync(path, "w");
  writeSync(file, "YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n");
  const grey = new Uint8Array((320 * 240) / 2).fill(128);
  const seen = new Map(); // what rests is drawn once
  for (const [x, y] of places) {
    const key = `${x} ${y}`;
    if (!seen.has(key))
      seen.set(
        key,
        Uint8Array.from(scene(x, y, { times: 2 }).data, (value) => Math.max(0, Math.min(255, value))),
      );
    writeSync(file, "FRAME\n");
    writeSync(file, seen.get(key));
    writeSync(file, grey);
  }
  closeSync(file);
}
