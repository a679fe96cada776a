/**
 * What is to be sent, in order. Places of a hand that wait are sent together; where they wait for long, the newest win:
 * what the hand did before nobody can see any more.
 */

import { MAX_SAMPLES } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Sample} Sample
 * @typedef {import("./protocol.js").Grid} Grid
 */

export class Outbox {
  /** @type {Message[]} */
  waiting = [];

  /** @type {(id: number, samples: readonly Sample[], grid?: Grid) => void} */
  samples(id, samples, grid) {
    const at = this.waiting.findLastIndex((each) => "id" in each && each.id === id);
    const before = this.waiting[at];
    if (before?.type === "samples" && !grid) {
      this.waiting[at] = { ...before, samples: [...before.samples, ...samples].slice(-MAX_SAMPLES) };
    } else {
      this.waiting.push({ type: "samples", id, ...(grid && { grid }), samples: samples.slice(-MAX_SAMPLES) });
    }
  }

  /** @type {(message: Message) => void} */
  add(message) {
    this.waiting.push(message);
  }

  /** Everything, which then waits no more. @type {() => Message[]} */
  take() {
    const taken = this.waiting;
    this.waiting = [];
    return taken;
  }

  /** Nobody is there to hear it: only that hands were let go is still to be said. */
  forget() {
    this.waiting = this.waiting.filter(({ type }) => type === "release");
  }
}
