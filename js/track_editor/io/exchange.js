/** Other programs' forms: coordinate lists (KJNodes, core), ATI's 121 samples, SVG paths. Pure text in and out. */

import { makeCurve } from "../curve/curve.js";
import { imagePoint } from "../curve/geometry.js";
import { simplifiedInTime } from "../curve/smoothing.js";
import { wholeClip } from "../document/document.js";
import { TrackFormatError } from "../document/strict_json.js";
import { spread } from "../document/time_edits.js";
import { parseDocument } from "./parse.js";
import { sampleDocument } from "./sampling.js";
import { svgSubpaths } from "./svg_path.js";

/**
 * @typedef {import("../document/document.js").Document} Document
 * @typedef {import("../document/document.js").Canvas} Canvas
 * @typedef {import("../document/document.js").Track} Track
 * @typedef {Omit<Track, "id">} Shape
 * @typedef {{x: number, y: number, v: number}} Sample
 */

export const ATI_NUM_SAMPLES = 121;
const MAX_PX = 1e6;
/** Samples that straight, even travel meets within this are left out. */
const IMPORT_TOLERANCE_PX = 0.005;

/** Coordinate JSON [[{x, y, v}, ...], ...], one list per point, at the clip's length or another. @type {(document: Document, numSamples?: number) => string} */
export function toCoordinates(document, numSamples = document.canvas.num_frames) {
  const lists = sampleDocument(document, numSamples).map(held);
  return JSON.stringify(lists, (_, value) => (typeof value === "number" ? Math.round(value * 1000) / 1000 + 0 : value));
}

/** Unseen samples put where the point was seen last: most readers ignore v. @type {(path: Sample[]) => Sample[]} */
function held(path) {
  let last = path.find(({ v }) => v) ?? path[0];
  return path.map((sample) => {
    if (sample.v) last = sample;
    return { x: last.x, y: last.y, v: sample.v };
  });
}

/**
 * Shapes of text in any of the forms: a document of this editor, coordinate lists, or SVG.
 * @type {(text: string, canvas: Canvas) => Shape[]}
 */
export function importText(text, canvas) {
  const trimmed = text.trim();
  if (/^(<|[Mm]\s*[-+.\d])/.test(trimmed)) return fromSvg(trimmed, canvas);
  if (/^\{[\s\S]*"format"/.test(trimmed))
    return parseDocument(trimmed, canvas).tracks.map(({ id: _, ...shape }) => shape);
  return fromCoordinates(trimmed, canvas);
}

/** Shapes that come to these coordinate lists at their own number of samples. @type {(text: string, canvas: Canvas) => Shape[]} */
export function fromCoordinates(text, canvas) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    try {
      value = JSON.parse(text.replaceAll("'", '"').replaceAll("True", "true").replaceAll("False", "false"));
    } catch (error) {
      throw new TrackFormatError(`this is neither JSON, nor SVG, nor a document of this editor (${error})`);
    }
  }
  if (!Array.isArray(value) || !value.length) throw new TrackFormatError("there are no tracks in it");
  if (value.every((entry) => typeof entry === "string"))
    return value.flatMap((entry) => fromCoordinates(entry, canvas));
  const lists = isSample(value[0]) ? [value] : value;
  const numSamples = Math.max(...lists.map((list) => (Array.isArray(list) ? list.length : 0)));
  return lists.map((list, track) => sampledShape(samplesOf(list, track), numSamples, canvas));
}

/** @type {(value: unknown) => boolean} */
const isSample = (value) =>
  Array.isArray(value) ? typeof value[0] === "number" : typeof value === "object" && value !== null;

/** @type {(list: unknown, track: number) => Sample[]} */
function samplesOf(list, track) {
  if (!Array.isArray(list) || !list.length) throw new TrackFormatError(`track ${track} has no samples`);
  return list.map((each, index) => {
    const [x, y, v = 1] = Array.isArray(each) ? each : [each?.x, each?.y, each?.v];
    for (const [field, value] of [
      ["x", x],
      ["y", y],
    ]) {
      if (typeof value !== "number" || !(Math.abs(value) <= MAX_PX)) {
        throw new TrackFormatError(
          `track ${track}, sample ${index}: field '${field}' is ${JSON.stringify(value)}; it must be a number of pixels`,
        );
      }
    }
    return { x, y, v: Number(v) };
  });
}

/**
 * Samples spread over the clip as a track with keyframes; unseen ones, and those that a shorter list lacks, as hidden.
 * @type {(samples: readonly Sample[], numSamples: number, canvas: Canvas) => Shape}
 */
export function sampledShape(samples, numSamples, canvas) {
  const last = canvas.num_frames - 1;
  const frameOf = (/** @type {number} */ i) => (numSamples > 1 ? (i * last) / (numSamples - 1) : 0);
  const hidden = hiddenSpans(samples, numSamples, frameOf, last);
  const still = samples.every(({ x, y }) => x === samples[0].x && y === samples[0].y);
  if (still) {
    const points = [[samples[0].x, samples[0].y]];
    return { kind: "anchor", interpolation: "linear", points, ...wholeClip(canvas), ...(hidden.length && { hidden }) };
  }
  const kept = simplifiedInTime(
    samples.map(({ x, y }) => imagePoint(x, y)),
    samples.map((_, i) => i),
    IMPORT_TOLERANCE_PX,
  );
  const duration = frameOf(samples.length - 1);
  const keyframes = spread(
    kept.map((index, k) => [frameOf(index), k]),
    duration,
  );
  return {
    kind: "path",
    interpolation: "linear",
    points: kept.map((index) => [samples[index].x, samples[index].y]),
    start: 0,
    duration,
    ...(kept.length > 2 && { keyframes }),
    ...(hidden.length && { hidden }),
  };
}

/** @type {(samples: readonly Sample[], numSamples: number, frameOf: (i: number) => number, last: number) => [number, number][]} */
function hiddenSpans(samples, numSamples, frameOf, last) {
  /** @type {[number, number][]} */
  const spans = [];
  const seen = Array.from({ length: numSamples }, (_, i) => Boolean(samples[i]?.v));
  const gap = numSamples > 1 ? (last / (numSamples - 1)) * 0.999 : 0;
  for (let i = 0; i < numSamples; i++) {
    if (seen[i]) continue;
    const first = i;
    while (i + 1 < numSamples && !seen[i + 1]) i++;
    // Up to just short of the neighbours that are seen: between two samples only what both see is visible.
    spans.push([first ? frameOf(first) - gap : frameOf(0), i + 1 < numSamples ? frameOf(i) + gap : frameOf(i)]);
  }
  return spans;
}

/** Shapes of SVG text: a whole file's paths, lines and shapes, or path data alone. @type {(text: string, canvas: Canvas) => Shape[]} */
export function fromSvg(text, canvas) {
  const shapes = svgSubpaths(text).map((points) => {
    const straight = points.every((point) => point.slice(2).every((value) => Math.abs(value) < 1e-9));
    return {
      kind: /** @type {const} */ ("path"),
      interpolation: /** @type {import("../curve/curve.js").Interpolation} */ (straight ? "linear" : "bezier"),
      points: straight ? points.map(([x, y]) => [x, y]) : points,
      ...wholeClip(canvas),
    };
  });
  if (!shapes.length) throw new TrackFormatError("there is no path in this SVG");
  return shapes;
}

/** An SVG file of the canvas's size with one path per track, in the kinds' colours. @type {(document: Document, colours: Record<string, string>) => string} */
export function toSvg({ canvas, tracks }, colours) {
  const number = (/** @type {number} */ value) => String(Math.round(value * 1000) / 1000 + 0);
  const paths = tracks.map((track) => {
    const stroke = colours[track.kind];
    if (track.points.length === 1) {
      const [x, y] = track.points[0];
      return `<path id="${track.id}" fill="none" stroke="${stroke}" d="M${number(x)} ${number(y)}"/>`;
    }
    // A free-hand curve is a chain of Bezier pieces as well, so nothing is lost.
    const { pieces } = makeCurve(track.points, track.interpolation);
    let d = `M${number(pieces[0])} ${number(pieces[1])}`;
    for (let at = 0; at < pieces.length; at += 8) {
      const rest = [...pieces.slice(at + (track.interpolation === "linear" ? 6 : 2), at + 8)].map(number);
      d += `${track.interpolation === "linear" ? "L" : "C"}${rest.join(" ")}`;
    }
    return `<path id="${track.id}" fill="none" stroke="${stroke}" d="${d}"/>`;
  });
  const { width, height } = canvas;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">\n${paths.join("\n")}\n</svg>\n`;
}
