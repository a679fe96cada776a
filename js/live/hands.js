/** Hands on the picture: which are there, where, with which grid, and under which number the server knows them. */

import { MAX_HANDS } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").Sample} Sample
 * @typedef {import("./protocol.js").Grid} Grid
 * @typedef {{readonly id: number, readonly grid: Grid, readonly at: Sample}} Hand
 * @typedef {Pick<import("./connection.js").Connection, "begin" | "move" | "release">} Outgoing
 * @typedef {string | number} Key  of a pointer, the keyboard, an anchor
 */

const GRID_SIDE = 5;
/** A grid smaller than this is one point. */
const MIN_GRID_PX = 2;

/** A square grid of `size` px of the frame. @type {(size: number) => Grid} */
export function gridOfSize(size) {
  if (size <= MIN_GRID_PX) return { columns: 1, rows: 1, dx: 0, dy: 0 };
  const step = size / (GRID_SIDE - 1);
  return { columns: GRID_SIDE, rows: GRID_SIDE, dx: step, dy: step };
}

/** The size after turning the wheel by `factor`. @type {(size: number, factor: number, frame: import("../track_editor/curve/geometry.js").Size) => number} */
export const resized = (size, factor, { width, height }) =>
  Math.min(Math.max(size * factor, MIN_GRID_PX), Math.min(width, height));

export class Hands {
  /** @type {Map<Key, Hand>} */
  held = new Map();
  nextId = 0;

  /** @param {() => Outgoing | null} outgoing  null while there is no session */
  constructor(outgoing) {
    this.outgoing = outgoing;
  }

  /** Whether there was a number left for it. @type {(key: Key, at: Sample, grid: Grid) => boolean} */
  begin(key, at, grid) {
    this.release(key);
    const id = this.freeId();
    if (id === null) return false;
    this.held.set(key, { id, grid, at });
    this.outgoing()?.begin(id, [at], grid);
    return true;
  }

  /** A number just let go is used again as late as can be: the server may still be busy with it. */
  freeId() {
    const taken = new Set([...this.held.values()].map(({ id }) => id));
    for (let step = 0; step < MAX_HANDS; step++) {
      const id = (this.nextId + step) % MAX_HANDS;
      if (taken.has(id)) continue;
      this.nextId = id + 1;
      return id;
    }
    return null;
  }

  /** @type {(key: Key, samples: readonly Sample[]) => void} */
  move(key, samples) {
    const hand = this.held.get(key);
    if (!hand || !samples.length) return;
    this.held.set(key, { ...hand, at: samples[samples.length - 1] });
    this.outgoing()?.move(hand.id, samples);
  }

  /** @type {(key: Key) => void} */
  release(key) {
    const hand = this.held.get(key);
    if (!hand) return;
    this.held.delete(key);
    this.outgoing()?.release(hand.id);
  }

  /** The server may not know them: after the connection was lost. @type {(now: number) => void} */
  sayAgain(now) {
    for (const { id, grid, at } of this.held.values()) this.outgoing()?.begin(id, [[at[0], at[1], now]], grid);
  }

  /** None is there any more, and nobody is told. */
  forget() {
    this.held.clear();
  }
}
