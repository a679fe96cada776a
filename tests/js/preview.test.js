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
  const shell = { dataset: {}, querySelectorAll: () => videos };
  globalThis.document = {
    styles: [],
    querySelector: (selector) => (selector === '[data-node-id="7"]' ? shell : null),
    getElementById: (id) => globalThis.document.styles.find((each) => each.id === id) ?? null,
    createElement: () => ({}),
    head: { append: (style) => globalThis.document.styles.push(style) },
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
  const videoContainer = { querySelectorAll: () => [] };
  const widgets = [{ name: "seed" }, { name: "$$canvas-image-preview" }, { name: "video-preview" }];
  const node = { id: 7, graph: root, imgs: [{}], widgets, videoContainer };
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
  const videoContainer = { querySelectorAll: () => [] };
  const node = { id: 7, imgs: undefined, videoContainer, widgets: [{ name: "video-preview" }] };
  attachPreview(node, {});
  node.onExecuted(output("new.mp4"));
  node.imgs = [{}];
  node.widgets.unshift({ name: "$$canvas-image-preview" });
  t.mock.timers.tick(200);
  assert.deepEqual([node.imgs, node.widgets], [undefined, [{ name: "video-preview" }]]);
});

test("one that comes after the video's file is known, which the page takes for a moving picture, makes way too", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  page("new.mp4");
  const node = { id: 7, videoContainer: { querySelectorAll: () => [] }, widgets: [{ name: "video-preview" }] };
  attachPreview(node, {});
  node.onExecuted(output("new.mp4"));
  let removed = 0;
  node.imgs = [{}];
  node.widgets.push({ name: "$$comfy_animation_preview", onRemove: () => removed++ });
  t.mock.timers.tick(200);
  assert.deepEqual([node.imgs, node.widgets, removed], [undefined, [{ name: "video-preview" }], 1]);
});

test("in the classic graph the next run's pictures take the place of the video before them, and its video theirs", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const api = new EventTarget();
  const app = { nodeOutputs: { 7: output("old.mp4"), 8: output("other.mp4") } };
  const shows = (displayNodeId) =>
    api.dispatchEvent(new CustomEvent("b_preview_with_metadata", { detail: { displayNodeId } }));
  const videos = [];
  const container = { querySelectorAll: () => videos };
  let drawn = 0;
  const setDirtyCanvas = () => drawn++;
  const node = { id: 7, images: [{}], previewMediaType: "video", videoContainer: container, setDirtyCanvas };
  node.widgets = [{ name: "seed" }, { name: "video-preview" }];
  const names = () => node.widgets.map(({ name }) => name);
  page();
  attachPreview(node, app, api);
  shows("8");
  assert.deepEqual([Object.keys(app.nodeOutputs), node.videoContainer], [["7", "8"], container]);
  shows("7");
  assert.deepEqual([Object.keys(app.nodeOutputs), node.videoContainer], [["8"], undefined]);
  assert.deepEqual([node.images, node.previewMediaType], [undefined, undefined]);
  assert.deepEqual(names(), ["seed"]);
  node.widgets.push({ name: "$$canvas-image-preview" });
  drawn = 0;
  t.mock.timers.tick(200);
  assert.equal(drawn, 1, "room is made for what the page added");
  node.onExecuted(output("new.mp4"));
  assert.deepEqual(names(), ["seed"], "never both at once: the node would grow");
  node.videoContainer = container;
  node.widgets.push({ name: "video-preview" });
  videos.push({ src: "http://host/api/view?filename=new.mp4", play: () => Promise.resolve() });
  t.mock.timers.tick(200);
  assert.deepEqual(names(), ["seed", "video-preview"]);
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

test("Nodes 2.0 shows the pictures while it runs, and the video once it is there", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const videos = page();
  const { dataset } = document.querySelector('[data-node-id="7"]');
  const api = new EventTarget();
  const node = { id: 7 };
  attachPreview(node, {}, api);
  const shows = (displayNodeId) =>
    api.dispatchEvent(new CustomEvent("b_preview_with_metadata", { detail: { displayNodeId } }));
  shows("8");
  assert.equal(dataset.motionstreamShows, undefined);
  shows("3:7"); // in a subgraph
  assert.equal(dataset.motionstreamShows, "pictures");
  node.onExecuted(output("new.mp4"));
  assert.equal(dataset.motionstreamShows, "pictures", "the video is not there yet");
  videos.push({ src: "http://host/api/view?filename=new.mp4", play: () => Promise.resolve() });
  t.mock.timers.tick(200);
  assert.equal(dataset.motionstreamShows, "video");
  shows("7");
  t.mock.timers.tick(1000); // the look for the old video has ended
  assert.equal(dataset.motionstreamShows, "pictures");
  assert.equal(document.styles.length, 1);
});
