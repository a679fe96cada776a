/** The camera's moves: what kinds there are, within which bounds, and changes to one of them. */

import { clamp } from "../curve/geometry.js";

/**
 * A move of the camera over everything drawn; projection.js says what it does. easing: of all but handheld, which has a
 * seed.
 * @typedef {"pan" | "tilt" | "roll" | "dolly" | "truck" | "pedestal" | "orbit" | "zoom" | "handheld"} MoveKind
 * @typedef {import("../curve/easing.js").Span} Span
 * @typedef {Span & {readonly move: MoveKind, readonly amount: number,
 *   readonly easing?: import("../curve/easing.js").Easing, readonly seed?: number}} Move
 */

/** Least and largest amount of every move: degrees, distances of the plane, a factor. @type {Record<MoveKind, readonly [number, number]>} */
export const AMOUNTS = {
  pan: [-360, 360],
  tilt: [-360, 360],
  roll: [-360, 360],
  dolly: [-100, 100],
  truck: [-100, 100],
  pedestal: [-100, 100],
  orbit: [-360, 360],
  zoom: [0.01, 100],
  handheld: [0, 45],
};
export const MOVES = /** @type {readonly MoveKind[]} */ (Object.keys(AMOUNTS));
export const MAX_MOVES = 100;
export const MAX_SEED = 2 ** 32 - 1;

/** Amounts of moves that one can see and that leave the picture in sight. @type {Record<MoveKind, number>} */
const FIRST_AMOUNTS = {
  pan: 10,
  tilt: 6,
  roll: 10,
  dolly: 0.25,
  truck: 0.2,
  pedestal: 0.12,
  orbit: 20,
  zoom: 1.4,
  handheld: 0.8,
};

/** A move in the time of `span`, by an amount that shows what it does. @type {(span: Span, kind: MoveKind) => Move} */
export const newMove = ({ start, duration }, kind) => ({
  move: kind,
  amount: FIRST_AMOUNTS[kind],
  start,
  duration,
  ...(kind !== "handheld" && { easing: /** @type {const} */ ("ease_in_out") }),
});

/** Within what the kind allows. @type {(move: Move, amount: number) => Move} */
export const withAmount = (move, amount) => ({ ...move, amount: clamp(amount, ...AMOUNTS[move.move]) });

/** @type {(move: Move, start: number, duration: number) => Move} */
export const withMoveSpan = (move, start, duration) => ({ ...move, start, duration: Math.max(0, duration) });

/** Times by `ratio`. @type {(moves: readonly Move[], ratio: number) => Move[]} */
export const scaledInTime = (moves, ratio) =>
  moves.map((move) => ({ ...move, start: move.start * ratio, duration: move.duration * ratio }));
