/** The video that a node shows once it is made plays by itself, over and over, until somebody stops it. */

import { after } from "./track_editor/in_node.js";

const LOOK_MS = 100;
const PATIENCE_MS = 60_000;

/**
 * @typedef {{images?: {filename: string}[], animated?: boolean[]}} Output
 * @typedef {{id: any, videoContainer?: HTMLElement}} Node
 */

/** @type {(node: any) => void} */
export function attachPreview(node) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const rest = () => clearTimeout(timer);
  after(node, "onExecuted", (/** @type {Output | undefined} */ output) => {
    const file = output?.animated?.[0] ? output.images?.[0]?.filename : undefined;
    if (!file?.endsWith(".mp4")) return;
    rest();
    const until = Date.now() + PATIENCE_MS;
    const look = () => {
      const video = videoOf(node, file);
      if (video) play(video);
      else if (Date.now() < until) timer = setTimeout(look, LOOK_MS);
    };
    look();
  });
  after(node, "onRemoved", rest);
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
  video.play().catch(() => {}); // the page puts another element in its place: its controls are there
}
