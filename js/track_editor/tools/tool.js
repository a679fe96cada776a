/**
 * What a tool is: a small state machine without a surface of its own. An event and the scene give the next state, and
 * what it did. `document` in an outcome is a draft until a later outcome says `commit`.
 */

import { distance, toImage } from "../curve/geometry.js";

/**
 * @typedef {import("../curve/geometry.js").ViewPoint} ViewPoint
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../document/format.js").Grid} Grid
 * @typedef {import("../document/selection.js").Selection} Selection
 */

/**
 * type: down, move (pressed or not), up, cancel; double (after its second up); finish and back come from the keyboard.
 * frame: the time at which it happened, in frames, running on while the clip plays.
 * @typedef {{type: "down" | "move" | "up" | "cancel" | "double" | "finish" | "back", at: ViewPoint, frame: number,
 *   shift: boolean, alt: boolean, ctrl: boolean, reach: number}} ToolEvent
 */

/**
 * @typedef {object} ToolOptions
 * @property {import("../document/format.js").Interpolation} interpolation  of tracks drawn by points
 * @property {number} smoothing  of strokes, 0..1
 * @property {{spacing: number, size: number} | null} grid  px of the image; null draws single points
 * @property {boolean} anchor  whether the grid brush paints a region that stays
 * @property {number} brush  radius of the object brush, px of the surface
 * @property {number} brushPoints  how many points a brushed object gets, about
 * @property {number} similar  0..1: how unlike the colour clicked a part of an object may be
 */

/**
 * document: what was last committed. pixel-sized things are measured in the view. pixels: of the picture shown, over the
 * whole canvas, in so many columns and rows; null where there is none.
 * @typedef {import("./hit.js").Scene & {options: ToolOptions, pixels: Pixels}} ToolScene
 * @typedef {(columns: number, rows: number) => import("./mask.js").Pixels | null} Pixels
 */

/**
 * What to show beside the document while a tool is at work; of hand and plane there may be several (the model's marks).
 * @typedef {{kind: "line", points: readonly ImagePoint[]}
 *   | {kind: "box", from: ImagePoint, to: ImagePoint}
 *   | {kind: "grid", at: ImagePoint, grid: Grid, anchor: boolean}
 *   | {kind: "paint", points: readonly ImagePoint[], radius: number, wipe: boolean}
 *   | {kind: "hand", at: ImagePoint, grid: Grid, held: boolean}
 *   | {kind: "plane", pose: import("../camera/projection.js").Pose}} Overlay
 */

/**
 * @template S
 * @typedef {{state: S, document?: Document, selection?: Selection, commit?: boolean, overlay?: Overlay | null}} Outcome
 */

/**
 * @template S
 * @typedef {{name: string, start: S, cursor: string, step: (state: S, event: ToolEvent, scene: ToolScene) => Outcome<S>}} Tool
 */

/** A pointer that went less far than this did not mean to drag. */
const DRAG_PX = 4;

/** @type {(scene: ToolScene, event: ToolEvent) => ImagePoint} */
export const imageAt = (scene, event) => toImage(scene.view, event.at);

/** The size of a px of the surface, in px of the image. @type {(scene: ToolScene) => number} */
export const pixelOf = (scene) => 1 / scene.view.scale;

/** @type {(from: ViewPoint, event: ToolEvent) => boolean} */
export const wentFar = (from, event) => distance(from, event.at) >= DRAG_PX;

/** @type {(options: ToolOptions) => Grid | undefined} */
export function gridOf({ grid }) {
  if (!grid) return undefined;
  const count = Math.min(1000, Math.max(1, Math.floor(grid.size / grid.spacing) + 1));
  return { columns: count, rows: count, dx: grid.spacing, dy: grid.spacing };
}
