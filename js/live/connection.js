/** The socket of a session: opened again when it is lost, asked whether it is alive, given samples once per page frame. */

import { Outbox } from "./outbox.js";
import { decode, decodeChunk, encode } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Sample} Sample
 * @typedef {import("./protocol.js").Grid} Grid
 * @typedef {"connecting" | "open" | "lost" | "closed"} Line
 */

/**
 * answer, chunk: what the server said. line: the connection is another; `why` in words. problem: words that were not
 * understood.
 * @typedef {object} Listener
 * @property {(answer: import("./protocol.js").Answer) => void} answer
 * @property {(header: import("./protocol.js").ChunkHeader, pictures: Uint8Array<ArrayBuffer>[]) => void} chunk
 * @property {(line: Line, why: string) => void} line
 * @property {(message: string) => void} problem
 */

/**
 * What a page has; tests bring their own.
 * @typedef {object} Surroundings
 * @property {(address: string) => WebSocket} open
 * @property {(done: () => void, ms: number) => number} later
 * @property {(timer: number) => void} never
 * @property {(done: () => void) => void} nextFrame
 * @property {() => number} now
 */

/** @type {() => Surroundings} */
const ofPage = () => ({
  open: (address) => new WebSocket(address),
  later: (done, ms) => Number(setTimeout(done, ms)),
  never: (timer) => clearTimeout(timer),
  nextFrame: (done) => void requestAnimationFrame(done),
  now: () => performance.now(),
});

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;
const PING_MS = 2000;
const SILENCE_MS = 12_000;
/** Many hands take turns: the server hears so many messages a second, and no more. */
const MESSAGE_MS = 5;
/** With more than this unsent the line is slower than the hand. */
const MAX_UNSENT_BYTES = 32 * 1024;

export class Connection {
  outbox = new Outbox();
  /** @type {WebSocket | null} */
  socket = null;
  /** @type {Line} */
  line = "connecting";
  /** From the page to the server and back. @type {number | null} */
  tripMs = null;
  failures = 0;
  timer = 0;
  heardAt = 0;
  isFlushPlanned = false;
  flushedAt = -Infinity;
  /** Whether there is nothing to come back to. */
  isLast = false;

  /**
   * @param {string} address
   * @param {Listener} listener
   * @param {Surroundings} [surroundings]
   */
  constructor(address, listener, surroundings = ofPage()) {
    this.address = address;
    this.listener = listener;
    this.around = surroundings;
    this.connect();
  }

  connect() {
    this.become("connecting", this.failures ? "The connection is lost; connecting again..." : "Connecting...");
    const socket = this.around.open(this.address);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => this.heard(data);
    socket.onclose = ({ code, reason }) => this.socket === socket && this.lost(code, reason);
  }

  opened() {
    this.heardAt = this.around.now();
    this.become("open", "");
    this.flush();
    this.ping();
  }

  ping() {
    const now = this.around.now();
    if (now - this.heardAt > SILENCE_MS) return this.drop();
    this.say({ type: "ping", t_ms: now });
    this.timer = this.around.later(() => this.ping(), PING_MS);
  }

  /** A line on which nothing comes is as good as lost, whatever the socket says. */
  drop() {
    const { socket } = this;
    this.lost(1006, "");
    socket?.close();
  }

  /** @type {(code: number, reason: string) => void} */
  lost(code, reason) {
    this.around.never(this.timer);
    this.socket = null;
    this.outbox.forget();
    // A server that says why (1008, or a code of its own) does not want to be asked again.
    if (code === 1008 || code >= 4000) return this.become("closed", reason || "The server closed the session");
    if (this.isLast) return this.become("closed", "");
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++);
    this.become("lost", "The connection is lost; connecting again...");
    this.timer = this.around.later(() => this.connect(), wait);
  }

  /** The session is over: once lost, the line is not sought again. */
  stopTrying() {
    this.isLast = true;
    if (!this.isOpen) this.close();
  }

  /** For good. */
  close() {
    const { socket } = this;
    this.socket = null;
    this.around.never(this.timer);
    socket?.close();
    this.line = "closed";
  }

  /** @type {(line: Line, why: string) => void} */
  become(line, why) {
    this.line = line;
    this.listener.line(line, why);
  }

  /** @type {(data: unknown) => void} */
  heard(data) {
    this.heardAt = this.around.now();
    try {
      if (typeof data === "string") this.answered(decode(data));
      else if (data instanceof ArrayBuffer) {
        const { header, pictures } = decodeChunk(data);
        this.listener.chunk(header, pictures);
      }
    } catch (error) {
      this.listener.problem(error instanceof Error ? error.message : String(error));
    }
  }

  /** @type {(answer: import("./protocol.js").Answer | null) => void} */
  answered(answer) {
    if (answer?.type === "hello") this.failures = 0; // a line that opens and closes at once is not one
    if (answer?.type === "pong") this.tripMs = this.heardAt - answer.t_ms;
    else if (answer) this.listener.answer(answer);
  }

  get isOpen() {
    return this.line === "open";
  }

  /** Said at once, after what waits; false where nobody hears it. @type {(message: Message) => boolean} */
  say(message) {
    if (!this.isOpen) return false;
    this.flush();
    try {
      this.socket?.send(encode(message));
    } catch (error) {
      this.listener.problem(error instanceof Error ? error.message : String(error));
      return false;
    }
    return true;
  }

  /** A hand is taken: at once, since the picture waits for it. @type {(id: number, samples: readonly Sample[], grid: Grid) => void} */
  begin(id, samples, grid) {
    this.outbox.samples(id, samples, grid);
    this.flush();
  }

  /** Where a hand went: with whatever else comes before the next frame. @type {(id: number, samples: readonly Sample[]) => void} */
  move(id, samples) {
    this.outbox.samples(id, samples);
    this.planFlush();
  }

  /** @type {(id: number) => void} */
  release(id) {
    this.outbox.add({ type: "release", id });
    this.flush();
  }

  planFlush() {
    if (this.isFlushPlanned) return;
    this.isFlushPlanned = true;
    this.around.nextFrame(() => {
      this.isFlushPlanned = false;
      const isTooSoon = this.around.now() - this.flushedAt < MESSAGE_MS * this.outbox.waiting.length;
      if (isTooSoon || (this.socket?.bufferedAmount ?? 0) > MAX_UNSENT_BYTES) this.planFlush();
      else this.flush();
    });
  }

  flush() {
    if (!this.isOpen || !this.outbox.waiting.length) return;
    this.flushedAt = this.around.now();
    for (const message of this.outbox.take()) this.socket?.send(encode(message));
  }
}
