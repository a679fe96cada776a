/** Keys to commands. All of the editor can be worked from the keyboard; docs of the node list the keys. */

/**
 * @typedef {{key: string, shiftKey: boolean, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} Keys
 * @typedef {{name: string, dx?: number, dy?: number, step?: 1 | -1, tool?: string}} Command
 */

/** @type {Record<string, string>} */
const TOOL_KEYS = { v: "select", f: "freehand", p: "pen", b: "brush", r: "record", g: "grid", a: "anchor" };

/** @type {Record<string, Command>} */
const WITH_CONTROL = {
  z: { name: "undo" },
  y: { name: "redo" },
  c: { name: "copy" },
  x: { name: "cut" },
  a: { name: "select_all" },
  d: { name: "duplicate" },
  g: { name: "group" },
};

/** @type {Record<string, Command>} */
const PLAIN = {
  delete: { name: "delete" },
  backspace: { name: "back" },
  enter: { name: "press" },
  escape: { name: "escape" },
  " ": { name: "play" },
  home: { name: "first_frame" },
  end: { name: "last_frame" },
  ",": { name: "step_frame", step: -1 },
  ".": { name: "step_frame", step: 1 },
  "[": { name: "next_track", step: -1 },
  "]": { name: "next_track", step: 1 },
  "{": { name: "next_point", step: -1 },
  "}": { name: "next_point", step: 1 },
  "+": { name: "zoom", step: 1 },
  "=": { name: "zoom", step: 1 },
  "-": { name: "zoom", step: -1 },
  0: { name: "fit" },
  i: { name: "insert_point" },
  k: { name: "keyframe" },
  h: { name: "hide_frame" },
  c: { name: "camera_view" },
  "?": { name: "help" },
};

/** @type {Record<string, [number, number]>} */
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };

/** The command of a key press; null for keys that mean nothing here. Pasting comes as the browser's own event. @type {(keys: Keys) => Command | null} */
export function commandOf({ key, shiftKey, ctrlKey, metaKey, altKey }) {
  const lower = key.toLowerCase();
  if (ctrlKey || metaKey) {
    if (lower === "z" && shiftKey) return { name: "redo" };
    if (lower === "g" && shiftKey) return { name: "ungroup" };
    return WITH_CONTROL[lower] ?? null;
  }
  if (ARROWS[lower]) {
    const far = shiftKey ? 10 : altKey ? 0.1 : 1;
    const [dx, dy] = ARROWS[lower];
    return { name: "nudge", dx: dx * far, dy: dy * far };
  }
  if (altKey) return null;
  if (TOOL_KEYS[lower]) return { name: "tool", tool: TOOL_KEYS[lower] };
  return PLAIN[lower] ?? null;
}
