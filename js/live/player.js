/**
 * Chunks played evenly: every picture stands as long as its chunk says. Where the next one is not there yet the last one
 * stays, and from the one that comes all goes on evenly. What a late chunk left behind in waiting is caught up by
 * playing a little faster, so that the delay from hand to picture does not grow.
 */

/**
 * @template P
 * @typedef {{pictures: readonly P[], index: number, startFrame: number, frameMs: number, reset: boolean}} Chunk
 */

/**
 * isFirst: no picture of its chunk was shown before.
 * @template P
 * @typedef {{picture: P, index: number, frame: number, isFirst: boolean}} Shown
 */

/**
 * @template P
 * @typedef {{picture: P, index: number, frame: number, ms: number}} Waiting
 */

/** A page frame may come this much early. */
const TOLERANCE_MS = 4;
/** What may wait while a page is hidden. */
const MAX_WAITING_MS = 4000;
/** What should still be waiting when the next chunk comes: against chunks that come unevenly. */
const CUSHION_MS = 40;
const SLACKS = 4;
const MAX_HASTE = 0.1;
const RATE_MS = 2000;

/** @template P */
export class Player {
  /** @type {Waiting<P>[]} */
  queue = [];
  /** When the next picture is due; null while there has been none. @type {number | null} */
  due = null;
  /** How much was still waiting when each of the last chunks came. @type {number[]} */
  slacks = [];
  /** The index of the last chunk shown. */
  chunk = -1;
  /** @type {number[]} */
  shownAt = [];
  numSkipped = 0;

  /** @param {(picture: P) => void} [skipped]  told of every picture that is not going to be shown */
  constructor(skipped = () => {}) {
    this.skipped = skipped;
  }

  /** @type {(chunk: Chunk<P>, now: number) => void} */
  push({ pictures, index, startFrame, frameMs, reset }, now) {
    if (reset) {
      this.clear();
      this.due = now;
    } else this.slacks = [...this.slacks, this.waitingMs(now)].slice(-SLACKS);
    if (!this.queue.length && this.due !== null) this.due = Math.max(this.due, now);
    pictures.forEach((picture, i) => {
      this.queue.push({ picture, index, frame: startFrame + i, ms: frameMs });
    });
    while (this.queue.length > 1 && this.queueMs > MAX_WAITING_MS) this.skip();
  }

  /** The picture that is to be shown from now on; null where the one shown stays. @type {(now: number) => Shown<P> | null} */
  tick(now) {
    if (!this.queue.length || (this.due !== null && now < this.due - TOLERANCE_MS)) return null;
    let due = this.due ?? now;
    // After a pause of the page itself: on with the picture of this moment.
    while (this.queue.length > 1 && due + this.stepOf(this.queue[0]) <= now) {
      due += this.stepOf(this.queue[0]);
      this.skip();
    }
    const [next] = this.queue.splice(0, 1);
    const isLate = due + this.stepOf(next) <= now;
    this.due = (isLate ? now : due) + this.stepOf(next);
    const isFirst = next.index !== this.chunk;
    this.chunk = next.index;
    this.shownAt = [...this.shownAt.filter((each) => now - each < RATE_MS), now];
    return { picture: next.picture, index: next.index, frame: next.frame, isFirst };
  }

  clear() {
    while (this.queue.length) this.skip();
    this.slacks = [];
    this.due = null;
    this.chunk = -1;
  }

  skip() {
    const [gone] = this.queue.splice(0, 1);
    this.numSkipped++;
    this.skipped(gone.picture);
  }

  /** @type {(waiting: Waiting<P>) => number} */
  stepOf({ ms }) {
    const spare = this.slacks.length < SLACKS ? 0 : Math.min(...this.slacks) - CUSHION_MS;
    return ms / (1 + Math.min(MAX_HASTE, Math.max(0, spare / 1000)));
  }

  get queueMs() {
    return this.queue.reduce((sum, { ms }) => sum + ms, 0);
  }

  /** Until nothing is left to show. @type {(now: number) => number} */
  waitingMs(now) {
    return this.queueMs + Math.max(0, (this.due ?? now) - now);
  }

  /** Pictures per second over the last two seconds. @type {(now: number) => number} */
  rate(now) {
    const times = this.shownAt.filter((each) => now - each < RATE_MS);
    if (times.length < 2) return 0;
    return ((times.length - 1) * 1000) / (times[times.length - 1] - times[0]);
  }
}
