// The editor and the live stage in a Chinese interface: no word of theirs stays English.
import assert from "node:assert/strict";
import { test } from "node:test";

import { drivePage } from "./page/driver.js";

const ui = await drivePage();
const { options } = ui;

/** What is the same in both languages: keys, formats, units, a curve's inventor. */
const SAME =
  /\b(Ctrl|Shift|Alt|Enter|Esc|Del|Backspace|Home|End|JSON|SVG|npz|ATI|TRACKS|px|MB|Catmull-Rom|ComfyUI|[A-Z])\b/g;

/** Texts, tooltips and names of an element and all below it, those with words of Latin letters. */
async function latin(what) {
  const found = await ui.page.evaluate((what) => {
    const texts = [];
    const walk = document.createTreeWalker(
      document.querySelector(what),
      NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT,
    );
    for (let node = walk.currentNode; node; node = walk.nextNode()) {
      if (node instanceof Text) texts.push(node.data);
      else texts.push(...["title", "aria-label", "placeholder"].map((name) => node.getAttribute(name) ?? ""));
    }
    return texts;
  }, what);
  assert.ok(found.filter((text) => /\p{Script=Han}/u.test(text)).length > 60, "hardly a word is Chinese");
  return [...new Set(found)].filter((text) => /[A-Za-z]{2}/.test(text.replace(SAME, "")));
}

/** In place of what the page shows: `make`, in the page, with that module's exports and the language set. */
const show = (module, make) =>
  ui.page.evaluate(
    async ([module, make]) => {
      const { setLanguage } = await import("/js/language/language.js");
      setLanguage("zh-CN");
      window.editor.destroy();
      // biome-ignore lint/security/noGlobalEval: the test's own words
      window.editor = await eval(make)(await import(module));
      document.getElementById("place").append(window.editor.element);
    },
    [module, String(make)],
  );

test("the editor's", options, async () => {
  await show("/js/track_editor/editor.js", ({ TrackEditor }) => {
    const pictures = [["auto", "From the loader"]];
    const host = {
      canvas: () => window.canvas,
      changed: () => {},
      pictures,
      choosePicture: () => {},
      mask: async () => null,
    };
    return new TrackEditor(host);
  });
  assert.deepEqual(await latin(".mste"), []);
  for (const tool of ["freehand", "brush", "pen", "record", "anchor", "grid", "select"]) {
    await ui.page.evaluate((tool) => window.editor.model.setTool(tool), tool);
    await ui.settled();
    assert.deepEqual(await latin(".mste"), [], tool);
  }
  await ui.page.evaluate(() => {
    const { model } = window.editor;
    model.addMove("handheld");
    model.preset("circle");
    window.canvas = { ...window.canvas, num_frames: 9 };
    window.editor.notify("The mask covers nothing");
  });
  await ui.settled();
  assert.deepEqual(await latin(".mste"), []);
  assert.equal(await ui.page.locator(".mste-name").getAttribute("placeholder"), "路径 1");
  assert.deepEqual(ui.problems, []);
});

test("the live stage's", options, async () => {
  await show("/js/live/stage.js", ({ Stage }) => {
    window.stage = new Stage({ addresses: {}, again: async () => "" });
    return window.stage.editor;
  });
  await ui.settled();
  assert.deepEqual(await latin(".mste"), []);
  await ui.page.evaluate(() => window.stage.session.heard({ type: "ended", reason: "", files: { video: null } }));
  await ui.settled();
  assert.deepEqual(await latin(".mste"), []);
  await ui.page.evaluate(() => clearInterval(window.stage.timer));
});

test("the stage's own page speaks the browser's language", options, async () => {
  await ui.open({ locale: "zh-CN" });
  await ui.page.evaluate(async () => {
    const { open } = await import("/js/live/page.js");
    open(document.getElementById("place"));
  });
  assert.equal(await ui.page.getByRole("button", { name: "开始，再按则结束（Enter）" }).textContent(), "开始");
});
