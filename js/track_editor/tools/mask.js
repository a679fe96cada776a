/**
 * What was painted, or found in a picture: cells that are covered or not. A mask lies over the whole canvas; its cells
 * are squares of `cell` px of the image, at most 256 along its longer side.
 */

/**
 * @typedef {import("../curve/geometry.js").Vector} Vector
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {{readonly columns: number, readonly rows: number, readonly cell: number, readonly covered: Uint8Array}} Mask
 * @typedef {{readonly width: number, readonly height: number, readonly data: Uint8ClampedArray}} Pixels
 */

const MAX_CELLS = 256;
const HALF = 128;

/** @type {(canvas: Size) => Mask} */
export function emptyMask({ width, height }) {
  const cell = Math.max(0.25, Math.max(width, height) / MAX_CELLS);
  const [columns, rows] = [Math.max(1, Math.round(width / cell)), Math.max(1, Math.round(height / cell))];
  return { columns, rows, cell, covered: new Uint8Array(columns * rows) };
}

/** A stroke of `radius` px along the points added, or wiped out. @type {(mask: Mask, points: readonly Vector[], radius: number, wipe?: boolean) => Mask} */
export function withStroke(mask, points, radius, wipe = false) {
  const covered = mask.covered.slice();
  const made = { ...mask, covered };
  points.forEach((point, i) => {
    const from = points[Math.max(0, i - 1)];
    const steps = Math.max(
      1,
      Math.ceil(Math.hypot(point.x - from.x, point.y - from.y) / Math.max(mask.cell, radius / 2)),
    );
    for (let step = 1; step <= steps; step++) {
      const t = step / steps;
      disc(made, { x: from.x + (point.x - from.x) * t, y: from.y + (point.y - from.y) * t }, radius, Number(!wipe));
    }
  });
  return made;
}

/** @type {(mask: Mask, at: Vector, radius: number, value: number) => void} */
function disc({ columns, rows, cell, covered }, { x, y }, radius, value) {
  const reach = Math.max(radius / cell, 0.75);
  const [cx, cy] = [x / cell - 0.5, y / cell - 0.5];
  for (let row = Math.max(0, Math.ceil(cy - reach)); row <= Math.min(rows - 1, cy + reach); row++) {
    for (let column = Math.max(0, Math.ceil(cx - reach)); column <= Math.min(columns - 1, cx + reach); column++) {
      if ((column - cx) ** 2 + (row - cy) ** 2 <= reach * reach) covered[row * columns + column] = value;
    }
  }
}

/** What either covers. @type {(a: Mask, b: Mask) => Mask} */
export const united = (a, b) => ({ ...a, covered: a.covered.map((value, i) => value | b.covered[i]) });

/**
 * The region around a place whose colour is like the one there, without holes. pixels: of the picture, one for a cell.
 * similar: 0..1, how unlike a colour may be.
 * @type {(mask: Mask, pixels: Pixels, at: Vector, similar: number) => Mask}
 */
export function likeHere(mask, { data }, at, similar) {
  const { columns, rows, cell } = mask;
  const [column, row] = [Math.floor(at.x / cell), Math.floor(at.y / cell)];
  if (column < 0 || row < 0 || column >= columns || row >= rows) return mask;
  const seed = meanAround(data, columns, rows, column, row);
  const limit = (40 + 260 * similar) ** 2 / 4;
  const isLike = (/** @type {number} */ i) => {
    const [r, g, b] = [data[4 * i] - seed[0], data[4 * i + 1] - seed[1], data[4 * i + 2] - seed[2]];
    return r * r + g * g + b * b <= limit;
  };
  const covered = flooded(columns, rows, [row * columns + column], isLike);
  return { ...mask, covered: withoutHoles(columns, rows, covered) };
}

/** @type {(data: Uint8ClampedArray, columns: number, rows: number, column: number, row: number) => number[]} */
function meanAround(data, columns, rows, column, row) {
  const sum = [0, 0, 0, 0];
  for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x++) {
      for (let c = 0; c < 3; c++) sum[c] += data[4 * (y * columns + x) + c];
      sum[3]++;
    }
  }
  return sum.slice(0, 3).map((each) => each / sum[3]);
}

/** Cells that can be walked to from `seeds` over cells that pass. @type {(columns: number, rows: number, seeds: number[], passes: (i: number) => boolean) => Uint8Array} */
function flooded(columns, rows, seeds, passes) {
  const reached = new Uint8Array(columns * rows);
  const waiting = [...seeds];
  for (const seed of seeds) reached[seed] = 1;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const column = at % columns;
    for (const next of [
      column > 0 ? at - 1 : -1,
      column + 1 < columns ? at + 1 : -1,
      at - columns,
      at + columns < columns * rows ? at + columns : -1,
    ]) {
      if (next < 0 || reached[next] || !passes(next)) continue;
      reached[next] = 1;
      waiting.push(next);
    }
  }
  return reached;
}

/** @type {(columns: number, rows: number, covered: Uint8Array) => Uint8Array} */
function withoutHoles(columns, rows, covered) {
  const border = Array.from({ length: columns * rows }, (_, i) => i).filter(
    (i) =>
      !covered[i] && (i < columns || i >= columns * (rows - 1) || i % columns === 0 || i % columns === columns - 1),
  );
  const outside = flooded(columns, rows, border, (i) => !covered[i]);
  return outside.map((value) => Number(!value));
}

/** What a picture of one pixel for a cell covers: where it is bright, and opaque. @type {(mask: Mask, pixels: Pixels) => Mask} */
export const ofPicture = (mask, { data }) => ({
  ...mask,
  covered: mask.covered.map((_, i) => Number((data[4 * i] * data[4 * i + 3]) / 255 >= HALF)),
});

/** @type {(mask: Mask) => number} */
export const areaOf = ({ covered, cell }) => covered.reduce((sum, value) => sum + value, 0) * cell * cell;

/**
 * About `count` points evenly over what is covered, in px of the image; none where nothing is.
 * @type {(mask: Mask, count: number) => Vector[]}
 */
export function pointsIn(mask, count) {
  const { columns, rows, cell, covered } = mask;
  const area = areaOf(mask);
  if (!area) return [];
  const step = Math.max(cell, Math.sqrt(area / count));
  const middle = middleOf(mask);
  const points = [];
  const [left, top] = [middle.x % step, middle.y % step];
  for (let y = top; y < rows * cell; y += step) {
    for (let x = left; x < columns * cell; x += step) {
      if (covered[Math.floor(y / cell) * columns + Math.floor(x / cell)]) points.push({ x, y });
    }
  }
  return points.length ? points : [nearestCell(mask, middle)];
}

/** @type {(mask: Mask) => Vector} */
function middleOf({ columns, cell, covered }) {
  let [x, y, n] = [0, 0, 0];
  covered.forEach((value, i) => {
    if (!value) return;
    x += (i % columns) + 0.5;
    y += Math.floor(i / columns) + 0.5;
    n++;
  });
  return { x: (x / n) * cell, y: (y / n) * cell };
}

/** @type {(mask: Mask, to: Vector) => Vector} */
function nearestCell({ columns, cell, covered }, to) {
  let best = { far: Infinity, x: 0, y: 0 };
  covered.forEach((value, i) => {
    const [x, y] = [((i % columns) + 0.5) * cell, (Math.floor(i / columns) + 0.5) * cell];
    const far = Math.hypot(x - to.x, y - to.y);
    if (value && far < best.far) best = { far, x, y };
  });
  return { x: best.x, y: best.y };
}

/** The mask again of points that were taken from one: discs that touch. @type {(canvas: Size, points: readonly Vector[]) => Mask} */
export const ofPoints = (canvas, points) => {
  const radius = 0.6 * spacingOf(points);
  return points.reduce((mask, point) => withStroke(mask, [point], radius), emptyMask(canvas));
};

/** How far apart points of an even spread lie: the middle one of the distances to the next. @type {(points: readonly Vector[]) => number} */
export function spacingOf(points) {
  if (points.length < 2) return 8;
  const nearest = points.map((a) =>
    Math.min(...points.map((b) => (a === b ? Infinity : Math.hypot(a.x - b.x, a.y - b.y)))),
  );
  return nearest.sort((a, b) => a - b)[nearest.length >> 1] || 8;
}
