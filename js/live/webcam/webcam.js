/**
 * A webcam whose motion is a hand: pictures are looked at here, small and grey, and let go again. None is kept, and none
 * leaves the page.
 */

import { translate } from "../../language/language.js";
import { greyOf } from "./flow.js";
import { Follower } from "./follower.js";

/**
 * moved: what the square follows has moved, as shares of the view's width and height as in a mirror, at `time` ms of the
 * page's clock. problem: why there is no webcam, in words. changed: it is on or off, or the square is elsewhere.
 * @typedef {object} Watcher
 * @property {(dx: number, dy: number, time: number) => void} moved
 * @property {(message: string) => void} problem
 * @property {() => void} changed
 */

/** @type {MediaStreamConstraints} */
const WANTED = { audio: false, video: { width: 640, height: 480, frameRate: { ideal: 30 }, facingMode: "user" } };
const GREY_WIDTH = 160;

/** @type {Record<string, string>} */
const PROBLEMS = {
  NotAllowedError: "The browser may not use the webcam: allow it beside the page's address, then press Webcam again",
  NotFoundError: "There is no webcam: connect one, then press Webcam again",
  NotReadableError: "The webcam gives no picture: close what else uses it, then press Webcam again",
};
const NOT_SECURE =
  "A browser gives a webcam only to a page of this machine (localhost) or to one by https: open the stage so";
const GONE = "The webcam was disconnected";

export class Webcam {
  /** @type {MediaStream | null} */
  stream = null;
  /** Whether the browser is still asking. */
  isAsking = false;
  isEnded = false;
  follower = new Follower();

  /** @param {Watcher} watcher */
  constructor(watcher) {
    this.watcher = watcher;
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true });
    const canvas = new OffscreenCanvas(GREY_WIDTH, GREY_WIDTH);
    this.context = /** @type {OffscreenCanvasRenderingContext2D} */ (
      canvas.getContext("2d", { willReadFrequently: true })
    );
  }

  get isOn() {
    return this.stream !== null;
  }

  /** On, or off again. @type {() => Promise<void>} */
  async toggle() {
    if (this.isOn) return this.stop();
    if (this.isAsking) return;
    if (!navigator.mediaDevices) return this.watcher.problem(NOT_SECURE); // a page that is not secure has none
    this.isAsking = true;
    this.watcher.problem("");
    try {
      this.start(await navigator.mediaDevices.getUserMedia(WANTED));
    } catch (error) {
      this.stop();
      const { name = "", message = String(error) } = error instanceof Error ? error : {};
      this.watcher.problem(PROBLEMS[name] ?? translate("The webcam cannot be used: {}", message));
    } finally {
      this.isAsking = false;
    }
  }

  /** @type {(stream: MediaStream) => void} */
  start(stream) {
    this.stream = stream;
    if (this.isEnded) return this.stop(); // the stage went while the browser was asking
    this.follower = new Follower();
    for (const track of stream.getVideoTracks())
      track.onended = () => {
        this.stop();
        this.watcher.problem(GONE);
      };
    this.video.srcObject = stream;
    void this.video.play().catch(() => {}); // it is taken away before it plays
    this.next();
    this.watcher.changed();
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.stream = null;
    this.video.srcObject = null;
    this.watcher.changed();
  }

  /** For good. */
  end() {
    this.isEnded = true;
    this.stop();
  }

  next() {
    const { stream } = this;
    this.video.requestVideoFrameCallback((time) => {
      if (!stream || this.stream !== stream) return;
      this.look(time);
      this.next();
    });
  }

  /** @type {(time: number) => void} */
  look(time) {
    const { width, height } = this.size;
    const { canvas } = this.context;
    if (canvas.height !== height) canvas.height = height;
    this.context.drawImage(this.video, 0, 0, width, height);
    const { follower } = this;
    const { x, isSeeking } = follower;
    const shift = follower.push(greyOf(this.context.getImageData(0, 0, width, height)));
    if (shift) this.watcher.moved(-shift.dx / width, shift.dy / height, time);
    if (follower.x !== x || follower.isSeeking !== isSeeking) this.watcher.changed();
  }

  /** Of the small picture. */
  get size() {
    const { videoWidth, videoHeight } = this.video;
    return { width: GREY_WIDTH, height: Math.max(1, Math.round((GREY_WIDTH * videoHeight) / (videoWidth || 1))) };
  }

  /** The square, in shares of the view as in a mirror: its middle and its sides. */
  get square() {
    const { width, height } = this.size;
    const { x, y, side, isSeeking } = this.follower;
    return { x: 1 - x / width, y: y / height, width: side / width, height: side / height, isSeeking };
  }

  /** The square goes to a place of the mirrored view, in shares of it. @type {(x: number, y: number) => void} */
  point(x, y) {
    this.follower.place((1 - x) * this.size.width, y * this.size.height);
    this.watcher.changed();
  }
}
