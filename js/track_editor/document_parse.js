/**
 * The trajectory document from text, strictly: the same rules as motionstream_core's tracks/document_parse.py, held to
 * it by tests/data/documents.json. (A field given twice is found by Python alone: the browser's JSON keeps the last.)
 */

import { INTERPOLATIONS } from "./curve.js";
import { EASINGS, FORMAT, HOLDS, KINDS, VERSION, emptyDocument } from "./document.js";

/**
 * @typedef {import("./document.js").Document} Document
 * @typedef {import("./document.js").Canvas} Canvas
 * @typedef {import("./document.js").Track} Track
 */

const MAX_PX = 1e6;
const MAX_SIDE_PX = 16384;
const MAX_FRAMES = 1e6;
const MAX_FPS = 1000;
const MAX_POINTS = 100000;
const NEEDED = ["id", "kind", "interpolation", "points", "start", "duration"];
const OPTIONAL = ["easing", "keyframes", "before", "after", "hidden", "grid", "group"];

/** The text is no document; the message names field, value and remedy. */
export class TrackFormatError extends Error {}

/**
 * The document that `text` spells; empty text is a document without tracks, of `defaultCanvas`.
 * @type {(text: string, defaultCanvas: Canvas) => Document}
 */
export function parseDocument(text, defaultCanvas) {
  if (!text.trim()) return emptyDocument(defaultCanvas);
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TrackFormatError(`document: the text ${show(text)} is not JSON (${String(error).slice(0, 200)})`);
  }
  const { canvas, tracks } = migrated(value);
  const document = { canvas: readCanvas(canvas), tracks: list(tracks, "tracks", readTrack) };
  const seen = new Map();
  document.tracks.forEach((track, index) => {
    if (seen.has(track.id)) {
      fail(`tracks[${index}].id`, track.id, `tracks[${seen.get(track.id)}] has it already; give every track its own`);
    }
    seen.set(track.id, index);
  });
  const numPoints = document.tracks.reduce((sum, { grid }) => sum + (grid ? grid.columns * grid.rows : 1), 0);
  if (numPoints > MAX_POINTS) fail("tracks", numPoints, `at most ${MAX_POINTS} points, grids spread out`);
  return document;
}

/**
 * The decoded value in the present version's form. Version 1 is the first, so nothing is older yet; a later version
 * adds one step here for every step of its number.
 * @type {(value: unknown) => Record<string, unknown>}
 */
export function migrated(value) {
  if (isObject(value)) {
    if ("format" in value && value.format !== FORMAT) fail("format", value.format, `it must be "${FORMAT}"`);
    if ("version" in value && value.version !== VERSION) {
      fail("version", value.version, `this pack reads version ${VERSION}; update the pack, or export again`);
    }
  }
  const fields = object(value, "document", ["format", "version", "canvas", "tracks"], ["camera"]);
  if ("camera" in fields && !(Array.isArray(fields.camera) && fields.camera.length === 0)) {
    fail("camera", fields.camera, "no camera layer can be read yet; leave it out, or write []");
  }
  return fields;
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

/** @type {(value: unknown, place: string) => Track} */
function readTrack(value, place) {
  const fields = object(value, place, NEEDED, OPTIONAL);
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
  if ("easing" in fields) track.easing = choice(fields.easing, `${place}.easing`, EASINGS);
  if ("before" in fields) track.before = choice(fields.before, `${place}.before`, HOLDS);
  if ("after" in fields) track.after = choice(fields.after, `${place}.after`, HOLDS);
  if ("hidden" in fields) track.hidden = readHidden(fields.hidden, `${place}.hidden`);
  if ("grid" in fields) track.grid = readGrid(fields.grid, `${place}.grid`);
  if ("group" in fields) track.group = name(fields.group, `${place}.group`);
  return track;
}

/** @type {(value: unknown, place: string, interpolation: string) => number[]} */
function point(value, place, interpolation) {
  const bezier = interpolation === "bezier";
  if (!Array.isArray(value) || !(value.length === 2 || (bezier && value.length === 6))) {
    fail(place, value, `a point of ${interpolation} is [x, y]${bezier ? " or [x, y, in_dx, in_dy, out_dx, out_dy]" : ""}`);
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
  return [
    number(value[0], `${place}[0]`, first[0], first[1]),
    number(value[1], `${place}[1]`, second[0], second[1]),
  ];
}

/** @type {(value: unknown, place: string) => import("./document.js").Grid} */
function readGrid(value, place) {
  const fields = object(value, place, ["columns", "rows", "dx", "dy"]);
  return {
    columns: count(fields.columns, `${place}.columns`, 1000),
    rows: count(fields.rows, `${place}.rows`, 1000),
    dx: number(fields.dx, `${place}.dx`, 0, MAX_PX),
    dy: number(fields.dy, `${place}.dy`, 0, MAX_PX),
  };
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @type {(value: unknown, place: string, needed: readonly string[], optional?: readonly string[]) => Record<string, unknown>} */
function object(value, place, needed, optional = []) {
  if (!isObject(value)) fail(place, value, `it must be an object with the fields ${needed.join(", ")}`);
  for (const field of Object.keys(value)) {
    if (!needed.includes(field) && !optional.includes(field)) {
      fail(place, field, `this field is unknown here; known are ${[...needed, ...optional].join(", ")}`);
    }
  }
  for (const field of needed) {
    if (!Object.hasOwn(value, field)) throw new TrackFormatError(`${place}: field '${field}' is missing; add it`);
  }
  return value;
}

/** @type {<T>(value: unknown, place: string, read: (each: unknown, at: string) => T) => T[]} */
function list(value, place, read) {
  if (!Array.isArray(value)) fail(place, value, "it must be a list");
  return value.map((each, index) => read(each, `${place}[${index}]`));
}

/** @type {(value: unknown, place: string, low: number, high: number) => number} */
function number(value, place, low, high) {
  if (typeof value !== "number" || !(low <= value && value <= high)) {
    fail(place, value, `it must be a finite number from ${low} to ${high}`);
  }
  return value;
}

/** @type {(value: unknown, place: string, high: number) => number} */
function count(value, place, high) {
  const whole = number(value, place, 1, high);
  if (!Number.isInteger(whole)) fail(place, value, `it must be a whole number from 1 to ${high}`);
  return whole;
}

/** @type {<T extends string>(value: unknown, place: string, options: readonly T[]) => T} */
function choice(value, place, options) {
  const found = options.find((option) => option === value);
  if (found === undefined) fail(place, value, `it must be one of ${options.join(", ")}`);
  return found;
}

/** @type {(value: unknown, place: string) => string} */
function name(value, place) {
  if (typeof value !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(value)) {
    fail(place, value, "it must be 1 to 64 letters, digits or _ . : -");
  }
  return value;
}

/** @type {(value: unknown) => string} */
function show(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** @type {(place: string, value: unknown, remedy: string) => never} */
function fail(place, value, remedy) {
  throw new TrackFormatError(`${place}: ${show(value)}: ${remedy}`);
}
