/** A document's camera moves, strictly: the same rules as motionstream_core's tracks/camera/parse.py. */

import { EASINGS, MAX_FRAMES } from "../document/document.js";
import { choice, count, fail, isObject, list, number, object } from "../document/strict_json.js";
import { AMOUNTS, MAX_SEED, MOVES } from "./pose.js";

/** @typedef {import("../document/document.js").Move} Move */

export const MAX_MOVES = 100;
const NEEDED = ["move", "amount", "start", "duration"];

/** @type {(value: unknown, place: string) => Move[]} */
export function readMoves(value, place) {
  const moves = list(value, place, readMove);
  if (moves.length > MAX_MOVES) fail(place, moves.length, `at most ${MAX_MOVES} moves can be combined; leave some out`);
  return moves;
}

/** @type {(value: unknown, place: string) => Move} */
function readMove(value, place) {
  const handheld = isObject(value) && value.move === "handheld";
  const fields = object(value, place, NEEDED, [handheld ? "seed" : "easing"]);
  const move = choice(fields.move, `${place}.move`, MOVES);
  const [least, most] = AMOUNTS[move];
  return {
    move,
    amount: number(fields.amount, `${place}.amount`, least, most),
    start: number(fields.start, `${place}.start`, -MAX_FRAMES, MAX_FRAMES),
    duration: number(fields.duration, `${place}.duration`, 0, MAX_FRAMES),
    ...("easing" in fields && { easing: choice(fields.easing, `${place}.easing`, EASINGS) }),
    ...("seed" in fields && { seed: count(fields.seed, `${place}.seed`, MAX_SEED, 0) }),
  };
}
