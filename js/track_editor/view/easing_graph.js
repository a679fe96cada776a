/**
 * The graph of a track's pace: time across, the share of its way up. Two handles bend it; a track with keyframes has
 * them as its points, to be pulled in time and along the way.
 */

import { translate } from "../../language/language.js";
import { bendOf, EASINGS, shareAt } from "../curve/easing.js";
import { clamp } from "../curve/geometry.js";
import { arcAt, curveLength, parameterAtArc } from "../curve/spline.js";
import { changeTracks } from "../document/edits.js";
import { curveOf, shareOf } from "../document/sampling.js";
import { choice, make, swallow } from "./elements.js";

/**
 * @typedef {import("../state/model.js").EditorModel} EditorModel
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {readonly [number, number]} Place  share of the time, share of the way
 */

const [WIDTH, HEIGHT, MARGIN] = [184, 112, 10];
const STEPS = 48;
const KEYFRAME_ROOM = 0.5;
const SVG = "http://www.w3.org/2000/svg";

/** @type {(tag: string, attributes?: Record<string, string | number>) => SVGElement} */
function shape(tag, attributes = {}) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

const toX = (/** @type {number} */ time) => MARGIN + time * (WIDTH - 2 * MARGIN);
const toY = (/** @type {number} */ way) => HEIGHT - MARGIN - way * (HEIGHT - 2 * MARGIN);

/** @type {(model: EditorModel) => import("./panels.js").Panel & {toggle: () => void}} */
export function easingGraph(model) {
  const easing = choice("Easing; a choice takes keyframes away", ["", ...EASINGS, "own"], (value) => {
    if (value === "own") return;
    model.changeSelected(({ keyframes: _, ...track }) => ({
      ...track,
      easing: /** @type {import("../document/format.js").Easing} */ (value || "linear"),
    }));
  });
  easing.options[0].textContent = translate("keyframes");
  const [own] = [...easing.options].filter(({ value }) => value === "own");
  own.textContent = translate("own curve");
  const [curve, arms, dots, now] = [
    shape("path", { class: "mste-graph-curve" }),
    shape("path", { class: "mste-graph-arms" }),
    shape("g"),
    shape("line", { class: "mste-graph-now", y1: 0, y2: HEIGHT }),
  ];
  const graph = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "mste-graph", role: "img" });
  graph.setAttribute("aria-label", translate("Pace: time across, way up"));
  graph.append(gridLines(), now, arms, curve, dots);
  const row = make(
    "div",
    { className: "mste-float mste-easing", hidden: true },
    make("div", { className: "mste-row" }, make("span", {}, translate("Pace")), easing),
    graph,
  );
  /** @type {number | null} */
  let held = null;
  const at = (/** @type {PointerEvent} */ event) => {
    const box = graph.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const y = ((event.clientY - box.top) / box.height) * HEIGHT;
    return /** @type {const} */ ([
      clamp((x - MARGIN) / (WIDTH - 2 * MARGIN), 0, 1),
      clamp((HEIGHT - MARGIN - y) / (HEIGHT - 2 * MARGIN), 0, 1),
    ]);
  };
  const pull = (/** @type {PointerEvent} */ event, /** @type {boolean} */ commit) => {
    const index = held;
    if (index === null) return;
    const place = at(event);
    const document = changeTracks(model.history.present, model.selection.tracks, (track) =>
      pulled(track, index, place),
    );
    model.apply({ document, commit });
  };
  graph.addEventListener("pointerdown", (event) => {
    swallow(event);
    const track = model.selectedTracks[0];
    if (!track) return;
    held = nearest(handlesOf(track), at(event));
    graph.setPointerCapture(event.pointerId);
    pull(event, false);
  });
  graph.addEventListener("pointermove", (event) => pull(event, false));
  graph.addEventListener("pointerup", (event) => {
    pull(event, true);
    held = null;
  });
  graph.addEventListener("pointercancel", () => {
    held = null;
    model.apply({ document: model.history.present });
  });
  let open = false;
  const update = () => {
    const track = model.selectedTracks.find(({ points, region }) => points.length > 1 || region);
    row.hidden = !open || !track;
    if (row.hidden || !track) return;
    easing.value = track.keyframes ? "" : typeof track.easing === "object" ? "own" : (track.easing ?? "linear");
    easing.options[0].hidden = !track.keyframes;
    own.hidden = easing.value !== "own";
    drawCurve(track, curve);
    drawHandles(track, arms, dots);
    const x = toX(track.duration > 0 ? clamp((model.frame - track.start) / track.duration, 0, 1) : 0);
    now.setAttribute("x1", String(x));
    now.setAttribute("x2", String(x));
  };
  const toggle = () => {
    open = !open;
    model.changed();
  };
  return { row, update, toggle };
}

function gridLines() {
  const d = [0, 0.25, 0.5, 0.75, 1].map((each) => `M${toX(each)} ${toY(0)}V${toY(1)}M${toX(0)} ${toY(each)}H${toX(1)}`);
  return shape("path", { class: "mste-graph-lines", d: d.join("") });
}

/** @type {(track: Track, curve: SVGElement) => void} */
function drawCurve(track, curve) {
  const places = Array.from({ length: STEPS + 1 }, (_, i) => {
    const frame = track.start + (track.duration * i) / STEPS;
    return `${toX(i / STEPS)} ${toY(track.keyframes ? shareOf(track, frame) : shareAt(track, frame))}`;
  });
  curve.setAttribute("d", `M${places.join("L")}`);
}

/** What can be pulled. @type {(track: Track) => Place[]} */
function handlesOf(track) {
  if (!track.keyframes) {
    const [x1, y1, x2, y2] = bendOf(track.easing ?? "linear");
    return [
      [x1, y1],
      [x2, y2],
    ];
  }
  const curve = curveOf(track);
  const [length, duration] = [curveLength(curve), track.duration];
  return track.keyframes.map(([frame, u]) => [
    duration > 0 ? frame / duration : 0,
    length > 0 ? arcAt(curve, u) / length : 0,
  ]);
}

/** @type {(handles: readonly Place[], at: Place) => number} */
function nearest(handles, [time, way]) {
  const far = handles.map(([x, y]) => Math.hypot((x - time) * WIDTH, (y - way) * HEIGHT));
  return far.indexOf(Math.min(...far));
}

/** Handle `index` put at a place; a keyframe stays between its neighbours. @type {(track: Track, index: number, place: Place) => Track} */
function pulled(track, index, [time, way]) {
  if (!track.keyframes) {
    const bend = [...bendOf(track.easing ?? "linear")];
    [bend[2 * index], bend[2 * index + 1]] = [time, way];
    const [x1, y1, x2, y2] = bend;
    return { ...track, easing: [x1, y1, x2, y2] };
  }
  const curve = curveOf(track);
  const keyframes = track.keyframes.map(([frame, u]) => /** @type {[number, number]} */ ([frame, u]));
  if (!keyframes[index]) return track;
  const low = index > 0 ? keyframes[index - 1][0] + KEYFRAME_ROOM : 0;
  const high = index + 1 < keyframes.length ? keyframes[index + 1][0] - KEYFRAME_ROOM : track.duration;
  const frame = low > high ? keyframes[index][0] : clamp(time * track.duration, low, high);
  keyframes[index] = [frame, parameterAtArc(curve, way * curveLength(curve))];
  return { ...track, keyframes };
}

/** @type {(track: Track, arms: SVGElement, dots: SVGElement) => void} */
function drawHandles(track, arms, dots) {
  const handles = handlesOf(track);
  const [a, b] = handles;
  const lines = track.keyframes
    ? ""
    : `M${toX(0)} ${toY(0)}L${toX(a[0])} ${toY(a[1])}M${toX(1)} ${toY(1)}L${toX(b[0])} ${toY(b[1])}`;
  arms.setAttribute("d", lines);
  dots.replaceChildren(
    ...handles.map(([time, way]) => shape("circle", { class: "mste-graph-dot", cx: toX(time), cy: toY(way), r: 4.5 })),
  );
}
