/** Masks as pictures that are bright where something is covered. */

/**
 * How a mask is written in a picture's file: `channel` of it, or its opposite, as core's loaders take it.
 * @typedef {"red" | "green" | "blue" | "not_alpha"} Writing
 */

/** @type {Readonly<Record<Writing, number>>} */
const OFFSETS = { red: 0, green: 1, blue: 2, not_alpha: 3 };

/** The mask in a file, or null where it covers nothing. @type {(url: string, writing: Writing) => Promise<HTMLCanvasElement | null>} */
export async function maskPicture(url, writing) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  let covers = false;
  for (let i = 0; i < pixels.data.length; i += 4) {
    const value = pixels.data[i + OFFSETS[writing]];
    const bright = writing === "not_alpha" ? 255 - value : value;
    covers ||= bright >= 128;
    pixels.data.set([bright, bright, bright, 255], i);
  }
  context.putImageData(pixels, 0, 0);
  return covers ? canvas : null;
}

/** How the loader behind a mask reads its file; null where the file says nothing of its mask. @type {(node: import("./upstream.js").GraphNode | null) => Writing | null} */
export function writingOf(node) {
  if (node?.type === "LoadImage") return "not_alpha";
  if (node?.type !== "LoadImageMask") return null;
  const channel = node.widgets?.find(({ name }) => name === "channel")?.value;
  return channel === "red" || channel === "green" || channel === "blue" ? channel : "not_alpha";
}
