// Chromium and a server of this repository's files, for tests of the page.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".png": "image/png", ".json": "application/json" };
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
// Software painting, and no talk with the outside.
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Why the page cannot be tested here; null where it can. */
export async function missing() {
  if (!executable()) return "no Chromium was found; name one with CHROMIUM";
  return import("playwright-core").then(
    () => null,
    () => "playwright-core is not installed; run npm ci",
  );
}

const executable = () => process.env.CHROMIUM ?? PLACES.find(existsSync);

/** A browser of its own; `more`: arguments of its command line. */
export async function launch(more = []) {
  const { chromium } = await import("playwright-core");
  return chromium.launch({ executablePath: executable(), args: [...ARGUMENTS, ...more] });
}

/** A server of the repository's files on a free port of this machine. `routes`: what other paths answer, or which file lies there. */
export async function serve(routes = {}) {
  const server = createServer(async (request, answer) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    const route = routes[path];
    if (typeof route === "function") return route(request, answer);
    try {
      const content = await readFile(join(ROOT, route ?? path));
      answer
        .writeHead(200, { "Content-Type": KINDS[extname(route ?? path)] ?? "application/octet-stream" })
        .end(content);
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
