/** The video that a node shows once it is made plays by itself, over and over, until somebody stops it. */

import { after } from "./track_editor/in_node.js";

const LOOK_MS = 200;
const PATIENCE_MS = 60_000;
/** The classic graph's widget for a picture, which would leave its place empty. */
const PICTURE = "$$canvas-image-preview";

/**
 * @typedef {{images?: {filename: string}[], animated?: boolean[]}} Output
 * @typedef {{id: any, videoContainer?: HTMLElement}} Node
 */

/** @type {(node: any, app?: {nodePreviewImages?: Record<string, any>}) => void} */
export function attachPreview(node, app) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const rest = () => clearTimeout(timer);
  after(node, "onExecuted", (/** @type {Output | undefined} */ output) => {
    const file = output?.animated?.[0] ? output.images?.[0]?.filename : undefined;
    if (!file?.endsWith(".mp4")) return;
    rest();
    clearPicture(node, app);
    const until = Date.now() + PATIENCE_MS;
    /** @type {HTMLVideoElement | undefined} */
    let begun;
    const look = () => {
      const video = videoOf(node, file);
      // The page may put another element in the place of one: that one begins too. What somebody stopped stays so.
      if (video && video !== begun) play(video);
      begun = video ?? begun;
      if (Date.now() < until) timer = setTimeout(look, LOOK_MS);
    };
    look();
  });
  after(node, "onRemoved", rest);
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
  if (place >= 0) node.widgets.splice(place, 1)[0].onRemove?.();
}

/** The page's own element for a file, in the graph's node or in that of Nodes 2.0. @type {(node: Node, file: string) => HTMLVideoElement | undefined} */
function videoOf(node, file) {
  const places = [node.videoContainer, document.querySelector(`[data-node-id="${CSS.escape(String(node.id))}"]`)];
  const videos = places.flatMap((place) => [...(place?.querySelectorAll("video") ?? [])]);
  return videos.find(({ src }) => new URL(src, location.href).searchParams.get("filename") === file);
}

/** Without sound, which browsers ask of what begins by itself; it has none. @type {(video: HTMLVideoElement) => void} */
function play(video) {
  video.muted = true;
  video.loop = true;
  video.play().catch(() => {}); // it was taken away while it loaded; another takes its place
}
