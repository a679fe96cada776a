/** Drawing in one stroke: free-hand, live (recorded in time), the grid brush, anchors. */

import { wholeClip } from "../curve/easing.js";
import { recordedPoints, strokePoints } from "../curve/smoothing.js";
import { addTracks } from "../document/edits.js";
import { newIds } from "../document/format.js";
import { NOTHING, selectTracks } from "../document/selection.js";
import { hitTest } from "./hit.js";
import { gridOf, imageAt, pixelOf, wentFar } from "./tool.js";

/**
 * @typedef {import("./tool.js").ToolEvent} ToolEvent
 * @typedef {import("./tool.js").ToolScene} ToolScene
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {import("../document/format.js").Shape} Shape
 */

/**
 * stroke: where the pointer was and when, since it went down; null while it is up. far: whether it has moved.
 * @typedef {{stroke: readonly {point: ImagePoint, frame: number}[] | null, far: boolean, from: import("../curve/geometry.js").ViewPoint | null}} StrokeState
 */

/** @type {StrokeState} */
const IDLE = { stroke: null, far: false, from: null };

/** A tool whose stroke becomes one track: `shape` says which; null for none. @type {(name: string, shape: (stroke: readonly {point: ImagePoint, frame: number}[], far: boolean, scene: ToolScene) => Shape | null) => import("./tool.js").Tool<StrokeState>} */
const strokeTool = (name, shape) => ({
  name,
  start: IDLE,
  cursor: "crosshair",
  step(state, event, scene) {
    const at = { point: imageAt(scene, event), frame: event.frame };
    if (event.type === "cancel") return { state: IDLE, document: scene.document, overlay: null };
    if (event.type === "down")
      return { state: { stroke: [at], far: false, from: event.at }, overlay: overlayOf([at], scene) };
    if (!state.stroke || !state.from)
      return event.type === "move" ? { state, overlay: overlayOf([at], scene) } : { state };
    const stroke = event.type === "move" || event.type === "up" ? [...state.stroke, at] : state.stroke;
    const far = state.far || wentFar(state.from, event);
    if (event.type !== "up") return { state: { ...state, stroke, far }, overlay: overlayOf(stroke, scene) };
    const made = shape(stroke, far, scene);
    if (!made) return { state: IDLE, overlay: null, ...(!far && { selection: clickedOn(event, scene) }) };
    const [id] = newIds(scene.document, 1);
    const document = addTracks(scene.document, [{ id, ...made }]);
    return { state: IDLE, document, commit: true, selection: selectTracks(document, [id]), overlay: null };
  },
});

/** Where nothing comes of a click it chooses what it meets. @type {(event: ToolEvent, scene: ToolScene) => import("../document/selection.js").Selection} */
function clickedOn(event, scene) {
  const hit = hitTest(scene, event.at, event.reach);
  return hit ? selectTracks(scene.document, [hit.id]) : NOTHING;
}

/** @type {(stroke: readonly {point: ImagePoint}[], scene: ToolScene) => import("./tool.js").Overlay} */
function overlayOf(stroke, { options }) {
  const grid = gridOf(options);
  const last = stroke[stroke.length - 1].point;
  if (grid && stroke.length === 1) return { kind: "grid", at: last, grid, anchor: options.anchor };
  return { kind: "line", points: stroke.map(({ point }) => point) };
}

/** @type {(at: ImagePoint, scene: ToolScene) => Shape} */
const anchorShape = ({ x, y }, { document, options }) => {
  const grid = gridOf(options);
  return {
    kind: "anchor",
    interpolation: "linear",
    points: [[x, y]],
    ...wholeClip(document.canvas),
    ...(grid && { grid }),
  };
};

/** @type {(stroke: readonly {point: ImagePoint}[], far: boolean, scene: ToolScene) => Shape} */
function pathShape(stroke, far, scene) {
  const grid = gridOf(scene.options);
  const points = far
    ? strokePoints(
        stroke.map(({ point }) => point),
        scene.options.smoothing,
        pixelOf(scene),
      )
    : [stroke[0].point];
  return {
    kind: "path",
    interpolation: "freehand",
    points: points.map(({ x, y }) => [x, y]),
    ...wholeClip(scene.document.canvas),
    ...(grid && { grid }),
  };
}

/** A smoothed line with a span of its own. */
export const freehandTool = strokeTool("freehand", (stroke, far, scene) =>
  far ? pathShape(stroke, far, scene) : null,
);

/** A grid around the pointer: dragged along its way as one object, or set down as a region that must stay. */
export const gridTool = strokeTool("grid", (stroke, far, scene) =>
  scene.options.anchor ? anchorShape(stroke[stroke.length - 1].point, scene) : pathShape(stroke, far, scene),
);

/** A point that stays where the pointer is let go. */
export const anchorTool = strokeTool("anchor", (stroke, _, scene) =>
  anchorShape(stroke[stroke.length - 1].point, scene),
);

/** A drag in real time, while the clip plays: where the pointer was at every moment. */
export const recordTool = strokeTool("record", (stroke, far, scene) => {
  const within = stroke.filter(({ frame }, i) => i === 0 || frame <= scene.document.canvas.num_frames - 1);
  const { points, keyframes, duration } = recordedPoints(within, scene.options.smoothing, pixelOf(scene));
  if (!far || duration <= 0) return null;
  const grid = gridOf(scene.options);
  return {
    kind: "drag",
    interpolation: "catmull_rom",
    points: points.map(({ x, y }) => [x, y]),
    start: stroke[0].frame,
    duration,
    ...(keyframes.length > 1 && { keyframes }),
    ...(grid && { grid }),
  };
});
