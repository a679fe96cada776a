import assert from "node:assert/strict";
import test from "node:test";

import { attachPreview } from "../../js/preview.js";

/** A page whose node 7 holds the videos of these files. */
function page(...files) {
  const videos = files.map((file) => ({
    src: `http://host/api/view?filename=${file}&type=temp`,
    played: 0,
    muted: false,
    loop: false,
    play() {
      this.played++;
      return Promise.resolve();
    },
  }));
  globalThis.CSS = { escape: String };
  globalThis.location = { href: "http://host/" };
  globalThis.document = {
    querySelector: (selector) =>
      selector === '[data-node-id="7"]' ? { querySelectorAll: (each) => (each === "video" ? videos : []) } : null,
  };
  return videos;
}

const output = (filename, animated = [true]) => ({ images: [{ filename }], animated });

test("the video of the file that was made plays once, without sound and over and over", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const [old, made] = page("old.mp4", "new.mp4");
  const node = { id: 7 };
  attachPreview(node);
  node.onExecuted(output("new.mp4"));
  t.mock.timers.tick(5000);
  assert.deepEqual([old.played, made.played, made.muted, made.loop], [0, 1, true, true]);
});

test("one that the page puts there later is waited for, and not for ever", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  page();
  const node = { id: 7 };
  attachPreview(node);
  node.onExecuted(output("new.mp4"));
  t.mock.timers.tick(3000);
  const [made] = page("new.mp4");
  t.mock.timers.tick(200);
  assert.equal(made.played, 1);
  node.onExecuted(output("later.mp4"));
  t.mock.timers.tick(61_000);
  const [late] = page("later.mp4");
  t.mock.timers.tick(5000);
  assert.equal(late.played, 0);
});

test("pictures, and nodes that are gone, are left alone", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const [picture, made] = page("a.webp", "new.mp4");
  const node = { id: 7 };
  attachPreview(node);
  node.onExecuted(output("a.webp"));
  node.onExecuted(output("new.mp4", null));
  node.onExecuted(undefined);
  t.mock.timers.tick(1000);
  page();
  node.onExecuted(output("new.mp4"));
  node.onRemoved();
  const [late] = page("new.mp4");
  t.mock.timers.tick(1000);
  assert.deepEqual([picture.played, made.played, late.played], [0, 0, 0]);
});

test("the last live picture makes way for the video, in a subgraph too", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  page("new.mp4");
  const app = { nodePreviewImages: { 7: ["blob:a"], "inner:7": ["blob:b"], 8: ["blob:c"] } };
  const root = { id: "root" };
  const widgets = [{ name: "seed" }, { name: "$$canvas-image-preview" }, { name: "video-preview" }];
  const node = { id: 7, graph: root, imgs: [{}], widgets };
  attachPreview(node, app);
  node.onExecuted(output("new.mp4"));
  assert.deepEqual([Object.keys(app.nodePreviewImages), node.imgs], [["8", "inner:7"], undefined]);
  assert.deepEqual(
    widgets.map(({ name }) => name),
    ["seed", "video-preview"],
  );
  node.graph = { id: "inner", rootGraph: root };
  node.onExecuted(output("new.mp4"));
  assert.deepEqual(Object.keys(app.nodePreviewImages), ["8"]);
});

test("a live picture that the page shows late makes way too", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  page("new.mp4");
  const node = { id: 7, imgs: undefined, widgets: [{ name: "video-preview" }] };
  attachPreview(node, {});
  node.onExecuted(output("new.mp4"));
  node.imgs = [{}];
  node.widgets.unshift({ name: "$$canvas-image-preview" });
  t.mock.timers.tick(200);
  assert.deepEqual([node.imgs, node.widgets], [undefined, [{ name: "video-preview" }]]);
});

test("a node that grew while it was drawn is drawn again, once", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  page("new.mp4");
  let drawn = 0;
  const node = { id: 7, size: [300, 400], setDirtyCanvas: () => drawn++ };
  attachPreview(node);
  node.onExecuted(output("new.mp4"));
  t.mock.timers.tick(1000);
  assert.equal(drawn, 1);
  node.size[1] = 600;
  t.mock.timers.tick(1000);
  assert.equal(drawn, 2);
});

test("in Nodes 2.0 what was shown while it ran is out of sight beside the video, until the next run", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const [video] = page("new.mp4");
  const shell = { contains: () => true };
  const panel = { parentElement: shell, contains: (each) => each === picture, dataset: {}, style: { display: "" } };
  const picture = { parentElement: panel };
  const hidden = () => ("motionstreamRan" in panel.dataset ? [panel] : []);
  const found = { video: () => [video], 'img[src^="blob:"]': () => [picture], "[data-motionstream-ran]": hidden };
  globalThis.document.querySelector = () => ({ querySelectorAll: (selector) => found[selector]() });
  const api = new EventTarget();
  const node = { id: 7 };
  attachPreview(node, {}, api);
  node.onExecuted(output("new.mp4"));
  assert.equal(panel.style.display, "none");
  const shows = (displayNodeId) => new CustomEvent("b_preview_with_metadata", { detail: { displayNodeId } });
  api.dispatchEvent(shows("8"));
  assert.equal(panel.style.display, "none");
  api.dispatchEvent(shows("3:7")); // in a subgraph
  assert.equal(panel.style.display, "");
  t.mock.timers.tick(1000); // the look for the old video has ended: it hides nothing of the new run
  assert.equal(panel.style.display, "");
});
