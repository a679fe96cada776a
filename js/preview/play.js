/** The video that a node shows after its run plays at once, without sound, again and again: as fast as the model means it. */

import { after } from "../track_editor/widget.js";

const LOOK_MS = 200;
const LOOKS = 40; // the page makes the element when it is drawn, which takes it a while

/** Nodes whose preview is a video. */
export const PLAYED = ["MotionStreamStudentStreamer", "MotionStreamFollowVideo", "MotionStreamPreviewTracks"];

/** @type {(node: any) => void} */
export function playResults(node) {
  after(node, "onExecuted", (/** @type {any} */ output) => {
    const file = output?.images?.[0]?.filename;
    if (!file?.endsWith(".mp4")) return;
    let looks = LOOKS;
    const timer = setInterval(() => {
      const found = videosOf(node).filter(({ src, currentSrc }) => (currentSrc || src).includes(file));
      for (const video of found) void play(video);
      if (found.length || --looks === 0 || !node.graph) clearInterval(timer);
    }, LOOK_MS);
  });
}

/** In the node's own widget, or in the element that "Nodes 2.0" draws for it. @type {(node: any) => HTMLVideoElement[]} */
function videosOf(node) {
  const places = [node.videoContainer, ...document.querySelectorAll(`[data-node-id="${CSS.escape(String(node.id))}"]`)];
  return places.flatMap((place) => [...(place?.querySelectorAll("video") ?? [])]);
}

/** @type {(video: HTMLVideoElement) => Promise<void>} */
async function play(video) {
  Object.assign(video, { muted: true, loop: true });
  await video.play().catch(() => {}); // the browser may forbid it: the controls are there
}
