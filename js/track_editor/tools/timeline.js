/**
 * The timeline's arithmetic and its state machine: a ruler to scrub on, a row for every move of the camera, and one for
 * every track with its span, its keyframes and the spans in which it is hidden. What it looks like is in view/timeline.js.
 */

import { withMoveSpan } from "../camera/moves.js";
import { clamp } from "../curve/geometry.js";
import { changeMove, changeTracks, findTrack } from "../document/edits.js";
import { movesOf } from "../document/format.js";
import { NOTHING, selectTracks, toggleTrack } from "../document/selection.js";
import { keyframeAt, withHidden, withoutKeyframe, withSpan } from "../document/time_edits.js";

/**
 * Sizes in CSS px of the timeline's surface. scroll: how far the rows are scrolled up.
 * @typedef {{readonly width: number, readonly height: number, readonly numFrames: number, readonly scroll: number}} Layout
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../document/selection.js").Selection} Selection
 */

/**
 * @typedef {{part: "ruler"}
 *   | {part: "label" | "row" | "bar" | "start" | "end", id: string}
 *   | {part: "move" | "move_row" | "move_start" | "move_end", index: number}
 *   | {part: "keyframe" | "hidden_first" | "hidden_last" | "hidden", id: string, index: number}} TimelineHit
 */

export const LABEL_PX = 76;
export const RULER_PX = 18;
export const ROW_PX = 16;
const MARGIN_PX = 8;
const EDGE_PX = 5;

/** @type {(layout: Layout, frame: number) => number} */
export const frameToX = ({ width, numFrames }, frame) =>
  LABEL_PX + MARGIN_PX + (frame / Math.max(1, numFrames - 1)) * (width - LABEL_PX - 2 * MARGIN_PX);

/** The frame at x, not rounded, within the clip. @type {(layout: Layout, x: number) => number} */
export const xToFrame = ({ width, numFrames }, x) =>
  clamp(
    ((x - LABEL_PX - MARGIN_PX) / Math.max(1, width - LABEL_PX - 2 * MARGIN_PX)) * (numFrames - 1),
    0,
    numFrames - 1,
  );

/** @type {(layout: Layout, row: number) => number} */
export const rowTop = ({ scroll }, row) => RULER_PX + row * ROW_PX - scroll;

/** Rows of the moves first, then those of the tracks. @type {(document: Document) => number} */
export const numRows = (document) => movesOf(document).length + document.tracks.length;

/** @type {(layout: Layout, rows: number) => number} */
export const maxScroll = ({ height }, rows) => Math.max(0, RULER_PX + rows * ROW_PX - height);

/** Rows that can be seen: [first, one past the last]. @type {(layout: Layout, rows: number) => [number, number]} */
export function visibleRows({ scroll, height }, rows) {
  const first = Math.max(0, Math.floor(scroll / ROW_PX));
  return [first, Math.min(rows, Math.ceil((scroll + height - RULER_PX) / ROW_PX))];
}

/** The scroll that brings a row into sight. @type {(layout: Layout, row: number) => number} */
export function scrolledTo(layout, row) {
  const [top, room] = [row * ROW_PX, layout.height - RULER_PX - ROW_PX];
  return clamp(layout.scroll, Math.max(0, top - room), top);
}

/** @type {(document: Document, layout: Layout, x: number, y: number) => TimelineHit | null} */
export function hitTimeline(document, layout, x, y) {
  if (y < RULER_PX) return { part: "ruler" };
  const row = Math.floor((y - RULER_PX + layout.scroll) / ROW_PX);
  const moves = movesOf(document);
  if (row < moves.length) return hitMove(moves[row], row, layout, x);
  const track = document.tracks[row - moves.length];
  if (!track) return null;
  const { id } = track;
  if (x < LABEL_PX) return { part: "label", id };
  const close = (/** @type {number} */ frame) => isClose(layout, frame, x);
  const keyframe = (track.keyframes ?? []).findIndex(([frame]) => close(track.start + frame));
  if (keyframe >= 0) return { part: "keyframe", id, index: keyframe };
  for (const [index, [first, last]] of (track.hidden ?? []).entries()) {
    if (close(last)) return { part: "hidden_last", id, index };
    if (close(first)) return { part: "hidden_first", id, index };
    if (frameToX(layout, first) <= x && x <= frameToX(layout, last)) return { part: "hidden", id, index };
  }
  if (close(track.start + track.duration)) return { part: "end", id };
  if (close(track.start)) return { part: "start", id };
  const inside = frameToX(layout, track.start) <= x && x <= frameToX(layout, track.start + track.duration);
  return { part: inside ? "bar" : "row", id };
}

/** @type {(move: import("../document/format.js").Move, index: number, layout: Layout, x: number) => TimelineHit} */
function hitMove({ start, duration }, index, layout, x) {
  if (x < LABEL_PX) return { part: "move_row", index };
  if (isClose(layout, start + duration, x)) return { part: "move_end", index };
  if (isClose(layout, start, x)) return { part: "move_start", index };
  const inside = frameToX(layout, start) <= x && x <= frameToX(layout, start + duration);
  return { part: inside ? "move" : "move_row", index };
}

/** @type {(layout: Layout, frame: number, x: number) => boolean} */
const isClose = (layout, frame, x) => Math.abs(frameToX(layout, frame) - x) <= EDGE_PX;

/**
 * @param {TimelineHit} hit
 * @returns {hit is Extract<TimelineHit, {part: "move" | "move_row" | "move_start" | "move_end"}>}
 */
const isMove = (hit) => hit.part.startsWith("move");

/**
 * hit: what was taken hold of. from: at which frame. moved: whether it went anywhere. hide: a hidden span is drawn.
 * @typedef {{hit: TimelineHit, from: number, hide: boolean, moved: boolean} | null} TimelineState
 * @typedef {{type: "down" | "move" | "up" | "cancel" | "double", x: number, y: number, shift: boolean, alt: boolean}} TimelineEvent
 * @typedef {{document: Document, selection: Selection, layout: Layout}} TimelineScene
 * @typedef {{state: TimelineState, document?: Document, selection?: Selection, commit?: boolean, frame?: number, move?: number}} TimelineOutcome
 */

/** As a tool's step: a draft document until it says commit. @type {(state: TimelineState, event: TimelineEvent, scene: TimelineScene) => TimelineOutcome} */
export function stepTimeline(state, event, scene) {
  const frame = xToFrame(scene.layout, event.x);
  if (event.type === "down") return press(event, frame, scene);
  if (event.type === "cancel") return { state: null, document: scene.document };
  if (event.type === "double") return doubled(event, frame, scene);
  if (!state) return { state };
  if (state.hit.part === "ruler") return { state: event.type === "up" ? null : state, frame: Math.round(frame) };
  const moved = state.moved || Math.round(frame) !== Math.round(state.from);
  const draft = moved ? { document: dragged({ ...state, moved }, frame, scene) } : {};
  if (event.type === "up") return { state: null, ...draft, commit: moved };
  return { state: { ...state, moved }, ...draft };
}

/** @type {(event: TimelineEvent, frame: number, scene: TimelineScene) => TimelineOutcome} */
function press(event, frame, { document, selection, layout }) {
  const hit = hitTimeline(document, layout, event.x, event.y);
  if (!hit) return { state: null };
  if (hit.part === "ruler") return { state: { hit, from: frame, hide: false, moved: false }, frame: Math.round(frame) };
  if (isMove(hit))
    return { state: { hit, from: frame, hide: false, moved: false }, selection: NOTHING, move: hit.index };
  if (event.shift) return { state: null, selection: toggleTrack(document, selection, hit.id) };
  const chosen = selection.tracks.has(hit.id) ? selection : selectTracks(document, [hit.id]);
  return { state: { hit, from: frame, hide: event.alt, moved: false }, selection: chosen };
}

/** @type {(state: NonNullable<TimelineState>, frame: number, scene: TimelineScene) => Document} */
function dragged({ hit, from, hide }, frame, { document, selection }) {
  if (hit.part === "ruler" || hit.part === "label") return document;
  const shift = Math.round(frame) - Math.round(from);
  if (isMove(hit)) return changeMove(document, hit.index, (move) => draggedMove(move, hit.part, shift));
  const one = new Set([hit.id]);
  if (hide || hit.part === "row") return changeTracks(document, one, (track) => withHidden(track, [from, frame], true));
  const all = selection.tracks.has(hit.id) ? selection.tracks : one;
  if (hit.part === "bar") return changeTracks(document, all, (track) => ({ ...track, start: track.start + shift }));
  if (hit.part === "start") {
    return changeTracks(document, all, (track) => {
      const move = Math.min(shift, track.duration);
      return withSpan(track, track.start + move, track.duration - move);
    });
  }
  if (hit.part === "end") {
    return changeTracks(document, all, (track) => withSpan(track, track.start, Math.max(0, track.duration + shift)));
  }
  if (hit.part === "keyframe") return changeTracks(document, one, (track) => movedKeyframe(track, hit.index, shift));
  return "index" in hit ? changeTracks(document, one, (track) => movedHidden(track, hit, shift)) : document;
}

/** @type {(move: import("../document/format.js").Move, part: string, shift: number) => import("../document/format.js").Move} */
function draggedMove(move, part, shift) {
  const { start, duration } = move;
  if (part === "move") return withMoveSpan(move, start + shift, duration);
  if (part === "move_end") return withMoveSpan(move, start, duration + shift);
  const by = Math.min(shift, duration);
  return part === "move_start" ? withMoveSpan(move, start + by, duration - by) : move;
}

/** Between its neighbours, half a frame from either. @type {(track: Track, index: number, shift: number) => Track} */
function movedKeyframe(track, index, shift) {
  const keyframes = track.keyframes ?? [];
  const low = index > 0 ? keyframes[index - 1][0] + 0.5 : 0;
  const high = index + 1 < keyframes.length ? keyframes[index + 1][0] - 0.5 : track.duration;
  if (low > high) return track;
  const moved = keyframes.map(
    ([frame, u], i) => /** @type {[number, number]} */ ([i === index ? clamp(frame + shift, low, high) : frame, u]),
  );
  return { ...track, keyframes: moved };
}

/** @type {(track: Track, hit: Extract<TimelineHit, {index: number}>, shift: number) => Track} */
function movedHidden(track, hit, shift) {
  const span = track.hidden?.[hit.index];
  if (!span) return track;
  const rest = { ...track, hidden: track.hidden?.filter((_, i) => i !== hit.index) };
  const [first, last] = [
    span[0] + (hit.part === "hidden_last" ? 0 : shift),
    span[1] + (hit.part === "hidden_first" ? 0 : shift),
  ];
  return withHidden(rest, [first, last], true);
}

/** Double click: a keyframe where the point is at that frame; on one, or on a hidden span, it goes. @type {(event: TimelineEvent, frame: number, scene: TimelineScene) => TimelineOutcome} */
function doubled(event, frame, { document, layout }) {
  const hit = hitTimeline(document, layout, event.x, event.y);
  if (!hit || hit.part === "ruler" || hit.part === "label" || isMove(hit)) return { state: null };
  const track = findTrack(document, hit.id);
  if (!track) return { state: null };
  const one = new Set([hit.id]);
  /** @type {(change: (track: Track) => Track) => TimelineOutcome} */
  const changed = (change) => ({ state: null, document: changeTracks(document, one, change), commit: true });
  if (hit.part === "keyframe") return changed((each) => withoutKeyframe(each, hit.index));
  if ("index" in hit) return changed((each) => withHidden(each, each.hidden?.[hit.index] ?? [0, 0], false));
  if (hit.part === "bar" && track.kind !== "anchor" && track.points.length > 1) {
    return changed((each) => keyframeAt(each, Math.round(frame)));
  }
  return { state: null };
}
