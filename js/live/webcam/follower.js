/** A square that goes along with what moves in it, from picture to picture of a camera. */

import { pyramidOf, shiftOf } from "./flow.js";

/**
 * @typedef {import("./flow.js").Grey} Grey
 * @typedef {import("./flow.js").Pyramid} Pyramid
 * @typedef {import("./flow.js").Shift} Shift
 */

/** Side of the square, as a share of the picture's shorter side. */
const SQUARE = 1 / 3;
const POINTS = 8;
/** What all of it has moved by before it is told; a point that moved by less than half of it rests. */
const MOVED_PX = 0.4;
/** So many points must have moved, and so many of them together. */
const MIN_POINTS = 5;
const TOGETHER = 0.5;
const TOGETHER_PX = 1;
/** Pictures for which what moves slowly is waited for. */
const PATIENCE = 8;
/** Pictures without motion in the square, after which it goes to what moves elsewhere: five seconds. */
const GIVEN_UP = 150;
/** Pictures that a thing has to be gone. */
const LEAVING = 15;
/** Mean change of a place of the picture, out of 255, by which something moves there. */
const CHANGED = 4;
/** The level of the pyramid at which that is looked for. */
const SEEK_LEVEL = 2;

export class Follower {
  /** Middle of the square, px of the picture. */
  x = 0;
  y = 0;
  side = 0;
  /** Pictures for which nothing has moved in the square. */
  still = GIVEN_UP;
  /** What the present picture is compared with. @type {Pyramid | null} */
  reference = null;
  age = 0;

  /** Whether the square waits for something that moves, anywhere. */
  get isSeeking() {
    return this.still >= GIVEN_UP;
  }

  /** The square is put there, and follows what is in it. @type {(x: number, y: number) => void} */
  place(x, y) {
    [this.x, this.y] = [x, y];
    this.still = 0;
    this.reference = null;
  }

  /** By how much what the square follows has moved since it did last; null where it has not. @type {(grey: Grey) => Shift | null} */
  push(grey) {
    const now = pyramidOf(grey);
    this.fit(grey);
    const { reference } = this;
    const shift = reference && !this.isSeeking ? this.shift(reference, now) : null;
    this.still = shift ? 0 : this.still + 1;
    if (reference && this.isSeeking) this.seek(reference, now);
    if (!reference || shift || ++this.age >= PATIENCE) [this.reference, this.age] = [now, 0];
    if (!shift) return null;
    this.x += shift.dx;
    this.y += shift.dy;
    if (!isInside(this, grey)) this.still = GIVEN_UP - LEAVING; // it leaves the picture
    return shift;
  }

  /** @type {(grey: Grey) => void} */
  fit({ width, height }) {
    const side = Math.round(Math.min(width, height) * SQUARE);
    if (side === this.side) return;
    this.side = side;
    if (this.isSeeking) [this.x, this.y] = [width / 2, height / 2];
  }

  /** Of the points of the square that moved, those that did together. @type {(from: Pyramid, to: Pyramid) => Shift | null} */
  shift(from, to) {
    const moved = [];
    for (let row = 0; row < POINTS; row++)
      for (let column = 0; column < POINTS; column++) {
        const at = (/** @type {number} */ k) => ((k + 0.5) / POINTS - 0.5) * this.side;
        const shift = shiftOf(from, to, this.x + at(column), this.y + at(row));
        if (shift && Math.hypot(shift.dx, shift.dy) >= MOVED_PX / 2) moved.push(shift);
      }
    const [dx, dy] = [middle(moved.map((each) => each.dx)), middle(moved.map((each) => each.dy))];
    const together = moved.filter((each) => Math.hypot(each.dx - dx, each.dy - dy) < TOGETHER_PX);
    if (together.length < Math.max(MIN_POINTS, TOGETHER * moved.length) || Math.hypot(dx, dy) < MOVED_PX) return null;
    return { dx, dy }; // the middle one: points at the rim of a thing are held back by what is behind it
  }

  /** The square goes where most has changed, if enough has. @type {(from: Pyramid, to: Pyramid) => void} */
  seek(from, to) {
    const [before, after] = [from[SEEK_LEVEL], to[SEEK_LEVEL]];
    const scale = from[0].width / before.width;
    const reach = Math.max(1, Math.round(this.side / scale / 2));
    let best = { change: CHANGED, x: 0, y: 0 };
    for (let y = reach; y < before.height - reach; y++)
      for (let x = reach; x < before.width - reach; x++) {
        const change = meanChange(before, after, x, y, reach);
        if (change > best.change) best = { change, x, y };
      }
    if (best.change > CHANGED) this.place((best.x + 0.5) * scale, (best.y + 0.5) * scale);
  }
}

/** Whether enough of a square is in the picture to be followed. @type {(square: {x: number, y: number, side: number}, size: {width: number, height: number}) => boolean} */
const isInside = ({ x, y, side }, { width, height }) =>
  side / 4 < x && x < width - side / 4 && side / 4 < y && y < height - side / 4;

/** @type {(before: Grey, after: Grey, x: number, y: number, reach: number) => number} */
function meanChange(before, after, x, y, reach) {
  let sum = 0;
  for (let row = y - reach; row <= y + reach; row++)
    for (let column = x - reach; column <= x + reach; column++) {
      const at = row * before.width + column;
      sum += Math.abs(after.data[at] - before.data[at]);
    }
  return sum / (2 * reach + 1) ** 2;
}

/** @type {(values: number[]) => number} */
const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
