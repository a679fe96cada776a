/** Selecting and moving: points, handles, tracks, boxes; along the curve with ctrl, copies with alt. */

import { boxOf } from "../curve/geometry.js";
import {
  changeTracks,
  deletePoints,
  findTrack,
  insertPoint,
  moveHandle,
  movePoints,
  nearestParameter,
  pasteTracks,
  tracksWith,
} from "../document/edits.js";
import * as selections from "../document/selection.js";
import { withKeyframe } from "../document/time_edits.js";
import { hitTest } from "./hit.js";
import { withKnob } from "./region.js";
import { imageAt, wentFar } from "./tool.js";

/**
 * @typedef {import("./tool.js").ToolEvent} ToolEvent
 * @typedef {import("./tool.js").ToolScene} ToolScene
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {import("../curve/geometry.js").ViewPoint} ViewPoint
 * @typedef {import("./hit.js").Hit} Hit
 */

/**
 * @typedef {{mode: "idle"}
 *   | {mode: "press" | "drag", hit: Hit, from: ImagePoint, view: ViewPoint, copy: boolean, slide: boolean, turn: number}
 *   | {mode: "box", from: ImagePoint, before: import("../document/selection.js").Selection}} SelectState
 * @typedef {import("./tool.js").Outcome<SelectState>} SelectOutcome
 */

/** @type {SelectState} */
const IDLE = { mode: "idle" };

/** @type {import("./tool.js").Tool<SelectState>} */
export const selectTool = { name: "select", start: IDLE, cursor: "default", step };

/** @type {(state: SelectState, event: ToolEvent, scene: ToolScene) => SelectOutcome} */
function step(state, event, scene) {
  if (event.type === "down") return press(event, scene);
  if (event.type === "double") return doubled(event, scene);
  if (event.type === "cancel") return { state: IDLE, document: scene.document, overlay: null };
  if (state.mode === "idle") return { state };
  if (state.mode === "box") return box(state, event, scene);
  if (event.type === "move") {
    if (state.mode === "press" && !wentFar(state.view, event)) return { state };
    const outcome = dragged(state, event, scene);
    const turn = findTrack(outcome.document, state.hit.id)?.region?.turn ?? 0;
    return { ...outcome, state: { ...state, mode: "drag", turn } };
  }
  if (event.type !== "up") return { state };
  if (state.mode === "drag") return { ...dragged(state, event, scene), state: IDLE, commit: true };
  return { state: IDLE, ...(!event.shift && { selection: clicked(state.hit, scene) }) };
}

/** A mere click leaves what was hit, of all that was selected. @type {(hit: Hit, scene: ToolScene) => import("../document/selection.js").Selection} */
function clicked(hit, { document, selection }) {
  if (hit.part === "handle" || hit.part === "knob") return selection;
  const single = hit.part === "point" && (findTrack(document, hit.id)?.points.length ?? 0) > 1;
  return single ? selections.selectPoint(hit.id, hit.index) : selections.selectTracks(document, [hit.id]);
}

/** @type {(event: ToolEvent, scene: ToolScene) => SelectOutcome} */
function press(event, scene) {
  const hit = hitTest(scene, event.at, event.reach);
  const from = imageAt(scene, event);
  if (!hit) {
    const before = event.shift ? scene.selection : selections.NOTHING;
    return { state: { mode: "box", from, before }, selection: before };
  }
  if (hit.part === "point" && event.alt) {
    return {
      state: IDLE,
      document: deletePoints(scene.document, new Map([[hit.id, new Set([hit.index])]])),
      commit: true,
    };
  }
  /** @type {SelectState} */
  const state = {
    mode: "press",
    hit,
    from,
    view: event.at,
    copy: event.alt,
    slide: event.ctrl && hit.part === "now",
    turn: findTrack(scene.document, hit.id)?.region?.turn ?? 0,
  };
  return { state, selection: pressed(hit, event, scene) };
}

/** @type {(hit: Hit, event: ToolEvent, scene: ToolScene) => import("../document/selection.js").Selection} */
function pressed(hit, event, { document, selection }) {
  if (hit.part === "handle" || hit.part === "knob") return selection;
  const single = hit.part === "point" && (findTrack(document, hit.id)?.points.length ?? 0) > 1;
  if (hit.part === "point" && single) {
    if (event.shift) return selections.togglePoint(selection, hit.id, hit.index);
    const held = selection.tracks.size > 1 && selection.tracks.has(hit.id) && !selection.points.size;
    return held || selection.points.get(hit.id)?.has(hit.index) ? selection : selections.selectPoint(hit.id, hit.index);
  }
  if (event.shift) return selections.toggleTrack(document, selection, hit.id);
  const chosen = selection.tracks.has(hit.id) && selection.points.size === 0;
  return chosen ? selection : selections.selectTracks(document, [hit.id]);
}

/** @type {(state: Extract<SelectState, {mode: "press" | "drag"}>, event: ToolEvent, scene: ToolScene) => {document: import("../document/format.js").Document, selection?: import("../document/selection.js").Selection}} */
function dragged({ hit, from, copy, slide, turn }, event, scene) {
  const { document, selection } = scene;
  const to = imageAt(scene, event);
  if (hit.part === "handle") return { document: moveHandle(document, hit.id, hit.index, hit.side, to, event.alt) };
  if (hit.part === "knob") return { document: withKnob(document, hit.id, event.at, scene.view, event.shift, turn) };
  if (slide) return { document: slid(document, hit.id, to, scene.frame) };
  let [dx, dy] = [to.x - from.x, to.y - from.y];
  if (event.shift) [dx, dy] = Math.abs(dx) > Math.abs(dy) ? [dx, 0] : [0, dy];
  if (copy) {
    const pasted = pasteTracks(document, tracksWith(document, selection.tracks), dx, dy);
    return { document: pasted.document };
  }
  return { document: movePoints(document, selections.movablePoints(document, selection), dx, dy) };
}

/** The moving point pulled along its curve: a keyframe at this frame. @type {(document: import("../document/format.js").Document, id: string, to: ImagePoint, frame: number) => import("../document/format.js").Document} */
const slid = (document, id, to, frame) =>
  changeTracks(document, new Set([id]), (track) => {
    const since = frame - track.start;
    if (track.kind === "anchor" || since < 0 || since > track.duration) return track;
    return withKeyframe(track, since, nearestParameter(track, to));
  });

/** @type {(state: Extract<SelectState, {mode: "box"}>, event: ToolEvent, scene: ToolScene) => SelectOutcome} */
function box(state, event, scene) {
  const to = imageAt(scene, event);
  const selection = selections.selectBox(scene.document, boxOf(state.from, to), state.before);
  if (event.type === "move") return { state, selection, overlay: { kind: "box", from: state.from, to } };
  return event.type === "up" ? { state: IDLE, overlay: null } : { state };
}

/** @type {(event: ToolEvent, scene: ToolScene) => SelectOutcome} */
function doubled(event, scene) {
  const hit = hitTest(scene, event.at, event.reach);
  if (hit?.part !== "curve") return { state: IDLE };
  const document = insertPoint(scene.document, hit.id, hit.u);
  return { state: IDLE, document, commit: true, selection: selections.selectPoint(hit.id, Math.floor(hit.u) + 1) };
}
