/**
 * The trajectory document's types, how it is made and how it is written. docs/tracks-format.md describes every field.
 * Documents are never changed in place: an edit makes a new one that shares what it left alone.
 */

import { rounded } from "../curve/geometry.js";

/**
 * @typedef {import("../curve/spline.js").Interpolation} Interpolation
 * @typedef {import("../curve/spline.js").ControlPoint} ControlPoint
 * @typedef {"drag" | "path" | "anchor"} Kind
 * @typedef {import("../curve/easing.js").Easing} Easing
 * @typedef {import("../curve/easing.js").Pace} Pace
 * @typedef {import("../camera/moves.js").Move} Move
 * @typedef {"hold" | "hide"} Hold
 * @typedef {{readonly width: number, readonly height: number, readonly num_frames: number, readonly fps: number}} Canvas
 * @typedef {{readonly columns: number, readonly rows: number, readonly dx: number, readonly dy: number}} Grid
 * @typedef {{readonly points: readonly (readonly [number, number])[], readonly turn?: number, readonly scale?: number}} Region
 */

/**
 * @typedef {object} Track
 * @property {string} id
 * @property {Kind} kind
 * @property {Interpolation} interpolation
 * @property {readonly ControlPoint[]} points
 * @property {number} start
 * @property {number} duration
 * @property {Pace} [easing]
 * @property {readonly (readonly [number, number])[]} [keyframes]
 * @property {Hold} [before]
 * @property {Hold} [after]
 * @property {readonly (readonly [number, number])[]} [hidden]
 * @property {Grid} [grid]
 * @property {string} [group]
 * @property {string} [name]
 * @property {string} [color]
 * @property {Region} [region]
 */

/** A track that has no name yet. @typedef {Omit<Track, "id">} Shape */

/**
 * camera: left out where there are no moves.
 * @typedef {{readonly canvas: Canvas, readonly tracks: readonly Readonly<Track>[], readonly camera?: readonly Move[]}} Document
 */

export const FORMAT = "motionstream-tracks";
/** The newest version. What needs nothing of it is written as version 1, which older packs read. */
export const VERSION = 2;
export const MAX_FRAMES = 1e6;

/** @type {readonly Kind[]} */
export const KINDS = ["drag", "path", "anchor"];
/** @type {readonly Hold[]} */
export const HOLDS = ["hold", "hide"];

/** @type {(canvas: Canvas) => Document} */
export const emptyDocument = (canvas) => ({ canvas, tracks: [] });

/** @type {readonly Move[]} */
const NO_MOVES = [];

/** @type {(document: Document) => readonly Move[]} */
export const movesOf = ({ camera }) => camera ?? NO_MOVES;

/** The first `count` ids t1, t2, ... that no track has. @type {(document: Document, count: number) => string[]} */
export function newIds(document, count) {
  const taken = new Set(document.tracks.map((track) => track.id));
  return firstFree("t", taken, count);
}

/** A group's name that no track bears. @type {(document: Document) => string} */
export const newGroup = (document) => firstFree("g", new Set(document.tracks.map((track) => track.group ?? "")), 1)[0];

/** @type {(letter: string, taken: Set<string>, count: number) => string[]} */
function firstFree(letter, taken, count) {
  const found = [];
  for (let number = 1; found.length < count; number++) {
    if (!taken.has(letter + number)) found.push(letter + number);
  }
  return found;
}

/**
 * The document as text, numbers to a thousandth, fields at their default left out.
 * An empty document on any canvas is written in full too; only the untouched widget is the empty string.
 * @type {(document: Document) => string}
 */
export function serialise(document) {
  const { canvas, tracks } = document;
  const moves = movesOf(document).map(plainMove);
  const camera = moves.length ? { camera: moves } : {};
  const plain = {
    format: FORMAT,
    version: tracks.some(isNewer) ? VERSION : 1,
    canvas,
    tracks: tracks.map(plainTrack),
    ...camera,
  };
  return JSON.stringify(plain, (_, value) => (typeof value === "number" ? rounded(value) : value));
}

/** Whether it has what version 1 has not. @type {(track: Track) => boolean} */
const isNewer = ({ name, color, region, easing, keyframes }) =>
  Boolean(name || color || region || (easing && typeof easing !== "string" && !keyframes));

/** @type {(move: Move) => object} */
const plainMove = ({ move, amount, start, duration, easing, seed }) => ({
  move,
  amount,
  start,
  duration,
  ...(easing && easing !== "linear" ? { easing } : {}),
  ...(seed ? { seed } : {}),
});

/** @type {(track: Track) => object} */
function plainTrack(track) {
  const { id, kind, interpolation, points, start, duration, easing, keyframes, before, after, hidden } = track;
  const { grid, group, name, color, region } = track;
  return {
    id,
    kind,
    interpolation,
    points,
    start,
    duration,
    ...(easing && easing !== "linear" && !keyframes ? { easing } : {}),
    ...(keyframes ? { keyframes } : {}),
    ...(before === "hide" ? { before } : {}),
    ...(after === "hide" ? { after } : {}),
    ...(hidden?.length ? { hidden } : {}),
    ...(grid ? { grid } : {}),
    ...(group ? { group } : {}),
    ...(name ? { name } : {}),
    ...(color ? { color } : {}),
    ...(region ? { region: plainRegion(region) } : {}),
  };
}

/** @type {(region: Region) => object} */
const plainRegion = ({ points, turn, scale }) => ({
  points,
  ...(turn ? { turn } : {}),
  ...(scale && scale !== 1 ? { scale } : {}),
});
