/** Edits: each takes a document and gives a new one, which shares every track that it left alone. */

import { scaledInTime } from "../camera/moves.js";
import { clamp, toSegment } from "../curve/geometry.js";
import { makeCurve, movedCurve, pointAt, polyline } from "../curve/spline.js";
import { movesOf, newGroup, newIds } from "./format.js";
import { curveOf, rememberCurve } from "./sampling.js";
import { withSpan } from "./time_edits.js";

/**
 * @typedef {import("./format.js").Document} Document
 * @typedef {import("./format.js").Track} Track
 * @typedef {import("./format.js").Canvas} Canvas
 * @typedef {import("./format.js").Move} Move
 * @typedef {import("./format.js").ControlPoint} ControlPoint
 * @typedef {import("./format.js").Interpolation} Interpolation
 * @typedef {import("../curve/geometry.js").ImagePoint} ImagePoint
 * @typedef {ReadonlyMap<string, ReadonlySet<number>>} PointSet  indices of control points by track id
 * @typedef {ReadonlySet<string>} Ids
 */

/** @type {(document: Document, tracks: readonly Track[]) => Document} */
export const addTracks = (document, tracks) => ({ ...document, tracks: [...document.tracks, ...tracks] });

/** @type {(document: Document, ids: Ids) => Document} */
export const removeTracks = (document, ids) => ({
  ...document,
  tracks: document.tracks.filter((track) => !ids.has(track.id)),
});

/** `change` applied to the tracks with these ids. @type {(document: Document, ids: Ids, change: (track: Track) => Track) => Document} */
export const changeTracks = (document, ids, change) => ({
  ...document,
  tracks: document.tracks.map((track) => (ids.has(track.id) ? change(track) : track)),
});

/** @type {(document: Document, id: string) => Track | undefined} */
export const findTrack = (document, id) => document.tracks.find((track) => track.id === id);

/** @type {(document: Document, ids: Ids) => Track[]} */
export const tracksWith = (document, ids) => document.tracks.filter((track) => ids.has(track.id));

/** @type {(track: Track, dx: number, dy: number) => Track} */
export function movedTrack(track, dx, dy) {
  // The common case without a copy in between: hundreds of tracks may be dragged at once.
  const points = track.points.map((p) =>
    p.length === 2 ? [p[0] + dx, p[1] + dy] : [p[0] + dx, p[1] + dy, ...p.slice(2)],
  );
  const moved = { ...track, points };
  rememberCurve(moved, movedCurve(curveOf(track), dx, dy));
  return moved;
}

/** Moves these points of tracks; null stands for all of a track's. @type {(document: Document, points: ReadonlyMap<string, ReadonlySet<number> | null>, dx: number, dy: number) => Document} */
export const movePoints = (document, points, dx, dy) =>
  changeTracks(document, new Set(points.keys()), (track) => {
    const chosen = points.get(track.id);
    if (!chosen || chosen.size === track.points.length) return movedTrack(track, dx, dy);
    return {
      ...track,
      points: track.points.map((point, index) =>
        chosen.has(index) ? [point[0] + dx, point[1] + dy, ...point.slice(2)] : point,
      ),
    };
  });

/**
 * A bezier point's handle put at `to`; the other one turns with it unless `broken`.
 * @type {(document: Document, id: string, index: number, side: "in" | "out", to: ImagePoint, broken: boolean) => Document}
 */
export const moveHandle = (document, id, index, side, to, broken) =>
  changeTracks(document, new Set([id]), (track) => ({
    ...track,
    points: track.points.map((point, i) => {
      if (i !== index) return point;
      const [x, y, inX = 0, inY = 0, outX = 0, outY = 0] = point;
      const [dx, dy] = [to.x - x, to.y - y];
      const opposite = (/** @type {number} */ ox, /** @type {number} */ oy) => {
        const ratio = broken ? 0 : Math.hypot(ox, oy) / Math.max(Math.hypot(dx, dy), 1e-9);
        return broken ? [ox, oy] : [-dx * ratio, -dy * ratio];
      };
      return side === "in" ? [x, y, dx, dy, ...opposite(outX, outY)] : [x, y, ...opposite(inX, inY), dx, dy];
    }),
  }));

/**
 * A control point put onto the curve at parameter u; times stay where they were on the curve.
 * A Bezier curve keeps its form exactly (de Casteljau).
 * @type {(document: Document, id: string, u: number) => Document}
 */
export const insertPoint = (document, id, u) =>
  changeTracks(document, new Set([id]), (track) => {
    if (track.points.length < 2 || track.kind === "anchor") return track;
    const i = clamp(Math.floor(u), 0, track.points.length - 2);
    const at = pointAt(curveOf(track), u);
    let points = [...track.points.slice(0, i + 1), [at.x, at.y], ...track.points.slice(i + 1)];
    if (track.interpolation === "bezier") points = splitBezier(track.points, i, u - i);
    // Either part of the split interval becomes an interval of its own.
    const shift = (/** @type {number} */ k) => {
      if (k <= i) return k;
      if (k <= u) return i + (k - i) / (u - i);
      return k < i + 1 ? i + 1 + (k - u) / (i + 1 - u) : k + 1;
    };
    return withPoints(track, points, shift);
  });

/** @type {(points: readonly ControlPoint[], i: number, t: number) => ControlPoint[]} */
function splitBezier(points, i, t) {
  const mix = (/** @type {number[]} */ a, /** @type {number[]} */ b) => [
    a[0] + (b[0] - a[0]) * t,
    a[1] + (b[1] - a[1]) * t,
  ];
  const less = (/** @type {number[]} */ a, /** @type {number[]} */ b) => [a[0] - b[0], a[1] - b[1]];
  const [start, stop] = [full(points[i]), full(points[i + 1])];
  const a = start.slice(0, 2);
  const b = [start[0] + start[4], start[1] + start[5]];
  const c = [stop[0] + stop[2], stop[1] + stop[3]];
  const d = stop.slice(0, 2);
  const [ab, bc, cd] = [mix(a, b), mix(b, c), mix(c, d)];
  const [abc, bcd] = [mix(ab, bc), mix(bc, cd)];
  const middle = mix(abc, bcd);
  return [
    ...points.slice(0, i),
    [...start.slice(0, 4), ...less(ab, a)],
    [...middle, ...less(abc, middle), ...less(bcd, middle)],
    [...d, ...less(cd, d), ...stop.slice(4)],
    ...points.slice(i + 2),
  ];
}

/** @type {(point: ControlPoint) => number[]} */
const full = (point) => [...point, 0, 0, 0, 0].slice(0, 6);

/**
 * These control points taken out; a track without a point left goes altogether.
 * @type {(document: Document, points: PointSet) => Document}
 */
export const deletePoints = (document, points) => ({
  ...document,
  tracks: document.tracks.flatMap((track) => {
    const gone = points.get(track.id);
    if (!gone?.size) return [track];
    const left = track.points.filter((_, index) => !gone.has(index));
    if (!left.length) return [];
    const kept = track.points.map((_, index) => index).filter((index) => !gone.has(index));
    // Between two kept points a place keeps its share of the way; beyond the ends it goes to the end.
    const shift = (/** @type {number} */ k) => {
      const next = kept.findIndex((index) => index >= k);
      if (next === 0) return 0;
      if (next < 0) return kept.length - 1;
      return next - 1 + (k - kept[next - 1]) / (kept[next] - kept[next - 1]);
    };
    return [withPoints(track, left, shift)];
  }),
});

/** @type {(track: Track, points: readonly ControlPoint[], shift: (u: number) => number) => Track} */
const withPoints = (track, points, shift) => ({
  ...track,
  points,
  ...(track.keyframes && {
    keyframes: track.keyframes.map(
      ([frame, u]) => /** @type {[number, number]} */ ([frame, clamp(shift(u), 0, points.length - 1)]),
    ),
  }),
});

/**
 * Copies of these tracks, (dx, dy) px away, with names of their own; groups are copied as groups.
 * @type {(document: Document, tracks: readonly Track[], dx: number, dy: number) => {document: Document, ids: Ids}}
 */
export function pasteTracks(document, tracks, dx, dy) {
  const ids = newIds(document, tracks.length);
  /** @type {Map<string, string>} */
  const groups = new Map();
  let naming = document;
  const copies = tracks.map((track, index) => {
    const copy = { ...movedTrack(track, dx, dy), id: ids[index] };
    if (!track.group) return copy;
    const group = groups.get(track.group) ?? newGroup(naming);
    groups.set(track.group, group);
    naming = addTracks(naming, [{ ...copy, group }]);
    return { ...copy, group };
  });
  return { document: addTracks(document, copies), ids: new Set(ids) };
}

/**
 * Another interpolation; what becomes Bezier keeps the form it had as far as one cubic per segment can.
 * @type {(track: Track, interpolation: Interpolation) => Track}
 */
export function withInterpolation(track, interpolation) {
  if (track.interpolation === interpolation) return track;
  if (interpolation !== "bezier") {
    return { ...track, interpolation, points: track.points.map(([x, y]) => [x, y]) };
  }
  const curve = makeCurve(track.points, track.interpolation === "linear" ? "linear" : "catmull_rom");
  const points = track.points.map(([x, y], i) => {
    const handle = (/** @type {number} */ at) =>
      at < 0 || at >= curve.pieces.length ? [0, 0] : [curve.pieces[at] - x, curve.pieces[at + 1] - y];
    return track.points.length < 2 ? [x, y, 0, 0, 0, 0] : [x, y, ...handle((i - 1) * 8 + 4), ...handle(i * 8 + 2)];
  });
  return { ...track, interpolation, points };
}

/** @type {(track: Track, kind: import("./format.js").Kind) => Track} */
export function withKind(track, kind) {
  if (kind !== "anchor") return { ...track, kind };
  const { keyframes: _, ...rest } = track;
  const { turn: __, scale: ___, ...still } = rest.region ?? { points: [] };
  return { ...rest, kind, points: track.points.slice(0, 1), ...(rest.region && { region: still }) };
}

/** One group for these tracks, or none. @type {(document: Document, ids: Ids, together: boolean) => Document} */
export function regroup(document, ids, together) {
  const group = newGroup(document);
  return changeTracks(document, ids, ({ group: _, ...track }) => (together ? { ...track, group } : track));
}

/** @type {(document: Document, moves: readonly Move[]) => Document} */
const withMoves = ({ canvas, tracks }, moves) =>
  moves.length ? { canvas, tracks, camera: moves } : { canvas, tracks };

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

/**
 * The same drawing on another canvas: positions scale with its sides, times with its length.
 * @type {(document: Document, canvas: Canvas) => Document}
 */
export function onCanvas(document, canvas) {
  const [sx, sy] = [canvas.width / document.canvas.width, canvas.height / document.canvas.height];
  const st = document.canvas.num_frames > 1 ? (canvas.num_frames - 1) / (document.canvas.num_frames - 1) : 1;
  const scale = (/** @type {number} */ value, /** @type {number} */ index) => value * (index % 2 ? sy : sx);
  const tracks = document.tracks.map((track) => ({
    ...withSpan(track, track.start * st, track.duration * st),
    points: track.points.map((point) => point.map(scale)),
    ...(track.hidden && {
      hidden: track.hidden.map(([a, b]) => /** @type {[number, number]} */ ([a * st, b * st])),
    }),
    ...(track.grid && { grid: { ...track.grid, dx: track.grid.dx * sx, dy: track.grid.dy * sy } }),
    ...(track.region && {
      region: {
        ...track.region,
        points: track.region.points.map(([x, y]) => /** @type {[number, number]} */ ([x * sx, y * sy])),
      },
    }),
  }));
  return withMoves({ canvas, tracks }, scaledInTime(movesOf(document), st));
}

/**
 * The same drawing on the whole of a picture of which it was drawn on a part: what was drawn over a thing lies over it
 * still. cut: the part that filled the canvas, in px of the picture.
 * @type {(document: Document, size: import("../curve/geometry.js").Size, cut: {left: number, top: number, width: number, height: number}) => Document}
 */
export function onPicture(document, size, cut) {
  const scaled = onCanvas(document, { ...document.canvas, width: cut.width, height: cut.height });
  const tracks = scaled.tracks.map((track) => movedTrack(track, cut.left, cut.top));
  return { ...scaled, canvas: { ...document.canvas, width: size.width, height: size.height }, tracks };
}

/** The parameter of the place on the track's curve nearest to `point`. @type {(track: Track, point: ImagePoint) => number} */
export function nearestParameter(track, point) {
  const line = polyline(curveOf(track));
  let best = { distance: Infinity, u: 0 };
  for (let i = 0; i + 1 < line.length; i++) {
    const { distance, t } = toSegment(point, line[i], line[i + 1]);
    if (distance < best.distance) best = { distance, u: line[i].u + t * (line[i + 1].u - line[i].u) };
  }
  return clamp(best.u, 0, track.points.length - 1);
}
