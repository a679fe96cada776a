// Tools and the timeline as state machines: pointer events in, documents out.
import assert from "node:assert/strict";
import test from "node:test";

import { serialise } from "../../js/track_editor/document/format.js";
import { parseDocument } from "../../js/track_editor/document/parse.js";
import { positionAt, visibleAt } from "../../js/track_editor/document/sampling.js";
import { NOTHING, selectTracks } from "../../js/track_editor/document/selection.js";
import { commandOf } from "../../js/track_editor/state/keyboard.js";
import { penTool } from "../../js/track_editor/tools/pen.js";
import { selectTool } from "../../js/track_editor/tools/select.js";
import { anchorTool, freehandTool, gridTool, recordTool } from "../../js/track_editor/tools/stroke.js";
import {
  frameToX,
  hitTimeline,
  maxScroll,
  rowTop,
  scrolledTo,
  stepTimeline,
  visibleRows,
  xToFrame,
} from "../../js/track_editor/tools/timeline.js";
import { Bench, CANVAS, near, path } from "./bench.js";

test("select: a point is dragged, a click is no drag, escape gives back", () => {
  const bench = new Bench(selectTool, [
    path("a", [
      [10, 10],
      [100, 10],
    ]),
  ]);
  bench.click(100, 10);
  assert.equal(bench.commits, 0);
  bench.drag([
    [101, 11],
    [120, 40],
    [131, 51],
  ]);
  assert.deepEqual(bench.document.tracks[0].points, [
    [10, 10],
    [130, 50],
  ]);
  bench.send("down", 130, 50).send("move", 10, 190);
  assert.notEqual(bench.draft, bench.document);
  bench.send("cancel");
  assert.equal(bench.draft, bench.document);
  assert.equal(bench.commits, 1);
});

test("select: a track moves by its curve, shift keeps to an axis, alt makes a copy", () => {
  const bench = new Bench(selectTool, [
    path("a", [
      [10, 10],
      [100, 10],
    ]),
  ]);
  bench.frame = 24;
  bench.drag([
    [50, 10],
    [70, 15],
  ]);
  assert.deepEqual(bench.document.tracks[0].points, [
    [30, 15],
    [120, 15],
  ]);
  bench
    .drag(
      [
        [70, 15],
        [90, 18],
      ],
      { shift: false },
    )
    .send("move", 0, 0);
  bench.send("down", 90, 18).send("move", 90, 80).send("up", 95, 80, { shift: true });
  assert.deepEqual(bench.document.tracks[0].points, [
    [50, 80],
    [140, 80],
  ]);
  bench.drag(
    [
      [90, 80],
      [90, 120],
    ],
    { alt: true },
  );
  assert.deepEqual(
    bench.document.tracks.map(({ id, points }) => [id, points[0]]),
    [
      ["a", [50, 80]],
      ["t1", [50, 120]],
    ],
  );
});

test("select: box, multi-select, and moving what was chosen", () => {
  const bench = new Bench(selectTool, [path("a", [[10, 10]]), path("b", [[40, 10]]), path("c", [[300, 150]])]);
  bench.drag([
    [1, 1],
    [60, 60],
  ]);
  assert.deepEqual([...bench.selection.tracks], ["a", "b"]);
  bench.drag([
    [40, 10],
    [45, 20],
  ]);
  assert.deepEqual(
    bench.document.tracks.map(({ points }) => points[0]),
    [
      [15, 20],
      [45, 20],
      [300, 150],
    ],
  );
  bench.click(300, 150, { shift: true });
  assert.deepEqual([...bench.selection.tracks], ["a", "b", "c"]);
  bench.click(200, 100);
  assert.equal(bench.selection.tracks.size, 0);
});

test("select: whole tracks move by their points too, and a click leaves what was hit", () => {
  const bench = new Bench(selectTool, [
    path("a", [
      [10, 10],
      [60, 10],
    ]),
    path("b", [
      [10, 90],
      [60, 90],
    ]),
  ]);
  bench.selection = selectTracks(bench.document, ["a", "b"]);
  bench.drag([
    [60, 10],
    [65, 30],
  ]);
  assert.deepEqual(
    bench.document.tracks.map(({ points }) => points[1]),
    [
      [65, 30],
      [65, 110],
    ],
  );
  bench.click(65, 30);
  assert.deepEqual([[...bench.selection.tracks], [...bench.selection.points.get("a")]], [["a"], [1]]);
});

test("select: double click inserts, alt click deletes", () => {
  const bench = new Bench(selectTool, [
    path("a", [
      [0, 10],
      [100, 10],
    ]),
  ]);
  bench.send("double", 30, 12);
  assert.equal(bench.document.tracks[0].points.length, 3);
  assert.deepEqual([...bench.selection.points.get("a")], [1]);
  near({ x: bench.document.tracks[0].points[1][0], y: bench.document.tracks[0].points[1][1] }, 30, 10);
  bench.click(30, 10, { alt: true });
  assert.deepEqual(bench.document.tracks[0].points, [
    [0, 10],
    [100, 10],
  ]);
});

test("select: ctrl pulls the moving point along its curve and sets a keyframe", () => {
  const bench = new Bench(selectTool, [
    path("a", [
      [0, 10],
      [100, 10],
    ]),
  ]);
  bench.frame = 12;
  bench.drag(
    [
      [50, 10],
      [60, 14],
      [80, 30],
    ],
    { ctrl: true },
  );
  near(positionAt(bench.document.tracks[0], 12), 80, 10);
  near(positionAt(bench.document.tracks[0], 24), 100, 10);
});

test("pen: points, a closing click, Enter, and back", () => {
  const bench = new Bench(penTool);
  for (const [x, y] of [
    [10, 10],
    [60, 10],
    [60, 60],
  ])
    bench.click(x, y);
  assert.equal(bench.document.tracks.length, 1);
  assert.equal(bench.commits, 3);
  assert.equal(bench.document.tracks[0].interpolation, "catmull_rom");
  bench.send("move", 100, 100);
  assert.equal(bench.overlay.kind, "line");
  bench.send("back");
  assert.deepEqual(bench.document.tracks[0].points, [
    [10, 10],
    [60, 10],
  ]);
  bench.click(90, 90).click(12, 12); // near the first point: closes on it
  assert.deepEqual(bench.document.tracks[0].points, [
    [10, 10],
    [60, 10],
    [90, 90],
    [10, 10],
  ]);
  bench.send("finish").click(200, 50).click(250, 50).click(251, 51).click(10, 150); // on the last point: ends
  assert.deepEqual(
    bench.document.tracks.map(({ points }) => points.length),
    [4, 2, 1],
  );
});

test("pen: a drag pulls both handles", () => {
  const bench = new Bench(penTool, [], { interpolation: "bezier" });
  bench.click(10, 10).drag([
    [100, 10],
    [110, 30],
    [120, 40],
  ]);
  assert.deepEqual(bench.document.tracks[0].points, [
    [10, 10, 0, 0, 0, 0],
    [100, 10, -20, -30, 20, 30],
  ]);
});

test("pen: goes on after its track was undone", () => {
  const bench = new Bench(penTool).click(10, 10).click(50, 50);
  bench.document = bench.draft = { canvas: CANVAS, tracks: [] };
  bench.click(70, 70);
  assert.deepEqual(
    bench.document.tracks.map(({ points }) => points),
    [[[70, 70]]],
  );
});

const line = Array.from({ length: 60 }, (_, i) => [20 + 3 * i, 100]);

test("free-hand: blue, over the whole clip, where it was drawn; a mere click is nothing", () => {
  const bench = new Bench(freehandTool).drag(line).click(9, 9);
  const [track] = bench.document.tracks;
  assert.deepEqual(
    [bench.document.tracks.length, track.kind, track.interpolation, track.start, track.duration],
    [1, "path", "freehand", 0, 24],
  );
  near(positionAt(track, 0), 20, 100);
  near(positionAt(track, 24), 197, 100);
  near(positionAt(track, 12), 108.5, 100, 1);
});

test("a live drag is green and keeps its time", () => {
  const bench = new Bench(recordTool);
  bench.frame = 4;
  bench.send("down", 50, 50);
  for (let i = 1; i <= 100; i++) {
    bench.frame = 4 + i / 10;
    bench.send("move", 50 + (i <= 50 ? 2 * i : 100), 50);
  }
  bench.send("up", 150, 50);
  const [track] = bench.document.tracks;
  assert.deepEqual([track.kind, track.start, track.duration], ["drag", 4, 10]);
  near(positionAt(track, 6), 90, 50, 2);
  near(positionAt(track, 9), 150, 50, 2);
  near(positionAt(track, 12), 150, 50, 0.1);
});

test("the grid brush: an object that moves as one, a region that stays", () => {
  const bench = new Bench(gridTool, [], { grid: { spacing: 10, size: 40 } });
  bench.send("move", 50, 50);
  assert.deepEqual(bench.overlay, {
    kind: "grid",
    at: { x: 50, y: 50 },
    grid: { columns: 5, rows: 5, dx: 10, dy: 10 },
    anchor: false,
  });
  bench.drag(line);
  bench.options.anchor = true;
  bench.drag([
    [30, 30],
    [90, 95],
  ]);
  assert.deepEqual(
    bench.document.tracks.map(({ kind, grid }) => [kind, grid.columns]),
    [
      ["path", 5],
      ["anchor", 5],
    ],
  );
  assert.deepEqual(bench.document.tracks[1].points, [[90, 95]]);
});

test("an anchor is red and stays where it is let go", () => {
  const bench = new Bench(anchorTool).drag([
    [30, 30],
    [90, 95],
  ]);
  assert.deepEqual([bench.document.tracks[0].kind, bench.document.tracks[0].points], ["anchor", [[90, 95]]]);
});

const LAYOUT = { width: 500, height: 120, numFrames: 25, scroll: 0 };

class Times {
  constructor(...tracks) {
    this.document = { canvas: CANVAS, tracks };
    this.selection = NOTHING;
    this.state = null;
  }

  send(type, frame, row, more = {}) {
    const y = row < 0 ? 4 : rowTop(LAYOUT, row) + 8;
    const event = { type, x: frameToX(LAYOUT, frame), y, shift: false, alt: false, ...more };
    const outcome = stepTimeline(this.state, event, {
      document: this.document,
      selection: this.selection,
      layout: LAYOUT,
    });
    this.state = outcome.state;
    if (outcome.frame !== undefined) this.frame = outcome.frame;
    if (outcome.selection) this.selection = outcome.selection;
    if (outcome.commit) this.document = parseDocument(serialise(outcome.document), CANVAS);
    return this;
  }

  drag(from, to, row, more) {
    return this.send("down", from, row, more)
      .send("move", (from + to) / 2, row, more)
      .send("up", to, row, more);
  }

  get first() {
    return this.document.tracks[0];
  }
}

test("timeline: frames and px go back and forth, only rows in sight are drawn", () => {
  for (const frame of [0, 7.25, 24]) assert.ok(Math.abs(xToFrame(LAYOUT, frameToX(LAYOUT, frame)) - frame) < 1e-9);
  assert.equal(xToFrame(LAYOUT, -50), 0);
  const scrolled = { ...LAYOUT, scroll: 160 };
  assert.deepEqual(visibleRows(scrolled, 500), [10, 17]);
  assert.equal(maxScroll(LAYOUT, 500), 500 * 16 + 18 - 120);
  assert.equal(scrolledTo(scrolled, 3), 48);
  assert.equal(scrolledTo(scrolled, 12), 160);
  assert.equal(hitTimeline({ canvas: CANVAS, tracks: [] }, LAYOUT, 200, 60), null);
});

test("timeline: scrubbing, moving and changing a span", () => {
  const times = new Times(
    path(
      "a",
      [
        [0, 0],
        [96, 0],
      ],
      { start: 4, duration: 12 },
    ),
    path("b", [
      [0, 0],
      [9, 9],
    ]),
  );
  times.send("down", 3.4, -1).send("move", 9.7, -1);
  assert.equal(times.frame, 10);
  times.send("up", 11, -1).drag(10, 13, 0);
  assert.deepEqual([times.first.start, times.first.duration], [7, 12]);
  assert.deepEqual([...times.selection.tracks], ["a"]);
  times.drag(7, 10, 0);
  assert.deepEqual([times.first.start, times.first.duration], [10, 9]);
  times.drag(19, 24, 0);
  assert.deepEqual([times.first.start, times.first.duration], [10, 14]);
  assert.equal(times.document.tracks[1].duration, 24);
});

test("timeline: all that is selected moves together", () => {
  const times = new Times(
    path(
      "a",
      [
        [0, 0],
        [96, 0],
      ],
      { duration: 12 },
    ),
    path(
      "b",
      [
        [0, 0],
        [9, 9],
      ],
      { duration: 12 },
    ),
  );
  times.selection = selectTracks(times.document, ["a", "b"]);
  times.drag(6, 9, 1);
  assert.deepEqual(
    times.document.tracks.map(({ start }) => start),
    [3, 3],
  );
});

test("timeline: keyframes come, move and go", () => {
  const times = new Times(
    path("a", [
      [0, 0],
      [96, 0],
    ]),
  );
  times.send("double", 12, 0);
  assert.deepEqual(times.first.keyframes, [
    [0, 0],
    [12, 0.5],
    [24, 1],
  ]);
  times.drag(12, 18, 0);
  assert.deepEqual(times.first.keyframes, [
    [0, 0],
    [18, 0.5],
    [24, 1],
  ]);
  near(positionAt(times.first, 18), 48, 0);
  times.drag(18, 60, 0); // held short of its neighbour
  assert.deepEqual(times.first.keyframes[1], [23.5, 0.5]);
  times.send("double", 23.5, 0);
  assert.deepEqual(times.first.keyframes, [
    [0, 0],
    [24, 1],
  ]);
});

test("timeline: hidden spans come with alt, change and go", () => {
  const times = new Times(
    path("a", [
      [0, 0],
      [96, 0],
    ]),
  );
  times.drag(5, 9, 0, { alt: true });
  assert.deepEqual(times.first.hidden, [[5, 9]]);
  times.drag(9, 12, 0).drag(5, 3, 0).drag(7, 10, 0);
  assert.deepEqual(times.first.hidden, [[6, 15]]);
  assert.deepEqual(
    [5, 6, 15, 16].map((frame) => visibleAt(times.first, frame)),
    [true, false, false, true],
  );
  times.send("double", 10, 0);
  assert.equal(times.first.hidden, undefined);
});

test("keys", () => {
  const keys = (key, more = {}) =>
    commandOf({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...more });
  assert.deepEqual(keys("ArrowLeft", { shiftKey: true }), { name: "nudge", dx: -10, dy: 0 });
  assert.deepEqual(keys("z", { ctrlKey: true }), { name: "undo" });
  assert.deepEqual(keys("Z", { metaKey: true, shiftKey: true }), { name: "redo" });
  assert.deepEqual(keys("P"), { name: "tool", tool: "pen" });
  assert.equal(keys("v", { ctrlKey: true }), null);
  assert.equal(keys("F5"), null);
});
