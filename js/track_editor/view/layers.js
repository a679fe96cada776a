/** The surface's two canvases: what is painted on which, and what need not be painted anew. */

import { poseAt, project } from "../camera/projection.js";
import { movesOf } from "../document/format.js";
import { trailOf } from "../document/sampling.js";
import { drawSpacing } from "./chosen.js";
import { CurveBitmap } from "./curve_bitmap.js";
import { drawArrows, drawRegions, inImage, inView, MANY_TRACKS, strokeOutlines, strokeTracks } from "./curves.js";
import { drawBase, drawTop } from "./render.js";

/**
 * @typedef {import("../document/format.js").Track} Track
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {import("../curve/geometry.js").Viewport} Viewport
 * @typedef {CanvasRenderingContext2D} Context
 * @typedef {{model: import("../state/model.js").EditorModel, size: Size, density: number, view: Viewport, image: import("./picture.js").Picture | null,
 *   pictureFit: import("./picture.js").Fit, colours: import("./curves.js").Colours}} Scene
 */

/** How strongly curves are shown as drawn, where the camera's view of them is shown too. */
const AS_DRAWN = 0.35;

export class Layers {
  base = document.createElement("canvas");
  top = document.createElement("canvas");
  /** Curves of tracks that are not selected, and of those that are, where they are many; and what the camera sees of them. */
  bitmaps = {
    resting: new CurveBitmap(),
    chosen: new CurveBitmap(),
    restingTrails: new CurveBitmap(),
    chosenTrails: new CurveBitmap(),
  };
  /** What the lower layer was painted of. @type {readonly unknown[]} */
  painted = [];
  /** Whether every bitmap lies where it belongs to a part of a px. */
  exact = true;

  /** @type {(size: Size, density: number) => void} */
  resize(size, density) {
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.round(size.width * density);
      canvas.height = Math.round(size.height * density);
    }
    this.painted = [];
  }

  /** The next picture is painted anew. */
  forget() {
    this.painted = [];
    for (const bitmap of Object.values(this.bitmaps)) bitmap.forget();
  }

  /** Returns whether all is where it belongs; else the picture is to be painted anew when there is time. @type {(scene: Scene) => boolean} */
  paint(scene) {
    const { model, size, density, view, image, pictureFit: fit, colours } = scene;
    const { document, selection, frame, overlay, marks, cursor, throughCamera } = model;
    const [base, top] = [this.base.getContext("2d"), this.top.getContext("2d")];
    if (!base || !top) return true;
    this.exact = true;
    // While a box gathers many, their points alone show what is in it: the curves lie together as they did.
    const boxing = overlay?.kind === "box" && document.tracks.length > MANY_TRACKS;
    const resting = boxing ? document.tracks : document.tracks.filter(({ id }) => !selection.tracks.has(id));
    const chosen = boxing ? [] : model.selectedTracks;
    const key = [view, density, size, image, fit, document.canvas, throughCamera && document.camera, ...resting];
    if (key.length !== this.painted.length || key.some((each, i) => each !== this.painted[i])) {
      drawBase(base, size, density, { document, view, image, fit });
      drawRegionsAtFirst(base, scene, resting);
      this.stroke(base, scene, resting, "resting", 1.5, throughCamera ? AS_DRAWN : 0.9);
      this.trails(base, scene, resting, "restingTrails", 1.5, 0.9);
      this.painted = key;
    }
    inView(top, density);
    top.clearRect(0, 0, size.width, size.height);
    drawRegionsAtFirst(top, scene, chosen);
    this.stroke(top, scene, chosen, "chosen", 2.5, throughCamera ? 2 * AS_DRAWN : 1);
    // The trails of many change with every step of a drag, and would take too long.
    const dragged = model.draft !== null && chosen.length > MANY_TRACKS;
    this.trails(top, scene, dragged ? [] : chosen, "chosenTrails", 2, 1);
    const pose = throughCamera ? poseAt(movesOf(document), frame) : null;
    const lens =
      pose && ((/** @type {import("../curve/geometry.js").Vector} */ point) => project(pose, document.canvas, point));
    drawTop(top, size, density, {
      document,
      selection,
      frame,
      view,
      lens,
      overlay,
      marks,
      cursor,
      colours,
      controls: model.tool.name === "select" || model.tool.name === "pen",
    });
    return this.exact;
  }

  /** Where the camera sees the tracks go. @type {(context: Context, scene: Scene, tracks: readonly Track[], which: "restingTrails" | "chosenTrails", width: number, opacity: number) => void} */
  trails(context, scene, tracks, which, width, opacity) {
    const { document, throughCamera } = scene.model;
    const seen = throughCamera ? tracks.map((track) => trailOf(document, track)) : [];
    this.stroke(context, scene, seen, which, width, opacity);
  }

  /** Curves: each for itself, or many as one picture. @type {(context: Context, scene: Scene, tracks: readonly Track[], which: keyof Layers["bitmaps"], width: number, opacity: number) => void} */
  stroke(context, { model, view, density, size, colours }, tracks, which, width, opacity) {
    if (tracks.length > MANY_TRACKS) {
      // Lines of one px are painted several times as fast, and many read better in them.
      const exact = this.bitmaps[which].draw(context, tracks, {
        size,
        density,
        view,
        width: 1 / density,
        opacity,
        colours,
      });
      this.exact &&= exact;
      return;
    }
    this.bitmaps[which].forget();
    inImage(context, view, density);
    if (which === "chosen") strokeOutlines(context, tracks, view);
    strokeTracks(context, tracks, view, width, opacity, colours);
    inView(context, density);
    if (which === "chosen" && !model.throughCamera)
      for (const track of tracks) drawSpacing(context, track, model.document.canvas.num_frames, view);
    drawArrows(context, tracks, view, opacity, colours);
  }
}

/** @type {(context: Context, scene: Scene, tracks: readonly Track[]) => void} */
function drawRegionsAtFirst(context, { density, view, colours }, tracks) {
  inView(context, density);
  drawRegions(context, tracks, 0, view, 0.4, colours);
}
