/** Which colour a track is shown in. */

import { translate } from "../../language/language.js";

/** @typedef {import("../document/format.js").Track} Track */

/** The paper's colours: green dragged live, blue drawn path, red static anchor. */
export const COLOURS = { drag: "#35d06a", path: "#4aa3ff", anchor: "#ff5d5d" };

/** Around what lies on a picture, light or dark. */
export const OUTLINE = "rgba(0, 0, 0, 0.55)";

/** What belongs to the camera. */
export const CAMERA_COLOUR = "#b98cff";

/** Paths by turns; told apart at a glance, on light and dark pictures, and none of them a kind's own. */
const PALETTE = ["#4aa3ff", "#ffb52e", "#f26bd8", "#25d3c5", "#a98bff", "#ff8a50", "#c3dd3f", "#8fb3ff"];

/** By kind alone. @type {(track: Pick<Track, "kind">) => string} */
export const kindColour = ({ kind }) => COLOURS[kind];

/** Its own colour, if it was given one; paths each another, what was dragged live green, anchors red. @type {(track: Pick<Track, "kind" | "id" | "color">) => string} */
export function colourOf({ id, kind, color }) {
  if (color) return color;
  return kind === "path" ? PALETTE[numberOf(id) % PALETTE.length] : COLOURS[kind];
}

/** 0, 1, ... for t1, t2, ...; for other names a number that stays the same. @type {(id: string) => number} */
function numberOf(id) {
  const number = id[0] === "t" ? Number(id.slice(1)) : 0; // no pattern: every track is asked in every redraw
  if (Number.isInteger(number) && number > 0) return number - 1;
  let sum = 7;
  for (let i = 0; i < id.length; i++) sum = (Math.imul(sum, 31) + id.charCodeAt(i)) >>> 0;
  return sum;
}

/** What a track is called: its name, or what it is, with its number. @type {(track: Track) => string} */
export function labelOf({ id, name, kind, region }) {
  const number = /^t(\d+)$/.exec(id)?.[1];
  if (name || !number) return name ?? id;
  return translate(region ? "Object {}" : { path: "Path {}", drag: "Drag {}", anchor: "Anchor {}" }[kind], number);
}
