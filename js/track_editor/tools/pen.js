/** Drawing by points: every click one more; a drag pulls Bezier handles; the last point again, or Enter, ends it. */

import { wholeClip } from "../curve/easing.js";
import { distance, imagePoint, toView } from "../curve/geometry.js";
import { addTracks, changeTracks, deletePoints, findTrack, moveHandle } from "../document/edits.js";
import { newIds } from "../document/format.js";
import { selectTracks } from "../document/selection.js";
import { gridOf, imageAt, wentFar } from "./tool.js";

/**
 * id: the track that is being drawn. pressed: where, while a point's handles may be pulled; `made` has that point.
 * @typedef {{id: string | null, pressed: import("../curve/geometry.js").ViewPoint | null, made: import("../document/format.js").Document | null}} PenState
 * @typedef {import("./tool.js").Outcome<PenState>} PenOutcome
 */

/** @type {PenState} */
const IDLE = { id: null, pressed: null, made: null };

/** @type {import("./tool.js").Tool<PenState>} */
export const penTool = { name: "pen", start: IDLE, cursor: "crosshair", step };

/** @type {(state: PenState, event: import("./tool.js").ToolEvent, scene: import("./tool.js").ToolScene) => PenOutcome} */
function step(state, event, scene) {
  const track = state.id ? findTrack(state.made ?? scene.document, state.id) : undefined;
  if (!track) state = { ...IDLE };
  if (event.type === "down") return press(track, event, scene);
  if (event.type === "finish") return { state: IDLE, overlay: null };
  if (event.type === "cancel")
    return { state: { ...state, pressed: null, made: null }, document: scene.document, overlay: null };
  if (event.type === "back") return back(state, track, scene);
  if (!track) return { state };
  const last = track.points[track.points.length - 1];
  if (state.pressed && state.made) {
    let document = state.made;
    if (track.interpolation === "bezier" && wentFar(state.pressed, event)) {
      document = moveHandle(document, track.id, track.points.length - 1, "out", imageAt(scene, event), false);
      document = mirroredHandle(document, track.id);
    }
    if (event.type === "up") return { state: { id: state.id, pressed: null, made: null }, document, commit: true };
    return { state, document };
  }
  return { state, overlay: { kind: "line", points: [imagePoint(last[0], last[1]), imageAt(scene, event)] } };
}

/** @type {(track: import("../document/format.js").Track | undefined, event: import("./tool.js").ToolEvent, scene: import("./tool.js").ToolScene) => PenOutcome} */
function press(track, event, scene) {
  let at = imageAt(scene, event);
  if (!track) {
    const [id] = newIds(scene.document, 1);
    const { interpolation } = scene.options;
    const grid = gridOf(scene.options);
    const made = addTracks(scene.document, [
      {
        id,
        kind: "path",
        interpolation,
        points: [pointOf(at, interpolation)],
        ...wholeClip(scene.document.canvas),
        ...(grid && { grid }),
      },
    ]);
    return { state: { id, pressed: event.at, made }, document: made, selection: selectTracks(made, [id]) };
  }
  const place = (/** @type {readonly number[]} */ [x, y]) => toView(scene.view, imagePoint(x, y));
  const [first, last] = [track.points[0], track.points[track.points.length - 1]];
  if (distance(place(last), event.at) <= event.reach) return { state: IDLE, overlay: null };
  if (track.points.length > 2 && distance(place(first), event.at) <= event.reach) at = imagePoint(first[0], first[1]);
  const made = changeTracks(scene.document, new Set([track.id]), (each) => ({
    ...each,
    points: [...each.points, pointOf(at, each.interpolation)],
  }));
  return { state: { id: track.id, pressed: event.at, made }, document: made, overlay: null };
}

/** @type {(at: import("../curve/geometry.js").ImagePoint, interpolation: string) => number[]} */
const pointOf = ({ x, y }, interpolation) => (interpolation === "bezier" ? [x, y, 0, 0, 0, 0] : [x, y]);

/** The last point's first handle opposite its second. @type {(document: import("../document/format.js").Document, id: string) => import("../document/format.js").Document} */
const mirroredHandle = (document, id) =>
  changeTracks(document, new Set([id]), (track) => ({
    ...track,
    points: track.points.map((point, i) =>
      i === track.points.length - 1 ? [point[0], point[1], -point[4], -point[5], point[4], point[5]] : point,
    ),
  }));

/** @type {(state: PenState, track: import("../document/format.js").Track | undefined, scene: import("./tool.js").ToolScene) => PenOutcome} */
function back(state, track, scene) {
  if (!track) return { state };
  const document = deletePoints(scene.document, new Map([[track.id, new Set([track.points.length - 1])]]));
  return { state: { ...state, pressed: null, made: null }, document, commit: true, overlay: null };
}
