/** What was sent off to be played, paths and moves of the camera: shown here, in the stream's time, until it has played. */

import { poseAt } from "../track_editor/camera/projection.js";
import { changeTracks, removeTracks } from "../track_editor/document/edits.js";
import { movesOf } from "../track_editor/document/format.js";
import { NOTHING } from "../track_editor/document/selection.js";
import { cameraDocument, pathDocument } from "./documents.js";

/**
 * @typedef {import("../track_editor/document/format.js").Move} Move
 */

/**
 * Something that plays, in frames of the stream. track: the path that shows it; moves: the camera's.
 * @typedef {{track: string | null, moves: readonly Move[], start: number, duration: number}} Play
 */

/** Whether it is done when `frame` is shown. @type {(play: Play, frame: number) => boolean} */
export const isOver = ({ start, duration }, frame) => frame >= start + duration;

/** Whether it had begun when the stream had `numFrames` frames, to which it went back. @type {(play: Play, numFrames: number) => boolean} */
export const hadBegun = ({ start }, numFrames) => start < numFrames;

export class Plays {
  /** @type {readonly Play[]} */
  list = [];

  /**
   * @param {import("../track_editor/state/model.js").EditorModel} model
   * @param {import("./tools.js").LiveTools} tools
   * @param {(document: object) => boolean} send  whether it was sent
   */
  constructor(model, tools, send) {
    this.model = model;
    this.tools = tools;
    this.send = send;
  }

  /** Every path that was drawn is sent; from `start`, the stream's next frame, on it plays. @type {(start: number) => void} */
  sendPaths(start) {
    const known = new Set(this.list.map(({ track }) => track));
    const { document } = this.model;
    const drawn = document.tracks.filter(({ id, kind }) => kind === "path" && !known.has(id));
    if (!drawn.length) return;
    const { canvas } = document;
    const sent = drawn.filter((track) => this.send(pathDocument(track, canvas)));
    const span = { start, duration: canvas.num_frames - 1 };
    this.list = [...this.list, ...sent.map(({ id }) => ({ track: id, moves: [], ...span }))];
    const ids = new Set(sent.map(({ id }) => id));
    const unsent = new Set(drawn.filter(({ id }) => !ids.has(id)).map(({ id }) => id));
    const timed = changeTracks(removeTracks(document, unsent), ids, (track) => ({ ...track, ...span }));
    this.model.replace(timed, NOTHING);
  }

  /** The camera's moves, with points of the whole frame to show them. @type {(start: number) => void} */
  sendCamera(start) {
    const { document } = this.model;
    const moves = movesOf(document);
    if (!moves.length || !this.send(cameraDocument(moves, document.canvas))) return;
    this.list = [...this.list, { track: null, moves, start, duration: document.canvas.num_frames - 1 }];
    this.show();
  }

  /** Another frame of the stream is shown. @type {(frame: number) => void} */
  showFrame(frame) {
    this.model.frame = frame;
    this.keep((play) => !isOver(play, frame));
    this.show();
  }

  /** The stream went back to where it had so many frames. @type {(numFrames: number) => void} */
  goBack(numFrames) {
    this.keep((play) => hadBegun(play, numFrames));
    this.show();
  }

  /** What was sent last was not taken. */
  dropLast() {
    const last = this.list.at(-1);
    this.keep((play) => play !== last);
    this.show();
  }

  /** @type {(isKept: (play: Play) => boolean) => void} */
  keep(isKept) {
    const gone = this.list.filter((play) => !isKept(play));
    if (!gone.length) return;
    this.list = this.list.filter(isKept);
    const tracks = new Set(gone.flatMap(({ track }) => (track ? [track] : [])));
    if (tracks.size) this.model.replace(removeTracks(this.model.document, tracks));
  }

  /** Nothing plays any more. */
  clear() {
    this.list = [];
    this.show();
  }

  /** Where the camera goes: of what plays as it is now, of what is being prepared as it will be at its end. */
  show() {
    const playing = this.list.filter(({ moves }) => moves.length);
    const { document, frame } = this.model;
    const prepared = movesOf(document);
    if (!playing.length && !prepared.length && !this.tools.planes.length) return;
    const poses = playing.map(({ moves, start }) => poseAt(moves, Math.max(0, frame - start)));
    if (!poses.length && prepared.length) poses.push(poseAt(prepared, document.canvas.num_frames - 1));
    this.tools.planes = poses.map((pose) => ({ kind: "plane", pose }));
    this.tools.show();
  }
}
