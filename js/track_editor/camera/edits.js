/** Edits of the camera's moves: each takes a document and gives a new one. */

import { clamp } from "../curve/geometry.js";
import { movesOf, wholeClip } from "../document/document.js";
import { AMOUNTS } from "./pose.js";

/**
 * @typedef {import("../document/document.js").Document} Document
 * @typedef {import("../document/document.js").Canvas} Canvas
 * @typedef {import("../document/document.js").Move} Move
 * @typedef {import("../document/document.js").MoveKind} MoveKind
 */

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

/** @type {(document: Document, moves: readonly Move[]) => Document} */
export function withMoves({ canvas, tracks }, moves) {
  return moves.length ? { canvas, tracks, camera: moves } : { canvas, tracks };
}

/** A move over the whole clip. @type {(canvas: Canvas, kind: MoveKind) => Move} */
export const newMove = (canvas, kind) => ({
  move: kind,
  amount: FIRST_AMOUNTS[kind],
  ...wholeClip(canvas),
  ...(kind !== "handheld" && { easing: /** @type {const} */ ("ease_in_out") }),
});

/** @type {(document: Document, moves: readonly Move[]) => Document} */
export const addMoves = (document, moves) => withMoves(document, [...movesOf(document), ...moves]);

/** @type {(document: Document, index: number) => Document} */
export const removeMove = (document, index) =>
  withMoves(
    document,
    movesOf(document).filter((_, i) => i !== index),
  );

/** @type {(document: Document, index: number, change: (move: Move) => Move) => Document} */
export const changeMove = (document, index, change) =>
  withMoves(
    document,
    movesOf(document).map((move, i) => (i === index ? change(move) : move)),
  );

/** Another kind of move at the same time, with an amount that suits it. @type {(move: Move, kind: MoveKind, canvas: Canvas) => Move} */
export const withMoveKind = ({ start, duration }, kind, canvas) => ({ ...newMove(canvas, kind), start, duration });

/** Within what the kind allows. @type {(move: Move, amount: number) => Move} */
export const withAmount = (move, amount) => ({ ...move, amount: clamp(amount, ...AMOUNTS[move.move]) });

/** @type {(move: Move, start: number, duration: number) => Move} */
export const withMoveSpan = (move, start, duration) => ({ ...move, start, duration: Math.max(0, duration) });

/** Times by `ratio`. @type {(moves: readonly Move[], ratio: number) => Move[]} */
export const inTime = (moves, ratio) =>
  moves.map((move) => ({ ...move, start: move.start * ratio, duration: move.duration * ratio }));
