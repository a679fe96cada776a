/** Ready-made tracks and changes to tracks. Sizes in px of the image, times in frames. */

import { wholeClip } from "../curve/easing.js";
import { bounds, distance } from "../curve/geometry.js";
import { curveLength, pointAtArc } from "../curve/spline.js";
import { addTracks, changeTracks, movedTrack, tracksWith } from "./edits.js";
import { newGroup, newIds } from "./format.js";
import { curveOf, positionAt } from "./sampling.js";
import { spread } from "./time_edits.js";

/**
 * @typedef {import("./format.js").Document} Document
 * @typedef {import("./format.js").Canvas} Canvas
 * @typedef {import("./format.js").Track} Track
 * @typedef {import("./edits.js").Ids} Ids
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {import("./format.js").Shape} Shape
 */

/** Handle length of a quarter circle of radius 1. */
const QUARTER = (4 / 3) * (Math.SQRT2 - 1);

/** Once around, beginning at the top, clockwise. @type {(canvas: Canvas, centre: ImagePoint, radius: number) => Shape} */
export function circle(canvas, centre, radius) {
  const handle = QUARTER * radius;
  const points = [0, 1, 2, 3, 4].map((quarter) => {
    const [sin, cos] = [Math.sin((quarter * Math.PI) / 2), Math.cos((quarter * Math.PI) / 2)];
    const [dx, dy] = [cos * handle, sin * handle];
    return [centre.x + sin * radius, centre.y - cos * radius, -dx, -dy, dx, dy];
  });
  return { kind: "path", interpolation: "bezier", points, ...wholeClip(canvas) };
}

/** A sine to the right from `from`. @type {(canvas: Canvas, from: ImagePoint, length: number, height: number, waves?: number) => Shape} */
export function wave(canvas, from, length, height, waves = 2) {
  const steps = waves * 8;
  const points = Array.from({ length: steps + 1 }, (_, i) => [
    from.x + (length * i) / steps,
    from.y - height * Math.sin((2 * Math.PI * waves * i) / steps),
  ]);
  return { kind: "path", interpolation: "catmull_rom", points, ...wholeClip(canvas) };
}

/** Trembling about a place, `perSecond` jolts; the same for the same seed. @type {(canvas: Canvas, centre: ImagePoint, size: number, perSecond?: number, seed?: number) => Shape} */
export function shake(canvas, centre, size, perSecond = 8, seed = 1) {
  const random = randomNumbers(seed);
  const count = Math.max(2, Math.min(400, Math.round((canvas.num_frames / canvas.fps) * perSecond)));
  const points = Array.from({ length: count + 1 }, (_, i) => {
    if (i === 0 || i === count) return [centre.x, centre.y];
    const angle = random() * 2 * Math.PI;
    return [centre.x + Math.cos(angle) * size, centre.y + Math.sin(angle) * size];
  });
  const { duration } = wholeClip(canvas);
  const keyframes = points.map((_, i) => /** @type {[number, number]} */ ([(duration * i) / count, i]));
  return {
    kind: "path",
    interpolation: "catmull_rom",
    points,
    start: 0,
    duration,
    keyframes: spread(keyframes, duration),
  };
}

/** Straight down to the clip's lower edge, ever faster. @type {(canvas: Canvas, from: ImagePoint) => Shape} */
export const fall = (canvas, from) => ({
  kind: "path",
  interpolation: "linear",
  points: [
    [from.x, from.y],
    [from.x, Math.max(canvas.height, from.y + 1)],
  ],
  ...wholeClip(canvas),
  easing: "ease_in",
});

/** @type {(seed: number) => () => number} */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * The tracks `ids` travel along `leader`'s way, each from its own place, and at `leader`'s times.
 * @type {(document: Document, ids: Ids, leader: Track) => Document}
 */
export const follow = (document, ids, leader) =>
  changeTracks(document, new Set([...ids].filter((id) => id !== leader.id)), (track) => {
    const [from, to] = [positionAt(track, track.start), positionAt(leader, leader.start)];
    const { id, grid, group } = track;
    const { grid: _, group: __, ...way } = movedTrack(leader, from.x - to.x, from.y - to.y);
    const kind = leader.kind === "anchor" ? "anchor" : "path";
    return { ...way, id, kind, ...(grid && { grid }), ...(group && { group }) };
  });

/**
 * Mirrored about the middle of what is chosen: "x" left and right change places, "y" top and bottom.
 * @type {(document: Document, ids: Ids, axis: "x" | "y") => Document}
 */
export function mirror(document, ids, axis) {
  const box = bounds(tracksWith(document, ids).flatMap(({ points }) => points.map(([x, y]) => ({ x, y }))));
  if (!box) return document;
  const [sumX, sumY] = [box.left + box.right, box.top + box.bottom];
  return changeTracks(document, ids, (track) => ({
    ...track,
    points: track.points.map(([x, y, ...handles]) => [
      axis === "x" ? sumX - x : x,
      axis === "y" ? sumY - y : y,
      ...handles.map((value, i) => (i % 2 === Number(axis === "y") ? -value : value)),
    ]),
  }));
}

/** From the end to the start, in the same span. @type {(document: Document, ids: Ids) => Document} */
export const reverse = (document, ids) => changeTracks(document, ids, reversed);

/** @type {(track: Track) => Track} */
function reversed(track) {
  const last = track.points.length - 1;
  const points = track.points.map(([x, y, ...h]) => (h.length ? [x, y, h[2], h[3], h[0], h[1]] : [x, y])).reverse();
  const { easing, keyframes, ...rest } = track;
  const back = easing === "ease_in" ? "ease_out" : easing === "ease_out" ? "ease_in" : easing;
  // Reversed in time as well, so that where the point paused it pauses again.
  const frames = keyframes?.map(([frame, u]) => [track.duration - frame, last - u]).reverse();
  return {
    ...rest,
    points,
    ...(frames ? { keyframes: spread(frames, track.duration) } : back ? { easing: back } : {}),
  };
}

/** Anchors along the frame's edges, about `spacing` px apart, as one group. @type {(document: Document, spacing: number) => Document} */
export function borderAnchors(document, spacing) {
  const { width, height } = document.canvas;
  const inset = Math.min(2, width / 4, height / 4);
  const [columns, rows] = [steps(width - 2 * inset, spacing), steps(height - 2 * inset, spacing)];
  const [dx, dy] = [(width - 2 * inset) / columns, (height - 2 * inset) / rows];
  const row = { columns: columns + 1, rows: 1, dx, dy: 0 };
  const column = { columns: 1, rows: Math.max(1, rows - 1), dx: 0, dy };
  return addAnchors(document, [
    { x: width / 2, y: inset, grid: row },
    { x: width / 2, y: height - inset, grid: row },
    ...(rows > 1 ? [inset, width - inset].map((x) => ({ x, y: height / 2, grid: column })) : []),
  ]);
}

/**
 * Anchors all over the frame, as one group, but none within `clearance` px of a track that moves.
 * @type {(document: Document, spacing: number, clearance: number) => Document}
 */
export function backgroundAnchors(document, spacing, clearance) {
  const { width, height } = document.canvas;
  const [columns, rows] = [steps(width, spacing), steps(height, spacing)];
  const moving = document.tracks.filter(({ kind }) => kind !== "anchor").map(samples);
  const places = Array.from({ length: columns * rows }, (_, i) => ({
    x: ((i % columns) + 0.5) * (width / columns),
    y: (Math.floor(i / columns) + 0.5) * (height / rows),
  }));
  const free = places.filter((place) =>
    moving.every(({ points, halfX, halfY }) =>
      points.every(({ x, y }) => {
        const gap = { x: Math.max(0, Math.abs(place.x - x) - halfX), y: Math.max(0, Math.abs(place.y - y) - halfY) };
        return distance(gap, { x: 0, y: 0 }) > clearance;
      }),
    ),
  );
  return addAnchors(document, free);
}

/** @type {(length: number, spacing: number) => number} */
const steps = (length, spacing) => Math.min(500, Math.max(1, Math.round(length / spacing)));

/** Places on a track's way, with half the size of its grid. @type {(track: Track) => {points: ImagePoint[], halfX: number, halfY: number}} */
function samples(track) {
  const curve = curveOf(track);
  const length = curveLength(curve);
  const count = Math.min(200, Math.ceil(length / 4)) + 1;
  const points = Array.from({ length: count }, (_, i) => pointAtArc(curve, (length * i) / Math.max(1, count - 1)));
  const { columns = 1, rows = 1, dx = 0, dy = 0 } = track.grid ?? {};
  return { points, halfX: ((columns - 1) * dx) / 2, halfY: ((rows - 1) * dy) / 2 };
}

/** @type {(document: Document, places: readonly {x: number, y: number, grid?: import("./format.js").Grid}[]) => Document} */
function addAnchors(document, places) {
  const ids = newIds(document, places.length);
  const group = newGroup(document);
  return addTracks(
    document,
    places.map(({ x, y, grid }, i) => ({
      id: ids[i],
      kind: /** @type {const} */ ("anchor"),
      interpolation: /** @type {const} */ ("linear"),
      points: [[x, y]],
      ...wholeClip(document.canvas),
      ...(grid && { grid }),
      group,
    })),
  );
}
