// What ComfyUI's page asks of every file below js/: it loads them all, so importing one does nothing.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

for (const name of files.filter((each) => each !== "motionstream.js")) {
  test(`importing ${name} does nothing, and needs no page`, async () => {
    const before = Object.keys(globalThis);
    await import(new URL(name, ROOT));
    assert.deepEqual(Object.keys(globalThis), before);
  });
}

/** Folders of the editor in a circle of imports, the first one again at the end; none: []. @type {(graph: Map<string, Set<string>>) => string[]} */
function circle(graph) {
  /** @type {Set<string>} */
  const finished = new Set();
  /** @type {(folder: string, trail: string[]) => string[]} */
  const search = (folder, trail) => {
    if (trail.includes(folder)) return [...trail.slice(trail.indexOf(folder)), folder];
    if (finished.has(folder)) return [];
    for (const other of [...(graph.get(folder) ?? [])].sort()) {
      const found = search(other, [...trail, folder]);
      if (found.length) return found;
    }
    finished.add(folder);
    return [];
  };
  return [...graph.keys()]
    .sort()
    .reduce((found, folder) => (found.length ? found : search(folder, [])), /** @type {string[]} */ ([]));
}

test("no folders import each other", () => {
  const graph = new Map();
  for (const name of files) {
    const folder = dirname(name);
    const targets = [...readFileSync(new URL(name, ROOT), "utf8").matchAll(/^import .*?from "(\.[^"]+)";/gms)];
    const others = targets.map(([, from]) => join(folder, dirname(from))).filter((other) => other !== folder);
    graph.set(folder, new Set([...(graph.get(folder) ?? []), ...others]));
  }
  assert.ok(graph.size > 5);
  assert.deepEqual(circle(graph), []);
  graph.get("track_editor/curve").add("track_editor/view");
  assert.ok(circle(graph).length > 2, "a planted circle is found");
});
