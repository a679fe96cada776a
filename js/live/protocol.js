/** The words of a live session, as docs/live.md has them: what the page says, what the server says, a chunk's bytes. */

import { rounded } from "../track_editor/curve/geometry.js";

/**
 * A place in px of the session's frame, from its upper left edge, and when: ms of the page's clock (event.timeStamp).
 * @typedef {readonly [x: number, y: number, t_ms: number]} Sample
 * @typedef {import("../track_editor/document/format.js").Grid} Grid
 */

/**
 * grid: with the first samples of a new hand.
 * @typedef {{type: "samples", id: number, grid?: Grid, samples: readonly Sample[]}} Samples
 * @typedef {{type: "start" | "pause" | "resume" | "stop" | "clear" | "reanchor" | "take" | "yield"}
 *   | Samples
 *   | {type: "hold", on: boolean}
 *   | {type: "release", id: number}
 *   | {type: "play", document: object}
 *   | {type: "prompt", text: string, blend_chunks: number}
 *   | {type: "back", seconds: number}
 *   | {type: "ping", t_ms: number}} Message
 */

/**
 * steering: whether this page may steer. watchers: pages that are there, this one too. asked: whether somebody asks this
 * page, which steers, to hand over. back_s: how far back it can go.
 * @typedef {"ready" | "running" | "paused" | "ended"} State
 * @typedef {{prompt: string, state: State, steering: boolean, watchers: number, asked: boolean, back_s: number, hold?: boolean,
 *   num_frames: number, message: string}} Status
 * @typedef {Status & {type: "hello", version: number, session: string, model: string, width: number, height: number,
 *   fps: number, chunk_frames: number, words: readonly string[] | null}} Hello
 * @typedef {{video: string | null, tracks: string | null, document: string | null, log: string | null}} Files
 * @typedef {Hello
 *   | (Status & {type: "state"})
 *   | {type: "ended", reason: string, files: Files}
 *   | {type: "error", field: string, message: string}
 *   | {type: "pong", t_ms: number}} Answer
 */

/**
 * A chunk comes in pieces, as it is decoded. answers: for each hand, when the oldest of its samples that this chunk
 * answers was taken; first: the hand was new with it. frame_ms: 0 for a picture by
 * itself. num_frames: of the stream, with this chunk.
 * @typedef {{type: "chunk", index: number, start_frame: number, sizes: readonly number[], frame_ms: number,
 *   made_ms: number, reset: boolean, answers: readonly {id: number, t_ms: number, first: boolean}[], num_frames: number,
 *   fps_made: number, buffer_ms: number, memory_mb: number, back_s?: number}} ChunkHeader
 */

export const VERSION = 1;
export const MAX_TEXT_BYTES = 64 * 1024;
export const MAX_SAMPLES = 512;
export const MAX_HANDS = 900;
const MAX_PICTURES = 4096;
const ANSWERS = ["hello", "state", "ended", "error", "pong"];

/** What came is not of this protocol, or what should go is too long for it. */
export class ProtocolError extends Error {}

/** @type {(message: Message) => string} */
export function encode(message) {
  const text = JSON.stringify(message, (_, value) => (typeof value === "number" ? rounded(value) : value));
  if (new TextEncoder().encode(text).length > MAX_TEXT_BYTES) {
    throw new ProtocolError(`${message.type} is longer than ${MAX_TEXT_BYTES / 1024} KiB`);
  }
  return text;
}

/** A text of the server; null for a type that a later version has. @type {(text: string) => Answer | null} */
export function decode(text) {
  const value = parsed(text);
  return ANSWERS.includes(value.type) ? value : null;
}

/** A chunk's header and its pictures, JPEG each. @type {(bytes: ArrayBuffer) => {header: ChunkHeader, pictures: Uint8Array<ArrayBuffer>[]}} */
export function decodeChunk(bytes) {
  if (bytes.byteLength < 4) throw new ProtocolError("a chunk of less than 4 bytes");
  const length = new DataView(bytes).getUint32(0, true);
  if (4 + length > bytes.byteLength) throw new ProtocolError("a chunk's header is longer than the chunk");
  const header = parsed(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const { sizes } = header;
  const whole =
    Array.isArray(sizes) && sizes.length <= MAX_PICTURES && sizes.every((n) => Number.isInteger(n) && n > 0);
  if (header.type !== "chunk" || !whole || !(header.frame_ms >= 0))
    throw new ProtocolError("a chunk's header is broken");
  let at = 4 + length;
  const pictures = sizes.map((/** @type {number} */ size) => {
    if (at + size > bytes.byteLength) throw new ProtocolError("a chunk is shorter than its header says");
    at += size;
    return new Uint8Array(bytes, at - size, size);
  });
  if (at !== bytes.byteLength) throw new ProtocolError("a chunk is longer than its header says");
  return { header, pictures };
}

/** @type {(text: string) => any} */
function parsed(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("the server's words are not JSON");
  }
  if (typeof value?.type !== "string") throw new ProtocolError("the server's words have no type");
  return value;
}

/**
 * Where a session's socket, the present session and new pictures are, below `base` and with the page's token.
 * @typedef {{socket: (session: string) => string, current: string, picture: string, file: (address: string) => string}} Addresses
 */

/** @type {(base: string, token?: string | null) => Addresses} */
export function addressesBelow(base, token = null) {
  const at = (/** @type {string} */ path) => {
    const url = new URL(path, base);
    if (token !== null && url.origin === new URL(base).origin) url.searchParams.set("token", token);
    return url;
  };
  return {
    socket: (session) => {
      const url = at(`motionstream/live/${encodeURIComponent(session)}`);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      return url.href;
    },
    current: at("motionstream/live/current").href,
    picture: at("motionstream/live/picture").href,
    file: (address) => at(address).href,
  };
}
