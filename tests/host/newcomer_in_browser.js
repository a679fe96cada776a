// A newcomer in front of a ComfyUI that has just been installed, in one of its two ways to draw nodes.
//
//     node newcomer_in_browser.js PORT FOLDER classic|vue
//
// Prints one JSON object of what was seen; screenshots go into FOLDER. Run by test_newcomer.py.
import { beside, blueprint, countsUp, draws, drops, narrows, searches, typesLength } from "./newcomer/chapters.js";
import { cards, open, steer } from "./newcomer/templates.js";
import { visit } from "./newcomer/visit.js";

const [port, folder, mode] = process.argv.slice(2);
const LIVE = "MotionStreamLive";
const visitor = await visit(port, mode, folder);
const seen = { cards: await cards(visitor), templates: {} };
for (const { name } of seen.cards) {
  const opened = await open(visitor, name);
  if (!opened.missing) opened.run = await (opened.kinds.includes(LIVE) ? steer(visitor) : visitor.run());
  await visitor.wait(1000);
  await visitor.shot(name.replaceAll(/\W+/g, "_"));
  seen.templates[name] = opened;
}
await open(visitor, "Many videos from a table");
seen.table = await countsUp(visitor);
await open(visitor, "Draw what moves in a picture");
seen.editor = await draws(visitor);
seen.own_length = await typesLength(visitor);
seen.photo = await drops(visitor, folder);
seen.narrow = await narrows(visitor);
seen.search = await searches(visitor, ["spline", "drag"]);
const picture = ["MotionStreamPicture", 0, "image"];
seen.blueprints = {
  draw: await blueprint(visitor, "MotionStream Draw and Move", [picture], true),
  transfer: await blueprint(visitor, "MotionStream Motion Transfer", [
    picture,
    ["MotionStreamReferenceVideo", 0, "video"],
    ["MotionStreamPicture", 1, "mask"],
  ]),
  camera: await blueprint(visitor, "MotionStream Camera to Video", [picture]),
};
seen.beside = await beside(visitor);
seen.problems = visitor.problems;
console.log(JSON.stringify(seen));
await visitor.end();
