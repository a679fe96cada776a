/** The stream's pictures on the editor's surface, each when its time has come, and what can be measured there. */

import { translate } from "../language/language.js";
import { Player } from "./player.js";

/**
 * @typedef {import("./protocol.js").ChunkHeader} ChunkHeader
 * @typedef {import("./player.js").Chunk<ImageBitmap> & {answers: ChunkHeader["answers"]}} Decoded
 */

const MAX_DELAYS = 64;
/** What took longer than this was no answer to a hand: another page's clock, or a pause. */
const LONGEST_DELAY_MS = 60_000;
/** Chunks whose pictures may still be to be decoded. */
const MAX_DECODING = 6;

export class Screen {
  /** From taking something in hand to the first picture that answers, the newest last, in ms. @type {number[]} */
  delays = [];
  /** Pictures shown so far, and the stream's frame that is shown now. */
  shown = { frames: 0, frame: -1 };
  /** Frames that the stream had when the last chunk came. */
  numCome = 0;
  /** @type {Player<ImageBitmap>} */
  player = new Player((picture) => picture.close());
  /** What each chunk answers, until it is shown. @type {Map<number, ChunkHeader["answers"]>} */
  answers = new Map();
  /** @type {Promise<void>} */
  decoding = Promise.resolve();
  lastOrder = 0;
  firstOrder = 0;
  request = 0;

  /**
   * @param {import("../track_editor/editor.js").TrackEditor} editor
   * @param {{problem: (message: string) => void, frame: (frame: number) => void, wentBack: (numFrames: number) => void,
   *   isSteering: () => boolean}} stage
   */
  constructor(editor, stage) {
    this.editor = editor;
    this.stage = stage;
  }

  /** @type {(header: ChunkHeader, pictures: readonly Uint8Array<ArrayBuffer>[]) => void} */
  receive(header, pictures) {
    const order = ++this.lastOrder;
    if (header.reset) this.firstOrder = order;
    this.decoding = this.decoding.then(async () => {
      // Newest wins: what cannot be shown in time any more is not worth decoding.
      if (order < this.firstOrder || order <= this.lastOrder - MAX_DECODING) return;
      try {
        const decoded = await Promise.all(
          pictures.map((bytes) => createImageBitmap(new Blob([bytes], { type: "image/jpeg" }))),
        );
        this.take(header, decoded);
      } catch (error) {
        this.stage.problem(
          translate("A picture could not be read: {}", error instanceof Error ? error.message : String(error)),
        );
      }
    });
  }

  /** @type {(header: ChunkHeader, pictures: ImageBitmap[]) => void} */
  take({ index, start_frame: startFrame, frame_ms: frameMs, reset, answers, num_frames }, pictures) {
    if (this.editor.ending.signal.aborted) return;
    if (reset) this.answers.clear();
    if (num_frames < this.numCome) this.stage.wentBack(num_frames);
    if (answers.length) this.answers.set(index, answers); // a chunk comes in pieces, and only its first one answers
    this.numCome = num_frames;
    this.player.push({ pictures, index, startFrame, frameMs, reset }, performance.now());
    this.wait();
  }

  wait() {
    if (this.request || !this.player.queue.length) return;
    this.request = requestAnimationFrame((time) => this.tick(time));
  }

  /** @type {(time: number) => void} */
  tick(time) {
    this.request = 0;
    const shown = this.player.tick(performance.now());
    if (shown) this.show(shown, time);
    this.wait();
  }

  /** @type {(shown: import("./player.js").Shown<ImageBitmap>, time: number) => void} */
  show({ picture, index, frame, isFirst }, time) {
    const before = this.editor.surface.image?.source;
    this.editor.surface.showFrame({ source: picture, width: picture.width, height: picture.height });
    if (before instanceof ImageBitmap) before.close();
    this.stage.frame(frame);
    this.shown = { frames: this.shown.frames + 1, frame };
    this.editor.paint(time);
    if (isFirst) this.measure(index, performance.now());
  }

  /** @type {(index: number, now: number) => void} */
  measure(index, now) {
    const answers = this.answers.get(index) ?? [];
    for (const each of [...this.answers.keys()]) if (each <= index) this.answers.delete(each);
    if (!this.stage.isSteering()) return;
    const delays = answers
      .filter(({ first }) => first)
      .map(({ t_ms }) => now - t_ms)
      .filter((ms) => ms >= 0 && ms < LONGEST_DELAY_MS);
    this.delays = [...this.delays, ...delays].slice(-MAX_DELAYS);
  }

  /** Another stream begins. */
  clear() {
    this.firstOrder = this.lastOrder + 1;
    this.player.clear();
    this.answers.clear();
    this.delays = [];
    this.shown = { frames: 0, frame: -1 };
    this.numCome = 0;
  }

  end() {
    cancelAnimationFrame(this.request);
    this.player.clear();
  }

  /** The pixels of the picture shown; null where there is none. @type {() => ImageData | null} */
  pixels() {
    const { image } = this.editor.surface;
    if (!image) return null;
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context?.drawImage(image.source, 0, 0);
    return context?.getImageData(0, 0, image.width, image.height) ?? null;
  }
}

/** @type {(values: readonly number[]) => number | null} */
export function median(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
