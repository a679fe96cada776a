// The page's words: a table that holds no word the page does not say, and fills in what a sentence leaves open.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

import { setLanguage, translate } from "../../js/language/language.js";
import { ZH } from "../../js/language/zh.js";

const ROOT = new URL("../../js/", import.meta.url);
const texts = readdirSync(ROOT, { recursive: true })
  .filter((name) => name.endsWith(".js") && !name.startsWith("language"))
  .map((name) => readFileSync(new URL(name, ROOT), "utf8"))
  .join("\n")
  .replaceAll(/" \+\s*"/g, ""); // a sentence over two lines

test("Chinese where the interface is Chinese, and English elsewhere", () => {
  for (const locale of ["zh", "zh-CN", "zh-Hans-CN"]) {
    setLanguage(locale);
    assert.equal(translate("Undo (Ctrl+Z)"), "撤销（Ctrl+Z）");
    assert.equal(translate("{} tracks", 3), "3 条轨迹");
    assert.equal(translate("a sentence of the server's, with {}"), "a sentence of the server's, with {}");
  }
  for (const locale of ["en", "zh-TW", "zh-Hant", "fr", ""]) {
    setLanguage(locale);
    assert.equal(translate("Undo (Ctrl+Z)"), "Undo (Ctrl+Z)");
    assert.equal(translate("{} sample {} at {}, {}", "Path 1", 2, "3.0", "4.0"), "Path 1 sample 2 at 3.0, 4.0");
  }
});

test("every sentence of the table is one that the page says, with as many places to fill", () => {
  for (const [english, chinese] of ZH) {
    const written = [english, english.replaceAll(" ", "_")].some((each) => texts.includes(`"${each}"`));
    const named = /^\w+$/.test(english) && new RegExp(`\\b${english}: `).test(texts); // a field's name
    assert.ok(written || named, `nothing says ${english}`);
    assert.match(chinese, /\p{Script=Han}/u, english);
    assert.equal(chinese.split("{}").length, english.split("{}").length, english);
  }
});
