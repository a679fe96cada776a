// A picture of another shape than the clip: what of it is shown, and a drawing that goes over to the whole of it.
import assert from "node:assert/strict";
import test from "node:test";

import { onPicture } from "../../js/track_editor/document/edits.js";
import { sampleDocument } from "../../js/track_editor/document/sampling.js";
import { cutOf } from "../../js/track_editor/view/picture.js";
import { CANVAS, near, path } from "./bench.js";

test("crop shows the middle, in the clip's shape; stretch shows all", () => {
  const wide = { width: 1000, height: 200 };
  assert.deepEqual(cutOf(wide, CANVAS, "crop"), { left: 340, top: 0, width: 320, height: 200 });
  assert.deepEqual(cutOf(wide, CANVAS, "stretch"), { left: 0, top: 0, width: 1000, height: 200 });
  const tall = { width: 160, height: 1000 };
  assert.deepEqual(cutOf(tall, CANVAS, "crop"), { left: 0, top: 450, width: 160, height: 100 });
});

test("what was drawn over a thing lies over it still when the clip takes the picture's size", () => {
  const document = {
    canvas: CANVAS,
    tracks: [
      path("a", [
        [160, 100],
        [320, 200],
      ]),
      path("g", [[0, 0]], { grid: { columns: 2, rows: 1, dx: 20, dy: 20 } }),
      path("o", [[80, 50]], {
        region: {
          points: [
            [-8, 0],
            [8, 4],
          ],
          turn: 90,
        },
      }),
    ],
  };
  const picture = { width: 1000, height: 400 };
  for (const fit of /** @type {const} */ (["crop", "stretch"])) {
    const cut = cutOf(picture, CANVAS, fit);
    const made = onPicture(document, picture, cut);
    assert.deepEqual(made.canvas, { ...CANVAS, ...picture });
    const [before, after] = [sampleDocument(document), sampleDocument(made)];
    assert.equal(after.length, before.length);
    // Frame 0: before any turning, every point lies over the same pixel of the picture.
    before.forEach(([{ x, y }], i) => {
      near(after[i][0], cut.left + (x / CANVAS.width) * cut.width, cut.top + (y / CANVAS.height) * cut.height);
    });
    near(after[0][24], cut.left + cut.width, cut.top + cut.height);
  }
});
