/** The video that a node shows once it is made plays by itself, over and over, until somebody stops it. */

import { after } from "./track_editor/in_node.js";

const LOOK_MS = 200;
const PATIENCE_MS = 60_000;
/** The classic graph's widget for a picture, which would leave its place empty. */
const PICTURE = "$$canvas-image-preview";
/** The page's word that a picture came for a node that runs. */
const SHOWS = "b_preview_with_metadata";
/** What Nodes 2.0 shows of it; files have other addresses. */
const LIVE = 'img[src^="blob:"]';

/**
 * @typedef {{images?: {filename: string}[], animated?: boolean[]}} Output
 * @typedef {{id: any, videoContainer?: HTMLElement}} Node
 */

/** @type {(node: any, app?: {nodePreviewImages?: Record<string, any>}, api?: EventTarget) => void} */
export function attachPreview(node, app, api) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const rest = () => clearTimeout(timer);
  const run = (/** @type {any} */ { detail }) => {
    if (String(detail?.displayNodeId).split(":").at(-1) !== String(node.id)) return;
    rest();
    showPictures(node);
  };
  api?.addEventListener(SHOWS, run);
  after(node, "onExecuted", (/** @type {Output | undefined} */ output) => {
    const file = output?.animated?.[0] ? output.images?.[0]?.filename : undefined;
    if (!file?.endsWith(".mp4")) return;
    rest();
    const until = Date.now() + PATIENCE_MS;
    /** @type {HTMLVideoElement | undefined} */
    let begun;
    let height = 0;
    const look = () => {
      clearPicture(node, app); // the page may have been at it still, and put it there only now
      const video = videoOf(node, file);
      // The page may put another element in the place of one: that one begins too. What somebody stopped stays so.
      if (video && video !== begun) play(video);
      if (video) hidePictures(node, video);
      begun = video ?? begun;
      // The classic graph makes room for the video while it draws the node, and leaves the node drawn without.
      if (node.size && node.size[1] !== height) node.setDirtyCanvas?.(true, true);
      height = node.size?.[1] ?? 0;
      if (Date.now() < until) timer = setTimeout(look, LOOK_MS);
    };
    look();
  });
  after(node, "onRemoved", () => {
    rest();
    api?.removeEventListener(SHOWS, run);
  });
}

/** The node's element in Nodes 2.0; the classic graph has none. @type {(node: Node) => HTMLElement | null} */
const elementOf = ({ id }) => document.querySelector(`[data-node-id="${CSS.escape(String(id))}"]`);

/**
 * What was shown while it ran, out of sight until the next run: Nodes 2.0 would keep it below the video.
 * @type {(node: Node, video: HTMLVideoElement) => void}
 */
function hidePictures(node, video) {
  for (const picture of elementOf(node)?.querySelectorAll(LIVE) ?? []) {
    let place = /** @type {HTMLElement} */ (picture);
    while (place.parentElement && !place.parentElement.contains(video)) place = place.parentElement;
    place.dataset.motionstreamRan = "";
    place.style.display = "none";
  }
}

/** @type {(node: Node) => void} */
function showPictures(node) {
  for (const place of elementOf(node)?.querySelectorAll("[data-motionstream-ran]") ?? []) {
    const { dataset, style } = /** @type {HTMLElement} */ (place);
    delete dataset.motionstreamRan;
    style.display = "";
  }
}

/**
 * The last picture that was shown while it ran makes way: the classic graph would take it for the video, and fail.
 * @type {(node: any, app?: {nodePreviewImages?: Record<string, any>}) => void}
 */
function clearPicture(node, app) {
  const inner = node.graph && (node.graph.rootGraph ?? node.graph) !== node.graph ? `${node.graph.id}:` : "";
  if (app?.nodePreviewImages) delete app.nodePreviewImages[`${inner}${node.id}`];
  node.imgs = undefined;
  const place = node.widgets?.findIndex((/** @type {any} */ { name }) => name === PICTURE) ?? -1;
  if (place < 0) return;
  node.widgets.splice(place, 1)[0].onRemove?.();
  node.setDirtyCanvas?.(true, true);
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
