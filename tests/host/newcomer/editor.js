// The editor in its node, in front of a person: what it shows, and a hand that draws.
import { inNode } from "./visit.js";

export const EDITOR = "MotionStreamTrackEditor";

/**
 * Tracks of the drawing on a node, and whether its editor can be seen there: as wide as the node, of some height, and
 * with nothing over its middle.
 */
export const drawing = (visitor, kind = EDITOR) =>
  inNode(
    visitor,
    kind,
    `(() => {
      const { element } = widget("track_editor");
      const box = element.querySelector(".mste-surface")?.getBoundingClientRect();
      const width = node.size[0] * window.app.canvas.ds.scale;
      const isThere = Boolean(box && box.width > 0.85 * width && box.height > 50);
      const over = isThere && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      const text = widget("document").value;
      return { tracks: text ? JSON.parse(text).tracks.length : 0, length: widget("length").value,
        shown: Boolean(over && element.contains(over)) };
    })()`,
  );

/** A stroke over the middle of the surface, with the tool that draws free-hand. */
export async function stroke({ page, wait }, from, to) {
  const free = page.getByRole("button", { name: /free-hand/i }).last();
  if (await free.isVisible()) await free.click();
  const box = await page.locator(".mste-surface").last().boundingBox();
  const side = Math.min(box.width, box.height);
  const at = ([x, y]) => [box.x + box.width / 2 + x * side, box.y + box.height / 2 + y * side];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 20 });
  await page.mouse.up();
  await wait(600);
}

/** How far what can be seen of a widget reaches over the edges of its node, px of the page; over the worst of them. */
export const spill = (visitor, kind, name) =>
  inNode(
    visitor,
    kind,
    `(() => {
      const { ds } = window.app.canvas;
      const page = window.app.canvas.canvas.getBoundingClientRect();
      const { element } = widget(more);
      const left = page.x + (node.pos[0] + ds.offset[0]) * ds.scale;
      const top = page.y + (node.pos[1] + ds.offset[1]) * ds.scale;
      const drawn = { left, top, right: left + node.size[0] * ds.scale, bottom: top + node.size[1] * ds.scale };
      const own = document.querySelector(\`[data-node-id="\${node.id}"]\`)?.getBoundingClientRect() ?? drawn;
      const seenOf = (each) => {
        let { left, top, right, bottom } = each.getBoundingClientRect();
        for (let up = each.parentElement; each !== element && element.contains(up); up = up.parentElement) {
          if (getComputedStyle(up).overflow === "visible") continue;
          const edge = up.getBoundingClientRect();
          [left, top] = [Math.max(left, edge.left), Math.max(top, edge.top)];
          [right, bottom] = [Math.min(right, edge.right), Math.min(bottom, edge.bottom)];
        }
        return { left, top, right, bottom };
      };
      const boxes = [element, ...element.querySelectorAll("*")]
        .map(seenOf)
        .filter(({ left, top, right, bottom }) => right > left && bottom > top);
      return Math.max(...boxes.flatMap((box) =>
        [own.left - box.left, own.top - box.top, box.right - own.right, box.bottom - own.bottom]));
    })()`,
    name,
  );
