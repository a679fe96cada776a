/** Coordinate lists, as other nodes and programs read and write them (KJNodes, ATI's 121 samples), and sampled tracks. */

import { wholeClip } from "../curve/easing.js";
import { imagePoint, rounded } from "../curve/geometry.js";
import { simplifiedInTime } from "../curve/smoothing.js";
import { sampleDocument } from "../document/sampling.js";
import { TrackFormatError } from "../document/strict_json.js";
import { spread } from "../document/time_edits.js";

/**
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../document/format.js").Canvas} Canvas
 * @typedef {import("../document/format.js").Shape} Shape
 * @typedef {{x: number, y: number, v: number}} Sample
 */

export const ATI_NUM_SAMPLES = 121;
const MAX_PX = 1e6;
/** Samples that straight, even travel meets within this are left out. */
const IMPORT_TOLERANCE_PX = 0.005;

/** Coordinate JSON [[{x, y, v}, ...], ...], one list per point, at the clip's length or another. @type {(document: Document, numSamples?: number) => string} */
export function toCoordinates(document, numSamples = document.canvas.num_frames) {
  const lists = sampleDocument(document, numSamples).map(holdLastSeen);
  return JSON.stringify(lists, (_, value) => (typeof value === "number" ? rounded(value) : value));
}

/** Unseen samples put where the point was seen last: most readers ignore v. @type {(path: Sample[]) => Sample[]} */
function holdLastSeen(path) {
  let last = path.find(({ v }) => v) ?? path[0];
  return path.map((sample) => {
    if (sample.v) last = sample;
    return { x: last.x, y: last.y, v: sample.v };
  });
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
  const isStatic = samples.every(({ x, y }) => x === samples[0].x && y === samples[0].y);
  if (isStatic) {
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
