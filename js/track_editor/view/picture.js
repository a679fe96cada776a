/** The picture below the tracks, and what of it comes into the clip's frame. */

/**
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {{source: CanvasImageSource, width: number, height: number}} Picture
 * @typedef {"crop" | "stretch"} Fit
 */

/** What of a picture comes into the clip's frame, in px of the picture: its middle, or all of it. @type {(picture: Size, canvas: Size, fit: Fit) => {left: number, top: number, width: number, height: number}} */
export function cutOf(picture, canvas, fit) {
  if (fit === "stretch") return { left: 0, top: 0, width: picture.width, height: picture.height };
  const scale = Math.max(canvas.width / picture.width, canvas.height / picture.height);
  const [width, height] = [canvas.width / scale, canvas.height / scale];
  return { left: (picture.width - width) / 2, top: (picture.height - height) / 2, width, height };
}

/** A picture as it lies over the clip's frame, in so many columns and rows. @type {(picture: Picture, canvas: Size, fit: Fit, columns: number, rows: number) => ImageData | null} */
export function pixelsOf(picture, canvas, fit, columns, rows) {
  const cells = document.createElement("canvas");
  [cells.width, cells.height] = [columns, rows];
  const context = cells.getContext("2d", { willReadFrequently: true });
  const { left, top, width, height } = cutOf(picture, canvas, fit);
  context?.drawImage(picture.source, left, top, width, height, 0, 0, columns, rows);
  return context?.getImageData(0, 0, columns, rows) ?? null;
}
