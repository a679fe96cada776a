/**
 * How what a small grey picture shows has moved in another one: points followed by the method of Lucas and Kanade over a
 * pyramid (Bouguet 2001), there and back again, so that a point that was lost is known to be.
 */

/**
 * data: one value from 0 to 255 for each pixel, row by row.
 * @typedef {{readonly width: number, readonly height: number, readonly data: Float32Array}} Grey
 * @typedef {readonly Grey[]} Pyramid  from the picture itself to the smallest
 * @typedef {{readonly dx: number, readonly dy: number}} Shift  px of the picture
 */

const LEVELS = 4;
const RADIUS = 3;
const SIDE = 2 * RADIUS + 1;
const MAX_STEPS = 10;
const DONE_PX = 0.02;
/** A patch whose least gradient, squared and averaged, is below this looks alike in some direction. */
const MIN_TEXTURE = 5;
/** There and back again a point comes back to where it was, or was lost. */
const MAX_RETURN_PX = 0.5;

/** From RGBA, by the luma of Rec. 601. @type {(picture: {width: number, height: number, data: ArrayLike<number>}) => Grey} */
export function greyOf({ width, height, data }) {
  const grey = new Float32Array(width * height);
  for (let i = 0, at = 0; i < grey.length; i++, at += 4)
    grey[i] = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
  return { width, height, data: grey };
}

/** @type {(grey: Grey) => Pyramid} */
export function pyramidOf(grey) {
  const levels = [grey];
  while (levels.length < LEVELS) levels.push(halved(levels[levels.length - 1]));
  return levels;
}

/** @type {(grey: Grey) => Grey} */
function halved({ width, height, data }) {
  const [w, h] = [width >> 1, height >> 1];
  const half = new Float32Array(w * h);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const at = 2 * y * width + 2 * x;
      half[y * w + x] = (data[at] + data[at + 1] + data[at + width] + data[at + width + 1]) / 4;
    }
  return { width: w, height: h, data: half };
}

/** By how much the point (x, y) of one picture has moved in the other; null where that cannot be told. @type {(from: Pyramid, to: Pyramid, x: number, y: number) => Shift | null} */
export function shiftOf(from, to, x, y) {
  const there = oneWay(from, to, x, y);
  if (!there) return null;
  const back = oneWay(to, from, x + there.dx, y + there.dy);
  const isBack = back && Math.hypot(there.dx + back.dx, there.dy + back.dy) < MAX_RETURN_PX;
  return isBack ? there : null;
}

/** @type {(from: Pyramid, to: Pyramid, x: number, y: number) => Shift | null} */
function oneWay(from, to, x, y) {
  let [dx, dy] = [0, 0];
  for (let level = from.length - 1; level >= 0; level--) {
    const scale = 0.5 ** level;
    const found = refined(from[level], to[level], (x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, dx, dy);
    if (found) ({ dx, dy } = found);
    else if (level === 0) return null; // a coarse picture may well show nothing of it
    if (level) [dx, dy] = [2 * dx, 2 * dy];
  }
  return { dx, dy };
}

/** @type {(from: Grey, to: Grey, x: number, y: number, dx: number, dy: number) => Shift | null} */
function refined(from, to, x, y, dx, dy) {
  const patch = texture(from, x, y);
  if (!patch) return null;
  const { values, gx, gy, xx, xy, yy } = patch;
  const determinant = xx * yy - xy * xy;
  const seen = new Float32Array(SIDE * SIDE);
  for (let step = 0; step < MAX_STEPS; step++) {
    if (!sample(to, x + dx, y + dy, RADIUS, seen)) return null;
    center(seen); // another brightness is no motion
    let [bx, by] = [0, 0];
    for (let i = 0; i < seen.length; i++) {
      const error = values[i] - seen[i];
      bx += error * gx[i];
      by += error * gy[i];
    }
    const [sx, sy] = [(yy * bx - xy * by) / determinant, (xx * by - xy * bx) / determinant];
    dx += sx;
    dy += sy;
    if (Math.hypot(sx, sy) < DONE_PX) break;
  }
  return { dx, dy };
}

/** A patch about (x, y), its gradients, both without their means, and the gradients' second moments; null where it shows too little. @type {(grey: Grey, x: number, y: number) => {values: Float32Array, gx: Float32Array, gy: Float32Array, xx: number, xy: number, yy: number} | null} */
function texture(grey, x, y) {
  const wide = SIDE + 2;
  const around = new Float32Array(wide * wide);
  if (!sample(grey, x, y, RADIUS + 1, around)) return null;
  const [values, gx, gy] = [0, 1, 2].map(() => new Float32Array(SIDE * SIDE));
  for (let row = 0, i = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++, i++) {
      const at = (row + 1) * wide + column + 1;
      values[i] = around[at];
      gx[i] = (around[at + 1] - around[at - 1]) / 2;
      gy[i] = (around[at + wide] - around[at - wide]) / 2;
    }
  for (const each of [values, gx, gy]) center(each);
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    xx += gx[i] * gx[i];
    xy += gx[i] * gy[i];
    yy += gy[i] * gy[i];
  }
  const least = (xx + yy - Math.hypot(xx - yy, 2 * xy)) / 2;
  return least < MIN_TEXTURE * values.length ? null : { values, gx, gy, xx, xy, yy };
}

/** @type {(values: Float32Array) => void} */
function center(values) {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  for (let i = 0; i < values.length; i++) values[i] -= mean;
}

/** The pixels about (x, y) into `out`, between pixels linearly; false where they are not all in the picture. @type {(grey: Grey, x: number, y: number, radius: number, out: Float32Array) => boolean} */
function sample({ width, height, data }, x, y, radius, out) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  if (!(left >= radius && top >= radius && left + radius + 1 < width && top + radius + 1 < height)) return false;
  const [fx, fy] = [x - left, y - top];
  for (let row = -radius, i = 0; row <= radius; row++) {
    let at = (top + row) * width + left - radius;
    for (let column = -radius; column <= radius; column++, i++, at++) {
      const upper = data[at] + fx * (data[at + 1] - data[at]);
      const lower = data[at + width] + fx * (data[at + width + 1] - data[at + width]);
      out[i] = upper + fy * (lower - upper);
    }
  }
  return true;
}
