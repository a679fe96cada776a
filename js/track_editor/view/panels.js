/** Below the picture: the transport; and words: the empty picture's, the keys'. */

import { translate } from "../../language/language.js";
import { button, make, numberField, show } from "./elements.js";
import { icon, iconButton } from "./icons.js";

/**
 * @typedef {import("../state/model.js").EditorModel} EditorModel
 * @typedef {{row: HTMLElement, update: () => void}} Panel
 */

/**
 * What can be put below the tracks, as [value, title], and the choice of it. mask: a picture whose bright, opaque parts
 * are an object.
 * @typedef {{pictures?: readonly (readonly [string, string])[], choosePicture?: (which: string) => void,
 *   mask?: () => Promise<HTMLCanvasElement | null>}} PictureHost
 */

/**
 * Play, the frame shown, and words about what is under the pointer.
 * @typedef {{message: string, hint: string, mismatch: string, picture: string}} Words
 * @type {(model: EditorModel, actions: {play: () => void, fitToNode: () => void, takeSize: () => void}, words: () => Words) => Panel}
 */
export function transportPanel(model, actions, words) {
  const play = iconButton("play", "Play and stop (Space)", actions.play);
  const frame = numberField("Frame shown (, and .)", { min: 0 }, (value) => model.setFrame(value));
  frame.className = "mste-frame";
  const status = make("span", { className: "mste-status" });
  const fit = button("Fit to node", "Scale the drawing to the node's width, height and length", actions.fitToNode);
  const size = iconButton("size", "Take the picture's size; what is drawn is scaled with it", actions.takeSize);
  const row = make("div", { className: "mste-row mste-transport" }, play, frame, status, fit, size);
  status.setAttribute("aria-live", "off");
  let shown = "play";
  const update = () => {
    const { canvas } = model.document;
    const wanted = model.playing ? "stop" : "play";
    if (wanted !== shown) play.replaceChildren(icon(wanted));
    shown = wanted;
    show(frame, Math.round(model.frame));
    const { message, hint, mismatch, picture } = words();
    const clip = `/ ${canvas.num_frames - 1}  ·  ${canvas.width} × ${canvas.height} px`;
    const text = message || [clip, mismatch, hint].filter(Boolean).join("  ·  ");
    if (status.textContent !== text) status.textContent = status.title = text;
    fit.hidden = !mismatch;
    size.hidden = !picture;
    if (picture) size.title = translate("Take the picture's size, {}; what is drawn is scaled with it", picture);
  };
  return { row, update };
}

/** What to do with an empty picture. @type {(model: EditorModel) => Panel} */
export function emptyPanel(model) {
  const row = make(
    "div",
    { className: "mste-empty" },
    icon("freehand"),
    make("b", {}, translate("Drag to draw what moves")),
    make("span", {}, translate("or brush an object (B) and drag it. Drop a picture, paste tracks.")),
  );
  const update = () => {
    const { document, problem, busy, toolState } = model;
    row.hidden = Boolean(document.tracks.length || document.camera || problem !== null || busy || toolState?.id);
  };
  return { row, update };
}

export const HELP = [
  ["V F B P R A G", "select, free-hand, object brush, points, live, anchor, grid"],
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
  [
    "Object brush",
    "paint, or click what is of one colour; Alt wipes out, Shift adds; drag the object; the knob turns and scales",
  ],
  ["Timeline", "drag bars and ends; Alt drag hides; double click adds or removes a keyframe, shows what is hidden"],
];
