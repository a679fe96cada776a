// A bench for tools without a page: what the editor does with their outcomes. Image px are view px at scale 1.
import assert from "node:assert/strict";

import { serialise } from "../../js/track_editor/document/format.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import { NOTHING } from "../../js/track_editor/document/selection.js";

export const CANVAS = { width: 320, height: 200, num_frames: 25, fps: 16 };
const OPTIONS = {
  interpolation: "catmull_rom",
  smoothing: 0.3,
  grid: null,
  anchor: false,
  brush: 14,
  brushPoints: 40,
  similar: 0.35,
};

export const path = (id, points, more = {}) => ({
  id,
  kind: "path",
  interpolation: "linear",
  points,
  start: 0,
  duration: 24,
  ...more,
});

export const near = (a, x, y, tolerance = 0.01) =>
  assert.ok(Math.hypot(a.x - x, a.y - y) < tolerance, `${a.x},${a.y} for ${x},${y}`);

export class Bench {
  constructor(tool, tracks = [], options = {}) {
    this.tool = tool;
    this.state = tool.start;
    this.document = { canvas: CANVAS, tracks };
    this.draft = this.document;
    this.selection = NOTHING;
    this.frame = 0;
    this.commits = 0;
    this.options = { ...OPTIONS, ...options };
    this.view = { scale: 1, x: 0, y: 0 };
    this.pixels = () => null;
  }

  send(type, x = 0, y = 0, more = {}) {
    const event = { type, at: { x, y }, frame: this.frame, shift: false, alt: false, ctrl: false, reach: 9, ...more };
    const { document, selection, frame, view, options, pixels } = this;
    const outcome = this.tool.step(this.state, event, { document, selection, frame, view, options, pixels });
    this.state = outcome.state;
    if (outcome.selection) this.selection = outcome.selection;
    if (outcome.document) this.draft = outcome.document;
    if ("overlay" in outcome) this.overlay = outcome.overlay;
    if (outcome.commit) {
      this.document = parseDocument(serialise(this.draft), CANVAS); // all that is committed can be read again
      this.commits++;
    }
    return this;
  }

  click(x, y, more) {
    return this.send("down", x, y, more).send("up", x, y, more);
  }

  drag(points, more) {
    this.send("down", ...points[0], more);
    for (const point of points.slice(1)) this.send("move", ...point, more);
    return this.send("up", ...points[points.length - 1], more);
  }
}
