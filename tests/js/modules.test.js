// What ComfyUI's page asks of every file below js/: it loads them all, so importing one does nothing.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import test from "node:test";

const ROOT = new URL("../../js/", import.meta.url);
const files = readdirSync(ROOT, { recursive: true }).filter((name) => name.endsWith(".js"));

test("only the entry file knows ComfyUI's page, and nothing comes from elsewhere", () => {
  assert.ok(files.includes("motionstream.js") && files.length > 20);
  for (const name of files) {
    const imports = [...readFileSync(new URL(name, ROOT), "utf8").matchAll(/^import .*?from "([^"]+)";/gms)].map(
      ([, from]) => from,
    );
    for (const from of imports) {
      assert.ok(from.startsWith("./") || from.startsWith("../"), `${name} imports ${from}`);
      assert.equal(
        from.includes("/scripts/"),
        name === "motionstream.js" && from.includes("/scripts/"),
        `${name} imports ${from}`,
      );
    }
  }
});

/** The folders that every folder takes from, of imports and of types alike; a file's name counts from js/. */
function folderImports(texts) {
  const taken = new Map();
  for (const [name, text] of texts) {
    const folder = posix.dirname(name);
    for (const [, from] of text.matchAll(/(?:from |import |import\()"(\.[^"]+)"/g)) {
      const other = posix.dirname(posix.join(posix.dirname(name), from));
      if (other !== folder) taken.set(folder, (taken.get(folder) ?? new Set()).add(other));
    }
  }
  return taken;
}

/** A way through folders that leads back to where it began; null where there is none. */
function findCycle(taken) {
  const done = new Set();
  const walk = (folder, path) => {
    if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
    if (done.has(folder)) return null;
    for (const other of taken.get(folder) ?? []) {
      const cycle = walk(other, [...path, folder]);
      if (cycle) return cycle;
    }
    done.add(folder);
    return null;
  };
  for (const folder of taken.keys()) {
    const cycle = walk(folder, []);
    if (cycle) return cycle;
  }
  return null;
}

test("no folder imports another in a circle", () => {
  const texts = files
    .filter((name) => name !== "motionstream.js")
    .map((name) => [name, readFileSync(new URL(name, ROOT), "utf8")]);
  assert.equal(findCycle(folderImports(texts))?.join(" -> ") ?? null, null);
  // The finder finds one that is there: of imports, of types, over three folders.
  const straight = [
    ["a/x.js", 'import { y } from "../b/y.js";'],
    ["b/y.js", 'import "./z.js";'],
    ["b/z.js", 'import "../c/w.js";'],
  ];
  const circle = [...straight, ["c/w.js", '/** @typedef {import("../a/x.js").X} X */']];
  assert.equal(findCycle(folderImports(straight)), null);
  assert.deepEqual(findCycle(folderImports(circle)), ["a", "b", "c", "a"]);
});

for (const name of files.filter((each) => each !== "motionstream.js")) {
  test(`importing ${name} does nothing, and needs no page`, async () => {
    const before = Object.keys(globalThis);
    await import(new URL(name, ROOT));
    assert.deepEqual(Object.keys(globalThis), before);
  });
}
