/** What is selected: whole tracks, and single control points. A group is selected as one. */

import { inBox } from "../curve/geometry.js";

/**
 * @typedef {import("./format.js").Document} Document
 * @typedef {{readonly tracks: ReadonlySet<string>, readonly points: import("./edits.js").PointSet}} Selection
 */

/** @type {Selection} */
export const NOTHING = { tracks: new Set(), points: new Map() };

/** These tracks and whatever is grouped with them. @type {(document: Document, ids: Iterable<string>) => Set<string>} */
function withGroups(document, ids) {
  const chosen = new Set(ids);
  const groups = new Set(document.tracks.filter(({ id, group }) => group && chosen.has(id)).map(({ group }) => group));
  return new Set(document.tracks.filter(({ id, group }) => chosen.has(id) || groups.has(group)).map(({ id }) => id));
}

/** @type {(document: Document, ids: Iterable<string>) => Selection} */
export const selectTracks = (document, ids) => ({ tracks: withGroups(document, ids), points: new Map() });

/** @type {(id: string, index: number) => Selection} */
export const selectPoint = (id, index) => ({ tracks: new Set([id]), points: new Map([[id, new Set([index])]]) });

/** @type {(document: Document) => Selection} */
export const selectAll = (document) => ({ tracks: new Set(document.tracks.map(({ id }) => id)), points: new Map() });

/** `id` and its group taken in or out. @type {(document: Document, selection: Selection, id: string) => Selection} */
export function toggleTrack(document, selection, id) {
  const group = withGroups(document, [id]);
  const tracks = new Set(selection.tracks);
  const points = new Map(selection.points);
  for (const each of group) {
    if (selection.tracks.has(id)) {
      tracks.delete(each);
      points.delete(each);
    } else tracks.add(each);
  }
  return { tracks, points };
}

/** @type {(selection: Selection, id: string, index: number) => Selection} */
export function togglePoint(selection, id, index) {
  const chosen = new Set(selection.points.get(id));
  if (!chosen.delete(index)) chosen.add(index);
  const points = new Map(selection.points);
  if (chosen.size) points.set(id, chosen);
  else points.delete(id);
  return { tracks: new Set([...selection.tracks, id]), points };
}

/**
 * What a box takes in: a track with all its control points inside is selected whole, of others the points inside.
 * @type {(document: Document, box: import("../curve/geometry.js").ImageBox, before?: Selection) => Selection}
 */
export function selectBox(document, box, before = NOTHING) {
  const whole = new Set(before.tracks);
  /** @type {Map<string, ReadonlySet<number>>} */
  const points = new Map(before.points);
  for (const { id, points: all } of document.tracks) {
    const inside = all.flatMap(([x, y], index) => (inBox(box, { x, y }) ? [index] : []));
    if (!inside.length) continue;
    whole.add(id);
    if (inside.length < all.length) points.set(id, new Set([...(points.get(id) ?? []), ...inside]));
  }
  return { tracks: withGroups(document, whole), points };
}

/** The selection without what the document no longer has. @type {(document: Document, selection: Selection) => Selection} */
export function pruned(document, selection) {
  const sizes = new Map(document.tracks.map(({ id, points }) => [id, points.length]));
  const tracks = new Set([...selection.tracks].filter((id) => sizes.has(id)));
  /** @type {Map<string, Set<number>>} */
  const points = new Map();
  for (const [id, chosen] of selection.points) {
    const left = new Set([...chosen].filter((index) => index < (sizes.get(id) ?? 0)));
    if (left.size) points.set(id, left);
  }
  return { tracks, points };
}

/**
 * What moves when the selection is moved: the chosen points, or whole tracks (null).
 * @type {(document: Document, selection: Selection) => Map<string, ReadonlySet<number> | null>}
 */
export function movablePoints(document, { tracks, points }) {
  if (points.size) return new Map([...points].filter(([id]) => document.tracks.some((track) => track.id === id)));
  return new Map(document.tracks.filter(({ id }) => tracks.has(id)).map(({ id }) => [id, null]));
}

/** The track after (or before) the selected one, in order, round and round. @type {(document: Document, selection: Selection, step: 1 | -1) => Selection} */
export function neighbourTrack(document, selection, step) {
  const { tracks } = document;
  if (!tracks.length) return NOTHING;
  const at = tracks.findIndex(({ id }) => selection.tracks.has(id));
  const next = at < 0 ? (step > 0 ? 0 : tracks.length - 1) : (at + step + tracks.length) % tracks.length;
  return { tracks: new Set([tracks[next].id]), points: new Map() };
}

/** The control point after (or before) the selected one of the first selected track. @type {(document: Document, selection: Selection, step: 1 | -1) => Selection} */
export function neighbourPoint(document, selection, step) {
  const track = document.tracks.find(({ id }) => selection.tracks.has(id));
  if (!track) return selection;
  const chosen = selection.points.get(track.id);
  const at = chosen ? [...chosen][0] : step > 0 ? -1 : track.points.length;
  return selectPoint(track.id, (at + step + track.points.length) % track.points.length);
}
