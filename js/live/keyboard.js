/** Keys of the live stage. */

/**
 * @typedef {import("../track_editor/state/keyboard.js").Keys} Keys
 * @typedef {import("../track_editor/state/keyboard.js").Command} Command
 */

/** @type {Record<string, Command>} */
const PLAIN = {
  enter: { name: "start_or_end" },
  " ": { name: "play" },
  b: { name: "back_in_time" },
  n: { name: "reanchor" },
  d: { name: "grab" },
  l: { name: "hold" },
  w: { name: "webcam" },
  x: { name: "clear" },
  h: { name: "tool", tool: "hand" },
  a: { name: "tool", tool: "anchor" },
  p: { name: "tool", tool: "path" },
  delete: { name: "delete" },
  backspace: { name: "delete" },
  escape: { name: "escape" },
  "+": { name: "zoom", step: 1 },
  "=": { name: "zoom", step: 1 },
  "-": { name: "zoom", step: -1 },
  "[": { name: "resize", step: -1 },
  "]": { name: "resize", step: 1 },
  0: { name: "fit" },
  "?": { name: "help" },
};

/** @type {Record<string, [number, number]>} */
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
const REPEATED = ["nudge", "resize", "zoom", "play"];

/** The command of a key press; null for keys that mean nothing here. @type {(keys: Keys & {repeat?: boolean}) => Command | null} */
export function liveCommandOf({ key, shiftKey, ctrlKey, metaKey, altKey, repeat = false }) {
  if (ctrlKey || metaKey || altKey) return null;
  const lower = key.toLowerCase();
  const command = ARROWS[lower] ? nudge(ARROWS[lower], shiftKey) : PLAIN[lower];
  if (!command) return null;
  // A key held down does once what it does, but moves on and on.
  return repeat && !REPEATED.includes(command.name) ? { name: "nothing" } : command;
}

/** @type {(arrow: [number, number], far: boolean) => Command} */
const nudge = ([dx, dy], far) => ({ name: "nudge", dx: dx * (far ? 10 : 1), dy: dy * (far ? 10 : 1) });

export const LIVE_HELP = [
  ["Enter", "start; again: end, and get the video"],
  ["Space", "pause and go on; held: pan with the pointer"],
  ["Drag", "a green grid in hand: what lies below goes along; every finger is one"],
  ["Wheel, [ ]", "size of the grid"],
  ["H A P", "hand; anchor, red: holds still; path, blue: drawn, then played"],
  ["Click an anchor, Del", "let the anchor go"],
  ["D", "grab at the crosshair, and let go"],
  ["Arrows", "move the crosshair or what is grabbed by 1 px (Shift 10)"],
  ["W", "webcam: what moves before it moves the crosshair, what is grabbed, or the selected anchors"],
  ["B", "back by some seconds"],
  ["N", "new anchor: the picture now shown becomes the first"],
  ["X", "let go of everything"],
  ["Esc", "let go of the keyboard's hand; leave full screen"],
  ["Ctrl+wheel, + - 0", "zoom, fit; middle or right button pans"],
];
