/** What is selected: one line of it, and the rest where it is asked for. */

import { translate } from "../../language/language.js";
import { INTERPOLATIONS } from "../curve/spline.js";
import { withInterpolation, withKind } from "../document/edits.js";
import { HOLDS, KINDS } from "../document/format.js";
import { withSpan } from "../document/time_edits.js";
import { colourOf, labelOf } from "./colours.js";
import { button, choice, labelled, make, numberField, show } from "./elements.js";
import { iconButton } from "./icons.js";

/**
 * @typedef {import("../state/model.js").EditorModel} EditorModel
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("./panels.js").Panel} Panel
 */

const MAX_NAME = 64;

/** One line; `pace` opens the graph, `details` the rest. It is there while something is selected. @type {(model: EditorModel, pace: () => void, details: () => void) => Panel} */
export function selectionPanel(model, pace, details) {
  const color = make("input", {
    type: "color",
    title: translate("Colour of the track"),
    ariaLabel: translate("Colour"),
  });
  color.onchange = () => model.changeSelected((track) => ({ ...track, color: color.value }));
  const name = make("input", {
    type: "text",
    maxLength: MAX_NAME,
    title: translate("Name"),
    ariaLabel: translate("Name"),
    spellcheck: false,
  });
  name.className = "mste-name";
  name.onchange = () => model.changeSelected((track) => named(track, name.value));
  const ease = iconButton("ease", "Pace: slow or fast along the way", pace);
  const row = make(
    "div",
    { className: "mste-inspector" },
    color,
    name,
    ease,
    iconButton("key", "Keyframe at this frame (K)", () => model.run({ name: "keyframe" })),
    iconButton("hide", "Hide or show at this frame (H)", () => model.run({ name: "hide_frame" })),
    iconButton("copy", "Duplicate (Ctrl+D)", () => model.run({ name: "duplicate" })),
    iconButton("remove", "Delete (Del)", () => model.run({ name: "delete" })),
    iconButton("more", "All about the track: kind, curve, span, turn, scale", details),
  );
  const update = () => {
    const tracks = model.selectedTracks;
    const [first] = tracks;
    row.hidden = !first;
    if (!first) return;
    color.value = colourOf(first);
    name.placeholder =
      tracks.length > 1 ? translate("{} tracks", tracks.length) : labelOf({ ...first, name: undefined });
    if (document.activeElement !== name) name.value = tracks.length > 1 ? "" : (first.name ?? "");
    ease.disabled = tracks.every(({ points, region }) => points.length < 2 && !region);
  };
  return { row, update };
}

/** @type {(track: Track, name: string) => Track} */
function named({ name: _, ...track }, name) {
  const short = [...name.trim()].slice(0, MAX_NAME).join("");
  return short ? { ...track, name: short } : track;
}

/** Kind, curve, span and the like, over the picture. @type {(model: EditorModel) => Panel & {toggle: () => void}} */
export function detailPanel(model) {
  /** @type {<K extends keyof Track>(key: K) => (value: string) => void} */
  const set = (key) => (value) => model.changeSelected((track) => ({ ...track, [key]: value }));
  const kind = choice("Kind: drag (recorded), path (drawn), anchor (stays)", KINDS, (value) =>
    model.changeSelected((track) => withKind(track, /** @type {import("../document/format.js").Kind} */ (value))),
  );
  const interpolation = choice("Curve through the points", INTERPOLATIONS, (value) =>
    model.changeSelected((track) =>
      withInterpolation(track, /** @type {import("../curve/spline.js").Interpolation} */ (value)),
    ),
  );
  const start = numberField("First frame of the span", {}, (value) =>
    model.changeSelected((track) => ({ ...track, start: value })),
  );
  const duration = numberField("Frames that the travel takes", { min: 0 }, (value) =>
    model.changeSelected((track) => withSpan(track, track.start, value)),
  );
  const before = choice("Before its span: held visibly, or hidden", HOLDS, set("before"));
  const after = choice("After its span: held visibly, or hidden", HOLDS, set("after"));
  const ofRegion = (/** @type {"turn" | "scale"} */ key) => (/** @type {number} */ value) =>
    model.changeSelected((track) => (track.region ? { ...track, region: { ...track.region, [key]: value } } : track));
  const turn = numberField("Degrees that the object turns on its way", { min: -3600, max: 3600 }, ofRegion("turn"));
  const scale = numberField(
    "Times that the object grows on its way",
    { min: 0.01, max: 100, step: 0.1 },
    ofRegion("scale"),
  );
  const object = make("span", { className: "mste-fields" }, labelled("turn", turn), labelled("scale", scale));
  const row = make(
    "div",
    { className: "mste-float mste-details", hidden: true },
    kind,
    interpolation,
    labelled("start", start),
    labelled("frames", duration),
    labelled("before", before),
    labelled("after", after),
    object,
    make(
      "div",
      { className: "mste-row" },
      button("Insert", "Insert points (I)", () => model.run({ name: "insert_point" })),
      button("Group", "Group (Ctrl+G)", () => model.run({ name: "group" })),
      button("Ungroup", "Ungroup (Ctrl+Shift+G)", () => model.run({ name: "ungroup" })),
    ),
  );
  let open = false;
  const update = () => {
    const [first] = model.selectedTracks;
    row.hidden = !open || !first;
    if (!first) return;
    [kind.value, interpolation.value] = [first.kind, first.interpolation];
    show(start, first.start);
    show(duration, first.duration);
    [before.value, after.value] = [first.before ?? "hold", first.after ?? "hold"];
    object.hidden = !first.region;
    show(turn, first.region?.turn ?? 0);
    show(scale, first.region?.scale ?? 1);
  };
  const toggle = () => {
    open = !open;
    model.changed();
  };
  return { row, update, toggle };
}
