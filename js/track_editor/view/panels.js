/** Buttons and fields around the surface: tools and their options, what is selected, menus, the transport. */

import { EASINGS } from "../curve/easing.js";
import { INTERPOLATIONS } from "../curve/spline.js";
import { withInterpolation, withKind } from "../document/edits.js";
import { HOLDS, KINDS } from "../document/format.js";
import { withSpan } from "../document/time_edits.js";
import { cameraMenu } from "./camera_panel.js";
import { button, choice, labelled, make, menu, numberField, show } from "./elements.js";

/**
 * @typedef {import("../state/model.js").EditorModel} EditorModel
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {{row: HTMLElement, update: () => void}} Panel
 */

/**
 * What can be put below the tracks, as [value, title], and the choice of it.
 * @typedef {{pictures?: readonly (readonly [string, string])[], choosePicture?: (which: string) => void}} PictureHost
 */

/** @type {readonly (readonly [string, string, string])[]} */
const TOOLS = [
  [
    "select",
    "Select",
    "Select and move (V). Double click on a curve adds a point; alt click deletes one; alt drag copies; ctrl drag of the moving point sets a keyframe",
  ],
  ["pen", "Points", "Draw by points (P). Enter, or the last point again, ends"],
  ["freehand", "Free", "Draw free-hand (F): blue, with a span of its own"],
  ["record", "Live", "Drag live (R): green, recorded in time while the clip plays"],
  ["grid", "Grid", "Grid brush (G): a grid around the pointer, dragged as one object or still"],
  ["anchor", "Anchor", "Anchor (A): red, a point that stays"],
];

const PRESETS = /** @type {const} */ ([
  ["circle", "Circle"],
  ["wave", "Wave"],
  ["shake", "Shake"],
  ["fall", "Fall"],
  ["follow", "Follow the last selected"],
  ["mirror_x", "Mirror left and right"],
  ["mirror_y", "Mirror up and down"],
  ["reverse", "Reverse"],
]);

const FILES = /** @type {const} */ ([
  ["import", "Import a file (JSON, SVG, npz, image)..."],
  ["coordinates", "Export coordinate JSON"],
  ["ati", "Export ATI 121"],
  ["npz", "Export TRACKS npz"],
  ["svg", "Export SVG"],
  ["document", "Export document"],
]);

/** @type {(model: EditorModel, host: PictureHost, actions: {file: (what: string) => void, full: () => void, fit: () => void, help: () => void}) => Panel} */
export function toolPanel(model, host, actions) {
  const tools = TOOLS.map(([name, text, title]) => ({ name, element: button(text, title, () => model.setTool(name)) }));
  const undo = button("Undo", "Undo (Ctrl+Z)", () => model.run({ name: "undo" }));
  const redo = button("Redo", "Redo (Ctrl+Shift+Z)", () => model.run({ name: "redo" }));
  const row = make(
    "div",
    { className: "mste-row", role: "toolbar" },
    ...tools.map(({ element }) => element),
    undo,
    redo,
    menu("Presets", "Motions for what is selected, or as a new track", PRESETS, (name) => model.preset(name)),
    menu(
      "Still",
      "Static anchors in one click",
      [
        ["border", "Hold the borders"],
        ["background", "Hold the background"],
      ],
      (name) => model.preset(name),
    ),
    cameraMenu(model),
    menu("File", "Import and export", FILES, actions.file),
    host.pictures
      ? menu("Picture", "What lies below the tracks; a picture may be dropped or pasted too", host.pictures, (which) =>
          host.choosePicture?.(which),
        )
      : null,
    make("span", { className: "mste-gap" }),
    button("Fit", "Show the whole frame (0)", actions.fit),
    button("?", "Keys", actions.help),
    button("Full", "Full screen", actions.full),
  );
  const update = () => {
    for (const { name, element } of tools) element.ariaPressed = String(model.tool.name === name);
    undo.disabled = !model.history.past;
    redo.disabled = !model.history.future;
  };
  return { row, update };
}

/** Options of the tool at hand. @type {(model: EditorModel) => Panel} */
export function optionPanel(model) {
  const interpolation = choice(
    "Curve through the points",
    INTERPOLATIONS.filter((each) => each !== "freehand"),
    (value) => model.setOptions({ interpolation: /** @type {import("../curve/spline.js").Interpolation} */ (value) }),
  );
  const smoothing = make("input", {
    type: "range",
    min: "0",
    max: "1",
    step: "0.05",
    title: "Smoothing of strokes",
    ariaLabel: "Smoothing",
  });
  smoothing.oninput = () => model.setOptions({ smoothing: smoothing.valueAsNumber });
  const grid = make("input", { type: "checkbox", title: "A grid of points instead of one", ariaLabel: "Grid" });
  grid.onchange = () => model.setOptions({ grid: grid.checked ? model.gridSize : null });
  const size = (/** @type {"spacing" | "size"} */ key, /** @type {string} */ title) =>
    numberField(title, { min: 1, max: 4096 }, (value) =>
      model.setOptions({ grid: { ...model.gridSize, [key]: value } }),
    );
  const [spacing, extent] = [size("spacing", "Spacing of the grid in px"), size("size", "Size of the grid in px")];
  const anchor = make("input", { type: "checkbox", title: "The grid is a region that must stay", ariaLabel: "Stays" });
  anchor.onchange = () => model.setOptions({ anchor: anchor.checked });
  const fields = {
    interpolation: labelled("curve", interpolation),
    smoothing: labelled("smooth", smoothing),
    grid: labelled("grid", grid),
    spacing: labelled("every", spacing),
    size: labelled("size", extent),
    anchor: labelled("stays", anchor),
  };
  const row = make("div", { className: "mste-row" }, ...Object.values(fields));
  const update = () => {
    const { name } = model.tool;
    const { options } = model;
    row.hidden = name === "select";
    fields.interpolation.hidden = name !== "pen";
    fields.smoothing.hidden = !["freehand", "record", "grid"].includes(name) || (name === "grid" && options.anchor);
    fields.grid.hidden = name === "grid";
    fields.spacing.hidden = fields.size.hidden = !options.grid;
    fields.anchor.hidden = name !== "grid";
    [interpolation.value, smoothing.valueAsNumber] = [options.interpolation, options.smoothing];
    [grid.checked, anchor.checked] = [options.grid !== null, options.anchor];
    show(spacing, model.gridSize.spacing);
    show(extent, model.gridSize.size);
  };
  return { row, update };
}

/** What is selected, to be read and changed. @type {(model: EditorModel) => Panel} */
export function selectionPanel(model) {
  /** @type {<K extends keyof Track>(key: K) => (value: string) => void} */
  const set = (key) => (value) => model.changeSelected((track) => ({ ...track, [key]: value }));
  const kind = choice("Kind: drag (green), path (blue), anchor (red)", KINDS, (value) =>
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
  const easing = choice("Easing; a choice takes keyframes away", ["", ...EASINGS], (value) =>
    model.changeSelected(({ keyframes: _, ...track }) => ({
      ...track,
      easing: /** @type {import("../document/format.js").Easing} */ (value || "linear"),
    })),
  );
  easing.options[0].textContent = "keyframes";
  const before = choice("Before its span: held visibly, or hidden", HOLDS, set("before"));
  const after = choice("After its span: held visibly, or hidden", HOLDS, set("after"));
  const count = make("span", { className: "mste-count" });
  const row = make(
    "div",
    { className: "mste-row" },
    count,
    kind,
    interpolation,
    labelled("start", start),
    labelled("frames", duration),
    easing,
    labelled("before", before),
    labelled("after", after),
    button("Key", "Keyframe at this frame (K)", () => model.run({ name: "keyframe" })),
    button("Hide", "Hide or show at this frame (H)", () => model.run({ name: "hide_frame" })),
    button("Insert", "Insert points (I)", () => model.run({ name: "insert_point" })),
    button("Copy", "Duplicate (Ctrl+D)", () => model.run({ name: "duplicate" })),
    button("Group", "Group (Ctrl+G)", () => model.run({ name: "group" })),
    button("Ungroup", "Ungroup (Ctrl+Shift+G)", () => model.run({ name: "ungroup" })),
    button("Delete", "Delete (Del)", () => model.run({ name: "delete" })),
  );
  const update = () => {
    const tracks = model.selectedTracks;
    const [first] = tracks;
    // Always there: a row that came with a selection would move the surface under the pointer that selects.
    row.inert = !first;
    count.textContent = tracks.length > 1 ? `${tracks.length} tracks` : (first?.id ?? "none");
    if (!first) return;
    [kind.value, interpolation.value] = [first.kind, first.interpolation];
    show(start, first.start);
    show(duration, first.duration);
    easing.value = first.keyframes ? "" : (first.easing ?? "linear");
    [before.value, after.value] = [first.before ?? "hold", first.after ?? "hold"];
  };
  return { row, update };
}

/** Play, the frame shown, and words about what is under the pointer. @type {(model: EditorModel, actions: {play: () => void, fitToNode: () => void}, words: () => {hint: string, mismatch: string}) => Panel} */
export function transportPanel(model, actions, words) {
  const play = button("Play", "Play and stop (Space)", actions.play);
  const frame = numberField("Frame shown (, and .)", { min: 0 }, (value) => model.setFrame(value));
  const status = make("span", { className: "mste-status" });
  const fit = button("Fit to node", "Scale the drawing to the node's width, height and length", actions.fitToNode);
  const row = make("div", { className: "mste-row" }, play, frame, status, fit);
  status.setAttribute("aria-live", "off");
  const update = () => {
    const { canvas, tracks } = model.document;
    play.textContent = model.playing ? "Stop" : "Play";
    show(frame, Math.round(model.frame));
    const { hint, mismatch } = words();
    const clip = `of ${canvas.num_frames - 1}  ·  ${canvas.width} × ${canvas.height} px  ·  ${tracks.length} tracks`;
    status.textContent = [clip, mismatch, hint].filter(Boolean).join("  ·  ");
    fit.hidden = !mismatch;
  };
  return { row, update };
}

export const HELP = [
  ["V P F R G A", "select, points, free-hand, live, grid, anchor"],
  ["Space", "play and stop; held: pan with the pointer"],
  [", .  Home End", "frame back and on, first and last frame"],
  ["[ ]", "select the track before, after"],
  ["{ }", "select the point before, after"],
  ["Arrows", "nudge by 1 px (Shift 10, Alt 0.1); with nothing selected or while drawing: move the crosshair"],
  ["Enter", "press at the crosshair; begins and ends strokes"],
  ["Esc", "cancel, end the line, deselect, leave full screen"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["Ctrl+C X V D A", "copy, cut, paste, duplicate, select all"],
  ["Ctrl+G, Ctrl+Shift+G", "group, ungroup"],
  ["Del, Backspace", "delete points or tracks"],
  ["I  K  H", "insert points, keyframe here, hide here"],
  ["C", "tracks as the camera sees them, or as drawn alone"],
  ["+ - 0", "zoom in, out, fit; wheel and two fingers zoom, right button pans"],
  ["Double click, Alt click", "insert a point, delete a point"],
  ["Alt drag, Shift drag", "copy; keep to one axis"],
  ["Ctrl drag of the moving point", "keyframe: where it is at this frame"],
  ["Timeline", "drag bars and ends; Alt drag hides; double click adds or removes a keyframe, shows what is hidden"],
];
