/**
 * The trajectory document from text, strictly: the same rules as motionstream_core's tracks/drawn/parse.py and
 * tracks/camera/parse.py, held to them by tests/data/documents.json and camera.json. (A field that stands twice is found by Python
 * alone: the browser's JSON keeps the last.)
 */

import { AMOUNTS, MAX_MOVES, MAX_SEED, MOVES } from "../camera/moves.js";
import { EASINGS } from "../curve/easing.js";
import { INTERPOLATIONS } from "../curve/spline.js";
import { emptyDocument, FORMAT, HOLDS, KINDS, MAX_FRAMES, VERSION } from "./format.js";
import { choice, count, fail, isObject, list, name, number, object, show, TrackFormatError } from "./strict_json.js";

/**
 * @typedef {import("./format.js").Document} Document
 * @typedef {import("./format.js").Canvas} Canvas
 * @typedef {import("./format.js").Track} Track
 * @typedef {import("./format.js").Move} Move
 */

const MAX_PX = 1e6;
const MAX_SIDE_PX = 16384;
const MAX_FPS = 1000;
const MAX_POINTS = 100000;
const TRACK_NEEDED = ["id", "kind", "interpolation", "points", "start", "duration"];
const TRACK_OPTIONAL = ["easing", "keyframes", "before", "after", "hidden", "grid", "group"];
const TRACK_NEW = ["name", "color", "region"];
const MAX_NAME = 64;
const MAX_TURN = 3600;
const MAX_SCALE = 100;
const MOVE_NEEDED = ["move", "amount", "start", "duration"];

/**
 * The document that `text` spells; empty text is a document without tracks, of `defaultCanvas`.
 * @type {(text: string, defaultCanvas: Canvas) => Document}
 */
export function parseDocument(text, defaultCanvas) {
  if (!text.trim()) return emptyDocument(defaultCanvas); // trim takes a byte-order mark for a blank
  let value;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new TrackFormatError(`document: the text ${show(text)} is not JSON (${String(error).slice(0, 200)})`);
  }
  const { version, canvas, tracks, camera = [] } = headOf(value);
  const read = list(tracks, "tracks", (each, at) => readTrack(each, at, version === VERSION));
  const moves = readMoves(camera, "camera");
  const document = { canvas: readCanvas(canvas), tracks: read, ...(moves.length && { camera: moves }) };
  const seen = new Map();
  document.tracks.forEach((track, index) => {
    if (seen.has(track.id)) {
      fail(`tracks[${index}].id`, track.id, `tracks[${seen.get(track.id)}] has it already; give every track its own`);
    }
    seen.set(track.id, index);
  });
  const numPoints = document.tracks.reduce(
    (sum, { grid, region }) => sum + (region ? region.points.length : grid ? grid.columns * grid.rows : 1),
    0,
  );
  if (numPoints > MAX_POINTS) fail("tracks", numPoints, `at most ${MAX_POINTS} points, grids and regions spread out`);
  return document;
}

/** The document's own fields. Version 2 adds fields of tracks to version 1, and both are read. @type {(value: unknown) => Record<string, unknown>} */
function headOf(value) {
  if (isObject(value)) {
    if ("format" in value && value.format !== FORMAT) fail("format", value.format, `it must be "${FORMAT}"`);
    if ("version" in value && value.version !== VERSION && value.version !== 1) {
      fail("version", value.version, `this pack reads versions 1 and ${VERSION}; update the pack, or export again`);
    }
  }
  return object(value, "document", ["format", "version", "canvas", "tracks"], ["camera"]);
}

/** @type {(value: unknown) => Canvas} */
function readCanvas(value) {
  const fields = object(value, "canvas", ["width", "height", "num_frames", "fps"]);
  return {
    width: count(fields.width, "canvas.width", MAX_SIDE_PX),
    height: count(fields.height, "canvas.height", MAX_SIDE_PX),
    num_frames: count(fields.num_frames, "canvas.num_frames", MAX_FRAMES),
    fps: number(fields.fps, "canvas.fps", 1e-3, MAX_FPS),
  };
}

/** @type {(value: unknown, place: string, newer: boolean) => Track} */
function readTrack(value, place, newer) {
  const fields = object(value, place, TRACK_NEEDED, newer ? [...TRACK_OPTIONAL, ...TRACK_NEW] : TRACK_OPTIONAL);
  const kind = choice(fields.kind, `${place}.kind`, KINDS);
  const interpolation = choice(fields.interpolation, `${place}.interpolation`, INTERPOLATIONS);
  const points = list(fields.points, `${place}.points`, (each, at) => point(each, at, interpolation));
  if (!points.length || (kind === "anchor" && points.length !== 1)) {
    fail(`${place}.points`, fields.points, kind === "anchor" ? "an anchor has one point" : "give at least one point");
  }
  const duration = number(fields.duration, `${place}.duration`, 0, MAX_FRAMES);
  /** @type {Track} */
  const track = {
    id: name(fields.id, `${place}.id`),
    kind,
    interpolation,
    points,
    start: number(fields.start, `${place}.start`, -MAX_FRAMES, MAX_FRAMES),
    duration,
  };
  if ("keyframes" in fields) track.keyframes = readKeyframes(fields, place, duration, points.length - 1);
  if ("easing" in fields) track.easing = readEasing(fields.easing, `${place}.easing`, newer);
  if ("before" in fields) track.before = choice(fields.before, `${place}.before`, HOLDS);
  if ("after" in fields) track.after = choice(fields.after, `${place}.after`, HOLDS);
  if ("hidden" in fields) track.hidden = readHidden(fields.hidden, `${place}.hidden`);
  if ("grid" in fields) track.grid = readGrid(fields.grid, `${place}.grid`);
  if ("group" in fields) track.group = name(fields.group, `${place}.group`);
  if ("name" in fields) track.name = readName(fields.name, `${place}.name`);
  if ("color" in fields) track.color = readColor(fields.color, `${place}.color`);
  if ("region" in fields) {
    if ("grid" in fields) fail(`${place}.grid`, fields.grid, "a track with a region has no grid");
    track.region = readRegion(fields.region, `${place}.region`);
  }
  return track;
}

/** @type {(value: unknown, place: string, newer: boolean) => import("./format.js").Pace} */
function readEasing(value, place, newer) {
  if (!newer || !Array.isArray(value)) return choice(value, place, EASINGS);
  if (value.length !== 4) fail(place, value, "an easing curve is [x1, y1, x2, y2], each 0 to 1");
  const [x1, y1, x2, y2] = list(value, place, (each, at) => number(each, at, 0, 1));
  return [x1, y1, x2, y2];
}

/** @type {(value: unknown, place: string) => string} */
function readName(value, place) {
  const length = typeof value === "string" ? [...value].length : 0;
  if (typeof value !== "string" || !length || length > MAX_NAME || /\p{Cc}/u.test(value)) {
    fail(place, value, `it must be 1 to ${MAX_NAME} characters on one line`);
  }
  return value;
}

/** @type {(value: unknown, place: string) => string} */
function readColor(value, place) {
  if (typeof value !== "string" || !/^#[0-9a-f]{6}$/.test(value))
    fail(place, value, "it must be #rrggbb in small letters");
  return value;
}

/** @type {(value: unknown, place: string) => import("./format.js").Region} */
function readRegion(value, place) {
  const fields = object(value, place, ["points"], ["turn", "scale"]);
  const remedy = "an offset is [dx, dy] in px";
  const points = list(fields.points, `${place}.points`, (each, at) =>
    pair(each, at, [-MAX_PX, MAX_PX], [-MAX_PX, MAX_PX], remedy),
  );
  if (!points.length) fail(`${place}.points`, [], "give at least one offset [dx, dy]");
  return {
    points,
    ...("turn" in fields && { turn: number(fields.turn, `${place}.turn`, -MAX_TURN, MAX_TURN) }),
    ...("scale" in fields && { scale: number(fields.scale, `${place}.scale`, 1 / MAX_SCALE, MAX_SCALE) }),
  };
}

/** @type {(value: unknown, place: string, interpolation: string) => number[]} */
function point(value, place, interpolation) {
  const bezier = interpolation === "bezier";
  if (!Array.isArray(value) || !(value.length === 2 || (bezier && value.length === 6))) {
    fail(
      place,
      value,
      `a point of ${interpolation} is [x, y]${bezier ? " or [x, y, in_dx, in_dy, out_dx, out_dy]" : ""}`,
    );
  }
  const numbers = list(value, place, (each, at) => number(each, at, -MAX_PX, MAX_PX));
  return bezier && numbers.length === 2 ? [...numbers, 0, 0, 0, 0] : numbers;
}

/** @type {(fields: Record<string, unknown>, place: string, duration: number, lastPoint: number) => [number, number][]} */
function readKeyframes(fields, place, duration, lastPoint) {
  if ("easing" in fields) fail(`${place}.easing`, fields.easing, "a track with keyframes has no easing");
  const keyframes = list(fields.keyframes, `${place}.keyframes`, (each, at) =>
    pair(each, at, [0, duration], [0, lastPoint], "a keyframe is [frame after start, point on the curve]"),
  );
  if (!keyframes.length) fail(`${place}.keyframes`, [], "give at least one keyframe, or leave the field out");
  keyframes.forEach(([frame], index) => {
    if (index && keyframes[index - 1][0] >= frame) {
      fail(`${place}.keyframes[${index}][0]`, frame, "frames must rise");
    }
  });
  return keyframes;
}

/** @type {(value: unknown, place: string) => [number, number][]} */
function readHidden(value, place) {
  /** @type {[number, number]} */
  const range = [-MAX_FRAMES, 2 * MAX_FRAMES];
  const spans = list(value, place, (each, at) => pair(each, at, range, range, "a hidden span is [first, last frame]"));
  spans.forEach(([first, last], index) => {
    if (first > last) fail(`${place}[${index}]`, spans[index], "its first frame comes after its last; swap them");
    if (index && spans[index - 1][1] >= first) {
      fail(`${place}[${index}]`, spans[index], "spans must rise and not touch; sort and join them");
    }
  });
  return spans;
}

/** @type {(value: unknown, place: string, first: number[], second: number[], remedy: string) => [number, number]} */
function pair(value, place, first, second, remedy) {
  if (!Array.isArray(value) || value.length !== 2) fail(place, value, remedy);
  return [number(value[0], `${place}[0]`, first[0], first[1]), number(value[1], `${place}[1]`, second[0], second[1])];
}

/** @type {(value: unknown, place: string) => import("./format.js").Grid} */
function readGrid(value, place) {
  const fields = object(value, place, ["columns", "rows", "dx", "dy"]);
  return {
    columns: count(fields.columns, `${place}.columns`, 1000),
    rows: count(fields.rows, `${place}.rows`, 1000),
    dx: number(fields.dx, `${place}.dx`, 0, MAX_PX),
    dy: number(fields.dy, `${place}.dy`, 0, MAX_PX),
  };
}

/** @type {(value: unknown, place: string) => Move[]} */
function readMoves(value, place) {
  const moves = list(value, place, readMove);
  if (moves.length > MAX_MOVES) fail(place, moves.length, `at most ${MAX_MOVES} moves can be combined; leave some out`);
  return moves;
}

/** @type {(value: unknown, place: string) => Move} */
function readMove(value, place) {
  const handheld = isObject(value) && value.move === "handheld";
  const fields = object(value, place, MOVE_NEEDED, [handheld ? "seed" : "easing"]);
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
