// A newcomer's browser in front of a ComfyUI that was never opened before: what every chapter of the visit uses.
import { launch } from "../../js/page/browser.js";

const EVENTS = ["execution_success", "execution_error", "execution_interrupted"];

/** A page of ComfyUI in one of its two ways to draw nodes ("classic", "vue"). */
export async function visit(port, mode, folder) {
  const browser = await launch();
  const context = await browser.newContext({ viewport: { width: 1500, height: 1000 } });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000); // a busy machine takes its time
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("dialog", (dialog) => dialog.accept());
  await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: "domcontentloaded" });
  const visitor = { page, problems, mode, wait: (ms) => page.waitForTimeout(ms) };
  visitor.shot = (name) => page.screenshot({ path: `${folder}/${mode}_${name}.png` });
  visitor.ready = () => ready(page);
  visitor.run = () => run(visitor);
  visitor.end = () => browser.close();
  await visitor.ready();
  await visitor.wait(3000);
  await page.evaluate(
    (isVue) => window.app.extensionManager.setting.set("Comfy.VueNodes.Enabled", isVue),
    mode === "vue",
  );
  await page.keyboard.press("Escape"); // ComfyUI greets a newcomer with its own templates
  problems.length = 0; // what the front end itself stumbles over while it starts
  return visitor;
}

const ready = (page) =>
  page.waitForFunction(
    () => window.app?.graph && window.LiteGraph?.registered_node_types?.MotionStreamTrackEditor,
    null,
    { timeout: 120_000 },
  );

/** What the Run button brings: how it ended (also "refused", before anything ran), and the files that nodes showed. */
async function run({ page }) {
  const ended = page.evaluate(
    (events) =>
      new Promise((done) => {
        const files = [];
        const gather = ({ detail }) => files.push(...(detail?.output?.images ?? []));
        window.app.api.addEventListener("executed", gather);
        const finish = (name, detail) => {
          clearInterval(watch);
          window.app.api.removeEventListener("executed", gather);
          done({ name, words: detail?.exception_message ?? "", files });
        };
        const watch = setInterval(() => {
          const refused = window.app.lastNodeErrors ?? {};
          if (Object.keys(refused).length) finish("refused", { exception_message: JSON.stringify(refused) });
        }, 500);
        for (const name of events)
          window.app.api.addEventListener(name, ({ detail }) => finish(name, detail), { once: true });
      }),
    EVENTS,
  );
  await page.getByTestId("queue-button").click();
  return ended;
}

/** Runs in the page with the first node of a kind, wherever it lies in the graph that is shown. */
export const inNode = ({ page }, kind, what, more) =>
  page.evaluate(
    ([kind, source, more]) => {
      const { graph } = window.app;
      const node = graph.nodes.find((each) => each.comfyClass === kind || (kind === "subgraph" && each.subgraph));
      const widget = (name) => node.widgets.find((each) => each.name === name);
      return new Function("node", "widget", "graph", "more", `return (async () => (${source}))()`)(
        node,
        widget,
        graph,
        more,
      );
    },
    [kind, what, more],
  );

/** Until it is so in the page. */
export const until = ({ page }, what, more) => page.waitForFunction(what, more, { timeout: 120_000, polling: 200 });

/** Files let go over a place of the page, as from the system's own file manager. */
export async function drop({ page, wait }, file, x, y) {
  const client = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    const data = { items: [], files: [file], dragOperationsMask: 1 };
    await client.send("Input.dispatchDragEvent", { type, x, y, data });
  }
  await wait(2000);
}
