/**
 * The object brush: paint an object, or click a part of one colour, and it is one object of points; then drag it, and it
 * goes that way. Alt wipes out, Shift adds to what has a way already.
 */

import { wholeClip } from "../curve/easing.js";
import { distance } from "../curve/geometry.js";
import { strokePoints } from "../curve/smoothing.js";
import { addTracks, changeTracks, findTrack, removeTracks } from "../document/edits.js";
import { newIds } from "../document/format.js";
import { positionAt } from "../document/sampling.js";
import { NOTHING, selectTracks } from "../document/selection.js";
import { emptyMask, likeHere, ofPoints, pointsIn, united, withStroke } from "./mask.js";
import { covers, knobOf, placesAt, withKnob } from "./region.js";
import { imageAt, pixelOf, wentFar } from "./tool.js";

/**
 * @typedef {import("./tool.js").ToolEvent} ToolEvent
 * @typedef {import("./tool.js").ToolScene} ToolScene
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {import("../curve/geometry.js").ViewPoint} ViewPoint
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("./mask.js").Mask} Mask
 */

/**
 * stroke: where the pointer was since it went down. id: what is dragged, turned, or painted on.
 * @typedef {{mode: "idle", stroke: null}
 *   | {mode: "paint" | "drag" | "turn", id: string | null, wipe: boolean, from: ViewPoint, far: boolean, turn: number,
 *     stroke: readonly ImagePoint[]}} BrushState
 * @typedef {import("./tool.js").Outcome<BrushState>} BrushOutcome
 */

/** @type {BrushState} */
const IDLE = { mode: "idle", stroke: null };

/** @type {import("./tool.js").Tool<BrushState>} */
export const brushTool = { name: "brush", start: IDLE, cursor: "crosshair", step };

/** What was painted, while the page lasts; else it is found again from the points. @type {WeakMap<object, Mask>} */
const masks = new WeakMap();

/** @type {(state: BrushState, event: ToolEvent, scene: ToolScene) => BrushOutcome} */
function step(state, event, scene) {
  if (event.type === "cancel") return { state: IDLE, document: scene.document, overlay: null };
  if (event.type === "down") return press(event, scene);
  const at = imageAt(scene, event);
  if (state.mode === "idle") return { state, overlay: event.type === "move" ? ring(scene, at, event.alt) : null };
  if (event.type !== "move" && event.type !== "up") return { state };
  const far = state.far || wentFar(state.from, event);
  const next = { ...state, far, stroke: [...state.stroke, at] };
  if (state.mode === "turn") return turned(next, event, scene);
  if (state.mode === "drag") return dragged(next, event, scene);
  return painted(next, event, scene);
}

/** @type {(scene: ToolScene, at: ImagePoint, wipe: boolean) => import("./tool.js").Overlay} */
const ring = (scene, at, wipe) => ({ kind: "paint", points: [at], radius: scene.options.brush, wipe });

/** @type {(event: ToolEvent, scene: ToolScene) => BrushOutcome} */
function press(event, scene) {
  const at = imageAt(scene, event);
  const chosen = chosenObject(scene);
  const begun = { from: event.at, far: false, turn: chosen?.region?.turn ?? 0, stroke: [at], wipe: event.alt };
  if (chosen && distance(knobOf(chosen, scene.view).knob, event.at) <= event.reach) {
    return { state: { ...begun, mode: "turn", id: chosen.id }, overlay: null };
  }
  const below = objectAt(scene, at);
  if (below && !event.alt && !event.shift) {
    const selection = selectTracks(scene.document, [below.id]);
    return { state: { ...begun, mode: "drag", id: below.id }, selection, overlay: null };
  }
  // One that has no way yet is still being painted.
  const open = chosen && (event.shift || event.alt || chosen.points.length < 2) ? chosen.id : null;
  return { state: { ...begun, mode: "paint", id: open }, overlay: ring(scene, at, event.alt) };
}

/** @type {(scene: ToolScene) => Track | null} */
function chosenObject({ document, selection }) {
  if (selection.tracks.size !== 1) return null;
  const track = findTrack(document, [...selection.tracks][0]);
  return track?.region ? track : null;
}

/** The topmost object under a place at the frame shown; the chosen one before others. @type {(scene: ToolScene, at: ImagePoint) => Track | null} */
export function objectAt({ document, selection, frame }, at) {
  const found = document.tracks.filter((track) => track.region && covers(track, frame, at));
  return found.find(({ id }) => selection.tracks.has(id)) ?? found.at(-1) ?? null;
}

/** @type {(state: Exclude<BrushState, {mode: "idle"}>, event: ToolEvent, scene: ToolScene) => BrushOutcome} */
function turned(state, event, scene) {
  const document = withKnob(scene.document, state.id ?? "", event.at, scene.view, event.shift, state.turn);
  const turn = findTrack(document, state.id ?? "")?.region?.turn ?? state.turn;
  return event.type === "up" ? { state: IDLE, document, commit: true } : { state: { ...state, turn }, document };
}

/** The way of an object, from where it is: what the stroke went, from its middle. @type {(state: Exclude<BrushState, {mode: "idle"}>, event: ToolEvent, scene: ToolScene) => BrushOutcome} */
function dragged(state, event, scene) {
  const track = findTrack(scene.document, state.id ?? "");
  if (!track || !state.far) return { state: event.type === "up" ? IDLE : state };
  const from = positionAt(track, track.start);
  const [dx, dy] = [from.x - state.stroke[0].x, from.y - state.stroke[0].y];
  const way = strokePoints(state.stroke, scene.options.smoothing, pixelOf(scene));
  const document = changeTracks(scene.document, new Set([track.id]), ({ keyframes: _, ...each }) => ({
    ...each,
    kind: /** @type {const} */ ("path"),
    interpolation: /** @type {const} */ ("freehand"),
    points: way.map(({ x, y }) => [x + dx, y + dy]),
  }));
  return event.type === "up" ? { state: IDLE, document, commit: true } : { state, document };
}

/** @type {(state: Exclude<BrushState, {mode: "idle"}>, event: ToolEvent, scene: ToolScene) => BrushOutcome} */
function painted(state, event, scene) {
  const overlay = { kind: /** @type {const} */ ("paint"), radius: scene.options.brush, wipe: state.wipe };
  if (event.type === "move") return { state, overlay: { ...overlay, points: state.stroke } };
  const before = state.id ? findTrack(scene.document, state.id) : undefined;
  const mask = strokeMask(state, scene, before);
  return { state: IDLE, overlay: null, ...withObject(scene.document, mask, scene.options.brushPoints, before) };
}

/** @type {(state: Exclude<BrushState, {mode: "idle"}>, scene: ToolScene, before: Track | undefined) => Mask} */
function strokeMask(state, scene, before) {
  const { canvas } = scene.document;
  const old = before ? maskOf(before, scene) : emptyMask(canvas);
  const pixels = state.far || state.wipe ? null : scene.pixels(old.columns, old.rows);
  if (pixels) return united(old, likeHere(emptyMask(canvas), pixels, state.stroke[0], scene.options.similar));
  return withStroke(old, state.stroke, scene.options.brush * pixelOf(scene), state.wipe);
}

/** @type {(track: Track, scene: ToolScene) => Mask} */
const maskOf = (track, { document }) =>
  masks.get(track.region?.points ?? track) ?? ofPoints(document.canvas, placesAt(track, track.start));

/**
 * An object of what a mask covers, or one that was there before with another form.
 * @type {(document: import("../document/format.js").Document, mask: Mask, count: number, before?: Track) =>
 *   {document?: import("../document/format.js").Document, commit?: boolean, selection?: import("../document/selection.js").Selection}}
 */
export function withObject(document, mask, count, before) {
  const places = pointsIn(mask, count);
  if (!places.length) {
    if (!before) return {};
    return { document: removeTracks(document, new Set([before.id])), commit: true, selection: NOTHING };
  }
  const sum = places.reduce((a, b) => ({ x: a.x + b.x, y: a.y + b.y }));
  const middle = { x: sum.x / places.length, y: sum.y / places.length };
  const at = before ? positionAt(before, before.start) : middle;
  const moves = before !== undefined && before.points.length > 1;
  const origin = moves ? at : middle;
  const points = places.map(({ x, y }) => /** @type {[number, number]} */ ([x - origin.x, y - origin.y]));
  masks.set(points, mask);
  if (before) {
    const made = changeTracks(document, new Set([before.id]), (track) => ({
      ...track,
      ...(!moves && { points: [[middle.x, middle.y]] }),
      region: { ...track.region, points },
    }));
    return { document: made, commit: true };
  }
  const [id] = newIds(document, 1);
  const shape = { kind: /** @type {const} */ ("path"), interpolation: /** @type {const} */ ("freehand") };
  const made = addTracks(document, [
    { id, ...shape, points: [[middle.x, middle.y]], ...wholeClip(document.canvas), region: { points } },
  ]);
  return { document: made, commit: true, selection: selectTracks(made, [id]) };
}
