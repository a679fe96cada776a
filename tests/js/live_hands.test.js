// Hands on a live picture: pointers, anchors, the keyboard's crosshair, and what the session is told of them.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { gridOfSize, Hands, resized } from "../../js/live/hands.js";
import { liveCommandOf } from "../../js/live/keyboard.js";
import { LiveTools } from "../../js/live/tools.js";
import { EditorModel } from "../../js/track_editor/state/model.js";

const CANVAS = { width: 100, height: 80, num_frames: 49, fps: 16 };
let said = [];
let tools;
let model;
let mayDraw = true;

beforeEach(() => {
  said = [];
  mayDraw = true;
  const outgoing = {
    begin: (id, [at], grid) => said.push(["begin", id, ...at, grid.columns]),
    move: (id, samples) => said.push(["move", id, ...samples.at(-1)]),
    release: (id) => said.push(["release", id]),
  };
  tools = new LiveTools(new Hands(() => outgoing), () => mayDraw);
  model = new EditorModel(CANVAS);
  tools.attach({ model, surface: { view: { scale: 1, x: 0, y: 0 }, layers: { top: { style: {} } } } });
  tools.fitTo(CANVAS);
});

const anchors = () => model.document.tracks.map(({ kind, points: [[x, y]] }) => [kind, x, y]);

test("two pointers are two hands, each let go by itself, and a number rests before it is used again", () => {
  assert.ok(tools.down(11, [10, 20, 1], 9) && tools.down(12, [50, 60, 2], 9));
  tools.move(12, [
    [51, 60, 3],
    [52, 60, 4],
  ]);
  tools.up(11);
  tools.down(13, [30, 30, 5], 9);
  tools.lost(12);
  assert.deepEqual(said, [
    ["begin", 0, 10, 20, 1, 5],
    ["begin", 1, 50, 60, 2, 5],
    ["move", 1, 52, 60, 4],
    ["release", 0],
    ["begin", 2, 30, 30, 5, 5],
    ["release", 1],
  ]);
  assert.deepEqual(
    model.marks.map(({ kind, held, at }) => [kind, held, at]),
    [["hand", true, { x: 30, y: 30 }]],
  );
});

test("there are nine hundred hands, and one more is refused", () => {
  const hands = new Hands(() => null);
  for (let i = 0; i < 900; i++) assert.ok(hands.begin(i, [0, 0, 0], gridOfSize(10)));
  assert.equal(hands.begin("one more", [0, 0, 0], gridOfSize(10)), false);
  hands.release(400);
  assert.ok(hands.begin("one more", [0, 0, 0], gridOfSize(10)));
  assert.equal(hands.held.get("one more").id, 400);
});

test("after a lost connection the hands that are there are told again, where they are now", () => {
  tools.down(1, [10, 20, 1], 9);
  tools.move(1, [[15, 25, 2]]);
  tools.hands.sayAgain(700);
  assert.deepEqual(said.at(-1), ["begin", 0, 15, 25, 700, 5]);
});

test("the wheel changes the size of the next grid, down to one point and up to the frame", () => {
  assert.equal(tools.size, 16);
  assert.deepEqual(gridOfSize(16), { columns: 5, rows: 5, dx: 4, dy: 4 });
  tools.wheel(2);
  tools.down(1, [10, 20, 1], 9);
  assert.deepEqual(tools.hands.held.get(1).grid, { columns: 5, rows: 5, dx: 8, dy: 8 });
  tools.wheel(0.001);
  assert.deepEqual(tools.grid, { columns: 1, rows: 1, dx: 0, dy: 0 });
  assert.equal(model.options.grid, null);
  assert.equal(resized(50, 9, CANVAS), 80);
  // A path is drawn with the same grid.
  tools.setSize(20);
  assert.deepEqual(model.options.grid, { spacing: 5, size: 20 });
});

test("the grid is shown where a pointer would take hold, and not while it holds or has gone", () => {
  tools.hover({ x: 5, y: 6 });
  assert.deepEqual(
    model.marks.map(({ kind, held }) => [kind, held]),
    [["hand", false]],
  );
  tools.setTool("anchor");
  assert.deepEqual(
    model.marks.map(({ kind, anchor }) => [kind, anchor]),
    [["grid", true]],
  );
  tools.hover(null);
  assert.deepEqual(model.marks, []);
});

test("an anchor is set by a click, held still, pulled, and let go by a click or by Delete", () => {
  tools.setTool("anchor");
  tools.down(1, [20, 30, 1], 4);
  tools.up(1);
  assert.deepEqual(anchors(), [["anchor", 20, 30]]);
  tools.down(1, [22, 31, 5], 4); // not on its middle: it goes by as much as the pointer
  tools.move(1, [[23, 31, 6]]); // no further than a hand trembles
  tools.move(1, [[42, 41, 7]]);
  tools.up(1);
  assert.deepEqual(anchors(), [["anchor", 40, 40]]);
  tools.down(1, [80, 10, 8], 4);
  tools.up(1);
  tools.down(2, [40, 40, 9], 4);
  tools.up(2);
  assert.deepEqual(anchors(), [["anchor", 80, 10]]);
  model.select({ tracks: new Set([model.document.tracks[0].id]), points: new Map() });
  tools.nudge(-10, 1, 20);
  assert.deepEqual(anchors(), [["anchor", 70, 11]]);
  tools.deleteSelected();
  assert.deepEqual(said, [
    ["begin", 0, 20, 30, 1, 5],
    ["move", 0, 40, 40, 7],
    ["begin", 1, 80, 10, 8, 5],
    ["release", 0],
    ["move", 1, 70, 11, 20],
    ["release", 1],
  ]);
  assert.deepEqual(anchors(), []);
});

test("the keyboard moves a crosshair, grabs with it, and Escape lets go step by step", () => {
  tools.nudge(10, 0, 1);
  tools.nudge(0, -1, 2);
  assert.deepEqual(model.cursor, { x: 60, y: 39 });
  tools.grab(3);
  tools.nudge(1, 0, 4);
  assert.ok(tools.stepOut());
  assert.deepEqual(said, [
    ["begin", 0, 60, 39, 3, 5],
    ["move", 0, 61, 39, 4],
    ["release", 0],
  ]);
  assert.ok(tools.stepOut());
  assert.equal(model.cursor, null);
  assert.equal(tools.stepOut(), false);
  tools.grab(5);
  tools.grab(6);
  assert.deepEqual(said.slice(3), [
    ["begin", 1, 50, 40, 5, 5],
    ["release", 1],
  ]);
});

test("who may not steer takes hold of nothing, and nothing outside the frame is taken", () => {
  tools.down(1, [-3, 20, 1], 9);
  mayDraw = false;
  assert.ok(tools.down(2, [10, 20, 1], 9));
  tools.setTool("anchor");
  tools.down(3, [10, 20, 1], 9);
  tools.grab(4);
  assert.deepEqual([said, anchors()], [[], []]);
});

test("everything let go at once, without a word for each", () => {
  tools.down(1, [10, 20, 1], 9);
  tools.setTool("anchor");
  tools.down(2, [50, 50, 2], 9);
  said.length = 0;
  tools.forget();
  tools.move(1, [[11, 20, 3]]);
  tools.up(1);
  tools.up(2);
  assert.deepEqual([said, anchors(), model.marks], [[], [], []]);
});

test("keys, their repeats, and what belongs to the browser", () => {
  const key = (key, more = {}) =>
    liveCommandOf({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...more });
  assert.deepEqual(key("Enter"), { name: "start_or_end" });
  assert.deepEqual(key("Enter", { repeat: true }), { name: "nothing" });
  assert.deepEqual(key("N"), { name: "reanchor" });
  assert.deepEqual(key("ArrowUp", { shiftKey: true, repeat: true }), { name: "nudge", dx: 0, dy: -10 });
  assert.equal(key("r", { ctrlKey: true }), null);
  assert.equal(key("q"), null);
});
