// What ComfyUI's page makes of workflows that were saved before: each is opened, and the job that Run would post is told.
//
//     node saved_in_browser.js PORT classic|vue FILE.json ...
//
// Prints {name: {prompt, nodes}} as JSON. Run by test_saved_workflows.py.
import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { visit } from "./newcomer/visit.js";

const [port, mode, ...files] = process.argv.slice(2);
const visitor = await visit(port, mode, ".");
const seen = {};
for (const file of files) {
  const { drawn } = JSON.parse(readFileSync(file, "utf8"));
  await visitor.page.evaluate((drawn) => window.app.loadGraphData(drawn, true, true), drawn);
  await visitor.wait(1500);
  seen[basename(file, ".json")] = await visitor.page.evaluate(async () => ({
    prompt: (await window.app.graphToPrompt()).output,
    unknown: window.app.graph.nodes
      .map(({ type }) => type)
      .filter((type) => !(type in window.LiteGraph.registered_node_types)),
  }));
}
console.log(JSON.stringify({ seen, problems: visitor.problems }));
await visitor.end();
