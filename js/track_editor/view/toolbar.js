/** Rows above the picture: tools and what is folded away behind them, and what the tool at hand does. */

import { translate } from "../../language/language.js";
import { INTERPOLATIONS } from "../curve/spline.js";
import { cameraMenu } from "./camera_panel.js";
import { choice, labelled, make, menu, numberField, show } from "./elements.js";
import { iconButton } from "./icons.js";

/**
 * @typedef {import("../state/model.js").EditorModel} EditorModel
 * @typedef {import("./panels.js").Panel} Panel
 * @typedef {import("./panels.js").PictureHost} PictureHost
 */

/** @type {readonly (readonly [string, string])[]} */
const TOOLS = [
  [
    "select",
    "Select and move (V). Double click on a curve adds a point; alt click deletes one; alt drag copies; ctrl drag of the moving point sets a keyframe",
  ],
  ["freehand", "Draw free-hand (F): the way that something goes, with a span of its own"],
  ["brush", "Object brush (B): paint an object or click it, then drag it; its points move together"],
  ["pen", "Draw by points (P). Enter, or the last point again, ends"],
  ["record", "Drag live (R): recorded in time while the clip plays"],
  ["anchor", "Anchor (A): red, a point that stays"],
  ["grid", "Grid brush (G): a grid around the pointer, dragged as one object or still"],
];

/** @type {Readonly<Record<string, string>>} */
const HINTS = {
  select: "Drag points, curves, boxes",
  freehand: "Drag to draw what moves",
  brush: "Paint an object, or click it",
  pen: "Click point by point; Enter ends",
  record: "Drag: the hand's timing is kept",
  anchor: "Click what must stay",
  grid: "Drag a grid as one object",
};

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
  const tools = TOOLS.map(([name, title]) => ({ name, element: iconButton(name, title, () => model.setTool(name)) }));
  const undo = iconButton("undo", "Undo (Ctrl+Z)", () => model.run({ name: "undo" }));
  const redo = iconButton("redo", "Redo (Ctrl+Shift+Z)", () => model.run({ name: "redo" }));
  const folded = foldedRow(model, host, actions);
  folded.hidden = true;
  const more = iconButton("more", "More: presets, camera, files, the picture below", () => {
    folded.hidden = !folded.hidden;
  });
  const bar = make(
    "div",
    { className: "mste-tools", role: "toolbar" },
    ...tools.map(({ element }) => element),
    make("span", { className: "mste-gap" }),
    undo,
    redo,
    more,
    iconButton("full", "Full screen", actions.full),
  );
  tools[tools.length - 1].element.classList.add("mste-wide"); // there is one in the folded row for narrow nodes
  redo.classList.add("mste-wide");
  const row = make("div", { className: "mste-above" }, bar, folded);
  const update = () => {
    for (const { name, element } of tools) element.ariaPressed = String(model.tool.name === name);
    undo.disabled = !model.history.past;
    redo.disabled = !model.history.future;
    more.ariaExpanded = String(!folded.hidden);
  };
  return { row, update };
}

/** @type {(model: EditorModel, host: PictureHost, actions: {file: (what: string) => void, fit: () => void, help: () => void}) => HTMLElement} */
function foldedRow(model, host, actions) {
  const grid = iconButton("grid", "A grid of points (G)", () => model.setTool("grid"));
  grid.classList.add("mste-narrow");
  return make(
    "div",
    { className: "mste-row mste-folded" },
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
    grid,
    iconButton("fit", "Show the whole frame (0)", actions.fit),
    iconButton("help", "Keys (?)", actions.help),
  );
}

/** What the tool at hand does, with its options. @type {(model: EditorModel, host: PictureHost, fromMask: () => void) => Panel} */
export function optionPanel(model, host, fromMask) {
  const interpolation = choice(
    "Curve through the points",
    INTERPOLATIONS.filter((each) => each !== "freehand"),
    (value) => model.setOptions({ interpolation: /** @type {import("../curve/spline.js").Interpolation} */ (value) }),
  );
  const smoothing = slider("Smoothing", "Smoothing of strokes", [0, 1, 0.05], (value) =>
    model.setOptions({ smoothing: value }),
  );
  const brush = slider("Brush size", "Size of the object brush", [4, 60, 1], (value) =>
    model.setOptions({ brush: value }),
  );
  const similar = slider("Similar", "How unlike the colour clicked an object's parts may be", [0, 1, 0.05], (value) =>
    model.setOptions({ similar: value }),
  );
  const count = numberField("Points of a brushed object", { min: 1, max: 400 }, (value) =>
    model.setOptions({ brushPoints: Math.round(value) }),
  );
  const mask = iconButton("mask", "An object of the mask that comes in, or of the picture's own alpha", fromMask);
  const grid = make("input", {
    type: "checkbox",
    title: translate("A grid of points instead of one"),
    ariaLabel: translate("Grid"),
  });
  grid.onchange = () => model.setOptions({ grid: grid.checked ? model.gridSize : null });
  const size = (/** @type {"spacing" | "size"} */ key, /** @type {string} */ title) =>
    numberField(title, { min: 1, max: 4096 }, (value) =>
      model.setOptions({ grid: { ...model.gridSize, [key]: value } }),
    );
  const [spacing, extent] = [size("spacing", "Spacing of the grid in px"), size("size", "Size of the grid in px")];
  const anchor = make("input", {
    type: "checkbox",
    title: translate("The grid is a region that must stay"),
    ariaLabel: translate("Stays"),
  });
  anchor.onchange = () => model.setOptions({ anchor: anchor.checked });
  const fields = {
    interpolation: labelled("", interpolation),
    smoothing: labelled("smooth", smoothing),
    grid: labelled("grid", grid),
    spacing: labelled("every", spacing),
    size: labelled("size", extent),
    anchor: labelled("stays", anchor),
    brush: labelled("size", brush),
    similar: labelled("similar", similar),
    count: labelled("points", count),
  };
  const hint = make("span", { className: "mste-hint" });
  const row = make("div", { className: "mste-line" }, hint, ...Object.values(fields), mask);
  const update = () => {
    const { name } = model.tool;
    const { options } = model;
    const chosen = model.selectedTracks.length === 1 ? model.selectedTracks[0] : null;
    const waits = name === "brush" && chosen?.region && chosen.points.length < 2;
    hint.textContent = hint.title = translate(waits ? "Now drag it; the knob turns it" : HINTS[name]);
    fields.interpolation.hidden = name !== "pen";
    fields.smoothing.hidden = !["freehand", "record", "grid"].includes(name) || (name === "grid" && options.anchor);
    fields.grid.hidden = !["freehand", "record", "pen", "anchor"].includes(name);
    fields.spacing.hidden = fields.size.hidden = !options.grid || ["select", "brush"].includes(name);
    fields.anchor.hidden = name !== "grid";
    fields.brush.hidden = fields.similar.hidden = fields.count.hidden = name !== "brush";
    mask.hidden = name !== "brush" || !host.mask;
    [interpolation.value, smoothing.valueAsNumber] = [options.interpolation, options.smoothing];
    [grid.checked, anchor.checked] = [options.grid !== null, options.anchor];
    [brush.valueAsNumber, similar.valueAsNumber] = [options.brush, options.similar];
    show(count, options.brushPoints);
    show(spacing, model.gridSize.spacing);
    show(extent, model.gridSize.size);
  };
  return { row, update };
}

/** @type {(label: string, title: string, range: [number, number, number], changed: (value: number) => void) => HTMLInputElement} */
function slider(label, title, [min, max, step], changed) {
  const input = make("input", {
    type: "range",
    min: String(min),
    max: String(max),
    step: String(step),
    title: translate(title),
    ariaLabel: translate(label),
  });
  input.oninput = () => changed(input.valueAsNumber);
  return input;
}
