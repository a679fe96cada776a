// The template browser: every card is looked at, opened and run, as it is.
import { until } from "./visit.js";

const MINE = /motionstream/i;

/** The dialog, with this pack's entries. */
async function browse({ page, wait }) {
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.BrowseTemplates"));
  await page.getByRole("dialog").getByRole("button", { name: MINE }).first().click();
  await wait(1500);
}

/** Names of the cards, and whether each has a picture of its own. */
export async function cards(visitor) {
  await browse(visitor);
  const { page } = visitor;
  const shown = page.locator('[data-testid^="template-workflow-"]');
  const found = [];
  for (const card of await shown.all()) {
    await card.scrollIntoViewIfNeeded();
    await visitor.wait(300);
    const name = (await card.getAttribute("data-testid")).replace("template-workflow-", "");
    found.push({
      name,
      title: (await card.locator("h3").textContent()).trim(),
      isCut: await card.locator("h3").evaluate((e) => e.scrollHeight > e.clientHeight + 2),
      pictures: await card.locator("img").evaluateAll((all) => all.map((e) => [e.naturalWidth, e.naturalHeight])),
    });
  }
  await visitor.shot("cards");
  await page.keyboard.press("Escape");
  await visitor.wait(500);
  return found;
}

/** One entry, opened by its card: kinds of nodes, and what the page says is missing. */
export async function open(visitor, name) {
  const { page } = visitor;
  await browse(visitor);
  const card = page.getByTestId(`template-workflow-${name}`);
  await card.scrollIntoViewIfNeeded();
  await card.click();
  await until(visitor, (title) => document.title.includes(title) && window.app.graph.nodes.length > 3, name);
  await visitor.wait(2500);
  return {
    kinds: await page.evaluate(() => window.app.graph.nodes.map(({ type }) => type)),
    missing: await missing(visitor),
  };
}

/** What ComfyUI's own list of errors says, "" where there is none. */
async function missing({ page, wait }) {
  const details = page.getByRole("button", { name: "View details" });
  if (!(await details.isVisible())) return "";
  await details.click();
  await wait(1500);
  return page.evaluate(() => document.body.textContent);
}

/** The live example wants a hand: it is started, dragged and ended on its stage. */
export async function steer(visitor) {
  const { page, wait } = visitor;
  const ended = visitor.run();
  const go = page.getByRole("button", { name: "Start, and end again (Enter)" });
  await go.click();
  await until(visitor, () => {
    const live = window.app.graph.nodes.find(({ comfyClass }) => comfyClass === "MotionStreamLive");
    return live?.widgets.find(({ name }) => name === "live_stage")?.element.stage?.shown.frames > 8;
  });
  const box = await page.locator(".mste-surface").last().boundingBox();
  const side = Math.min(box.width, box.height); // of the square picture in the middle
  const at = (x, y) => [box.x + box.width / 2 + (x - 0.5) * side, box.y + box.height / 2 + (y - 0.5) * side];
  await page.mouse.move(...at(0.27, 0.25)); // the square; plain ground beside it would show no motion
  await page.mouse.down();
  await page.mouse.move(...at(0.4, 0.4), { steps: 15 });
  await wait(2000);
  await page.mouse.up();
  await visitor.shot("live");
  await go.click();
  return ended;
}
