/** The video that a node shows once it is made plays by itself, over and over, until somebody stops it. */

import { after } from "./track_editor/in_node.js";

const LOOK_MS = 200;
const PATIENCE_MS = 60_000;
/** The classic graph's widgets for a picture; it takes one that comes late, beside a video, for a moving one. */
const PICTURES = ["$$canvas-image-preview", "$$comfy_animation_preview"];
const VIDEO = "video-preview";
/** The page's word that a picture came for a node that runs. */
const SHOWS = "b_preview_with_metadata";
const STYLE_ID = "motionstream-preview";
/** What Nodes 2.0 shows of it, with its size below, or the video; files have other addresses. */
const STYLE = `
[data-motionstream-shows="video"] img[src^="blob:"],
[data-motionstream-shows="video"] img[src^="blob:"] + div,
[data-motionstream-shows="pictures"] .video-preview { display: none; }
`;

/**
 * @typedef {{images?: {filename: string}[], animated?: boolean[]}} Output
 * @typedef {{id: any, videoContainer?: HTMLElement}} Node
 * @typedef {{nodePreviewImages?: Record<string, any>, nodeOutputs?: Record<string, any>}} Page
 */

/** @type {(node: any, app?: Page, api?: EventTarget) => void} */
export function attachPreview(node, app, api) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const rest = () => clearTimeout(timer);
  const watch = (/** @type {() => void} */ look) => {
    rest();
    const until = Date.now() + PATIENCE_MS;
    let drawn = "";
    const again = () => {
      look();
      // The classic graph makes room while it draws the node, and leaves the node drawn without.
      const now = [node.size?.[1], ...widgetsOf(node, [...PICTURES, VIDEO]).map(({ name }) => name)].join();
      if (now !== drawn) node.setDirtyCanvas?.(true, true);
      drawn = now;
      if (Date.now() < until) timer = setTimeout(again, LOOK_MS);
    };
    again();
  };
  const run = (/** @type {any} */ { detail }) => {
    if (String(detail?.displayNodeId).split(":").at(-1) !== String(node.id)) return;
    show(node, "pictures");
    leaveVideo(node, app);
    watch(() => {});
  };
  api?.addEventListener(SHOWS, run);
  after(node, "onExecuted", (/** @type {Output | undefined} */ output) => {
    const file = output?.animated?.[0] ? output.images?.[0]?.filename : undefined;
    if (!file?.endsWith(".mp4")) return;
    /** @type {HTMLVideoElement | undefined} */
    let begun;
    watch(() => {
      leavePicture(node, app); // the page may have been at it still, and put it there only now
      const video = videoOf(node, file);
      // The page may put another element in the place of one: that one begins too. What somebody stopped stays so.
      if (video && video !== begun) play(video);
      if (video) show(node, "video");
      begun = video ?? begun;
    });
  });
  after(node, "onRemoved", () => {
    rest();
    api?.removeEventListener(SHOWS, run);
  });
}

/** The node's element in Nodes 2.0; the classic graph has none. @type {(node: Node) => HTMLElement | null} */
const elementOf = ({ id }) => document.querySelector(`[data-node-id="${CSS.escape(String(id))}"]`);

/** In Nodes 2.0, which would show both beside each other. @type {(node: Node, what: "video" | "pictures") => void} */
function show(node, what) {
  const element = elementOf(node);
  if (!element) return;
  if (!document.getElementById(STYLE_ID)) {
    document.head.append(Object.assign(document.createElement("style"), { id: STYLE_ID, textContent: STYLE }));
  }
  element.dataset.motionstreamShows = what;
}

/**
 * The last picture that was shown while it ran makes way, or the classic graph would take it for the video, and fail. At
 * once: beside the video it would make the node grow.
 * @type {(node: any, app?: Page) => void}
 */
function leavePicture(node, app) {
  if (app?.nodePreviewImages) delete app.nodePreviewImages[placeOf(node)];
  node.imgs = undefined;
  removeWidgets(node, PICTURES);
}

/**
 * The video of the run before makes way, or the classic graph would take every picture for one, and show none.
 * @type {(node: any, app?: Page) => void}
 */
function leaveVideo(node, app) {
  if (!node.videoContainer) return;
  if (app?.nodeOutputs) delete app.nodeOutputs[placeOf(node)];
  node.videoContainer = node.previewMediaType = node.images = undefined;
  removeWidgets(node, [VIDEO]);
}

/** Under which the page keeps what a node shows. @type {(node: any) => string} */
function placeOf(node) {
  const inner = node.graph && (node.graph.rootGraph ?? node.graph) !== node.graph ? `${node.graph.id}:` : "";
  return `${inner}${node.id}`;
}

/** @type {(node: any, names: string[]) => any[]} */
const widgetsOf = (node, names) => (node.widgets ?? []).filter((/** @type {any} */ { name }) => names.includes(name));

/** @type {(node: any, names: string[]) => void} */
function removeWidgets(node, names) {
  for (const widget of widgetsOf(node, names)) {
    node.widgets.splice(node.widgets.indexOf(widget), 1);
    widget.onRemove?.();
  }
}

/** The page's own element for a file, in the graph's node or in that of Nodes 2.0. @type {(node: Node, file: string) => HTMLVideoElement | undefined} */
function videoOf(node, file) {
  const places = [node.videoContainer, elementOf(node)];
  const videos = places.flatMap((place) => [...(place?.querySelectorAll("video") ?? [])]);
  return videos.find(({ src }) => new URL(src, location.href).searchParams.get("filename") === file);
}

/** Without sound, which browsers ask of what begins by itself; it has none. @type {(video: HTMLVideoElement) => void} */
function play(video) {
  video.muted = true;
  video.loop = true;
  video.play().catch(() => {}); // it was taken away while it loaded; another takes its place
}
