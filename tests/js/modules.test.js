// What ComfyUI's page asks of every file below js/: it loads them all, so importing one does nothing.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
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
