/** One stream of the server's: the line to it, what it has said, and who steers it. */

import { translate } from "../language/language.js";
import { Connection } from "./connection.js";
import { VERSION } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Status} Status
 * @typedef {import("./protocol.js").Hello} Hello
 * @typedef {import("./protocol.js").Files} Files
 */

/**
 * Whoever shows it.
 * opened: another session's line was begun. begins: it said for the first time what it makes. cameBack: the line was
 * lost, this page steers on. pictures: a chunk's. lostHands: somebody else steers. over: it ended. refused: what was
 * said of this field.
 * @typedef {object} SessionViewer
 * @property {(message: string) => void} notify
 * @property {() => void} changed
 * @property {() => void} opened
 * @property {() => void} begins
 * @property {() => void} cameBack
 * @property {(header: import("./protocol.js").ChunkHeader, pictures: readonly Uint8Array<ArrayBuffer>[]) => void} pictures
 * @property {() => void} lostHands
 * @property {() => void} over
 * @property {(field: string) => void} refused
 */

/** @type {Status} */
const NOTHING_YET = {
  prompt: "",
  state: "ready",
  steering: false,
  watchers: 0,
  asked: false,
  back_s: 0,
  num_frames: 0,
  message: "",
};
const LOOK_MS = 500;
/** After so many times in vain the session may be gone. */
const MANY_FAILURES = 3;

export class Session {
  id = "";
  status = NOTHING_YET;
  /** @type {Hello | null} */
  hello = null;
  /** @type {Connection | null} */
  connection = null;
  /** The header of the chunk that came last. @type {import("./protocol.js").ChunkHeader | null} */
  chunk = null;
  /** @type {{reason: string, files: Files} | null} */
  ended = null;
  /** Whether the next one is to start at once. */
  startsAtOnce = false;
  hasAsked = false;

  /**
   * @param {import("./stage.js").StageHost} host
   * @param {SessionViewer} viewer
   */
  constructor(host, viewer) {
    this.host = host;
    this.viewer = viewer;
  }

  /** @type {(id: string) => void} */
  open(id) {
    this.connection?.close();
    this.id = id;
    // What came of the one before can be had until this one begins.
    [this.hello, this.chunk, this.status] = [null, null, NOTHING_YET];
    this.viewer.opened();
    this.connection = new Connection(this.host.addresses.socket(id), {
      answer: (answer) => this.heard(answer),
      chunk: (header, pictures) => {
        this.chunk = header;
        this.status = { ...this.status, back_s: header.back_s ?? this.status.back_s };
        this.viewer.pictures(header, pictures);
      },
      line: (line, why) => this.lineIs(line, why),
      problem: (message) => this.viewer.notify(message),
    });
  }

  end() {
    this.connection?.close();
  }

  /** @type {(line: import("./connection.js").Line, why: string) => void} */
  lineIs(line, why) {
    this.viewer.notify(why);
    if (line === "closed") this.closed();
    if (line === "lost" && (this.connection?.failures ?? 0) >= MANY_FAILURES) void this.lookForAnother();
  }

  /** A server that was started anew knows nothing of the session that it had. */
  async lookForAnother() {
    const id = await this.host.again?.().catch(() => null);
    if (id && id !== this.id && this.connection?.line === "lost") this.open(id);
  }

  /** Whether the server listens, and has said what it makes. */
  get isOpen() {
    return this.hello !== null && (this.connection?.isOpen ?? false);
  }

  get words() {
    return this.hello?.words ?? null;
  }

  /** @type {(answer: import("./protocol.js").Answer) => void} */
  heard(answer) {
    if (answer.type === "hello") this.greeted(answer);
    else if (answer.type === "state") this.become(answer);
    else if (answer.type === "ended") this.finish(answer);
    else if (answer.type === "error") {
      this.viewer.notify(answer.message);
      this.viewer.refused(answer.field);
    }
    this.viewer.changed();
  }

  /** @type {(hello: Hello) => void} */
  greeted(hello) {
    const isNew = this.hello === null;
    const steered = this.status.steering;
    this.hello = hello;
    const isOther = hello.version !== VERSION;
    this.viewer.notify(isOther ? "The server is of another version than this page: load the page anew" : "");
    if (isNew) this.viewer.begins();
    else if (hello.steering) this.viewer.cameBack();
    this.become(hello);
    // The server may still believe in the line that was lost, and in who steered by it.
    if (!isNew && steered && !hello.steering) this.askToSteer();
    if (isNew && this.startsAtOnce) this.say({ type: "start" });
    this.startsAtOnce = false;
  }

  /** @type {(status: Status) => void} */
  become({ prompt, state, steering, watchers, asked, back_s, hold, num_frames, message }) {
    if (this.status.steering && !steering) this.viewer.lostHands();
    if (state === "running" || !steering) this.ended = null;
    if (steering) this.hasAsked = false;
    this.status = { prompt, state, steering, watchers, asked, back_s, hold, num_frames, message };
  }

  /** @type {(ended: {reason: string, files: Files}) => void} */
  finish({ reason, files }) {
    this.ended = { reason, files };
    this.status = { ...this.status, state: "ended" };
    this.viewer.over();
    this.connection?.stopTrying();
  }

  /** It is gone, whether or not it could say so. */
  closed() {
    this.status = { ...this.status, state: "ended" };
    this.connection?.stopTrying();
    this.viewer.changed();
  }

  /** Whether this page may steer; where not, it says why. */
  maySteer() {
    const why =
      this.status.state === "ended"
        ? "The stream has ended"
        : !this.isOpen
          ? "There is no connection to the stream"
          : this.status.steering
            ? ""
            : "Somebody else steers; ask to steer";
    if (why) this.viewer.notify(why);
    return !why;
  }

  /** Whether this page may steer a stream that has begun; where not, it says why. */
  isUnderWay() {
    if (!this.maySteer()) return false;
    if (this.status.state === "ready") this.viewer.notify("The stream has not begun: Enter starts it");
    return this.status.state !== "ready";
  }

  askToSteer() {
    this.hasAsked = this.say({ type: "take" });
  }

  /** Whether it was sent. @type {(message: Message) => boolean} */
  say(message) {
    return this.connection?.say(message) ?? false;
  }

  /** Another session, after one that has ended. */
  async beginAgain() {
    if (!this.host.again) return this.viewer.notify("The stream has ended: run the workflow again");
    try {
      let id = await this.host.again();
      // One stream ends a moment before the next is there.
      for (let i = 0; id === this.id && i < MANY_FAILURES; i++) {
        await new Promise((done) => setTimeout(done, LOOK_MS));
        id = await this.host.again();
      }
      this.startsAtOnce = true;
      this.open(id);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.viewer.notify(translate("No other stream could begin: {}", why));
    }
  }
}
