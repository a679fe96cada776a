/**
 * TRACKS as npz, the arrays that motionstream_core's tracks/npz.py reads and writes: points float32 (t n 2) px,
 * visibility bool (t n), ids int64 (n), height and width int64 (). Read stored or deflated, written stored.
 */

import { sampleDocument } from "../document/sampling.js";
import { TrackFormatError } from "../document/strict_json.js";
import { sampledShape } from "./coordinates.js";

/**
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../document/format.js").Canvas} Canvas
 * @typedef {{dtype: string, shape: number[], data: ArrayBuffer}} Npy
 */

/** Shapes of the tracks in an npz file, scaled to the canvas. @type {(bytes: ArrayBuffer, canvas: Canvas) => Promise<import("../document/format.js").Shape[]>} */
export async function fromNpz(bytes, canvas) {
  const arrays = await unzipped(bytes);
  const [points, visibility] = [array(arrays, "points", "<f4"), array(arrays, "visibility", "|b1")];
  const [numFrames, numTracks, two] = points.shape;
  if (points.shape.length !== 3 || two !== 2 || visibility.shape.join() !== `${numFrames},${numTracks}`) {
    throw new TrackFormatError(
      `npz: points is (${points.shape}), visibility (${visibility.shape}); they must be (t n 2) and (t n)`,
    );
  }
  const [width, height] = ["width", "height"].map((name) =>
    Number(new BigInt64Array(array(arrays, name, "<i8").data)[0]),
  );
  const [sx, sy] = [canvas.width / width, canvas.height / height];
  const [xy, seen] = [new Float32Array(points.data), new Uint8Array(visibility.data)];
  return Array.from({ length: numTracks }, (_, n) => {
    let last = { x: 0, y: 0 };
    const samples = Array.from({ length: numFrames }, (_, t) => {
      const at = t * numTracks + n;
      if (seen[at]) last = { x: xy[2 * at] * sx, y: xy[2 * at + 1] * sy };
      return { ...last, v: seen[at] };
    });
    const first = samples.findIndex(({ v }) => v);
    for (let t = 0; t < first; t++) samples[t] = { ...samples[first], v: 0 };
    return sampledShape(samples, numFrames, canvas);
  });
}

/** @type {(arrays: Map<string, Npy>, name: string, dtype: string) => Npy} */
function array(arrays, name, dtype) {
  const found = arrays.get(name);
  if (!found) throw new TrackFormatError(`npz: array '${name}' is missing; write the file with this pack`);
  if (found.dtype !== dtype) throw new TrackFormatError(`npz: array '${name}' is ${found.dtype}; it must be ${dtype}`);
  return found;
}

/** @type {(document: Document) => Uint8Array<ArrayBuffer>} */
export function toNpz(document) {
  const paths = sampleDocument(document);
  const [t, n] = [document.canvas.num_frames, paths.length];
  const [points, visibility] = [new Float32Array(t * n * 2), new Uint8Array(t * n)];
  for (const [track, path] of paths.entries()) {
    for (const [frame, { x, y, v }] of path.entries()) {
      const at = frame * n + track;
      [points[2 * at], points[2 * at + 1], visibility[at]] = [x, y, v];
    }
  }
  const { width, height } = document.canvas;
  return zipped([
    ["points.npy", npy("<f4", [t, n, 2], new Uint8Array(points.buffer))],
    ["visibility.npy", npy("|b1", [t, n], visibility)],
    ["ids.npy", npy("<i8", [n], new Uint8Array(BigInt64Array.from({ length: n }, (_, i) => BigInt(i)).buffer))],
    ["height.npy", npy("<i8", [], new Uint8Array(BigInt64Array.of(BigInt(height)).buffer))],
    ["width.npy", npy("<i8", [], new Uint8Array(BigInt64Array.of(BigInt(width)).buffer))],
  ]);
}

/** @type {(dtype: string, shape: number[], data: Uint8Array) => Uint8Array} */
function npy(dtype, shape, data) {
  const tuple = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  const head = `{'descr': '${dtype}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const padded = `${head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + padded.length + data.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  bytes.set(new TextEncoder().encode(padded), 10);
  bytes.set(data, 10 + padded.length);
  return bytes;
}

/** @type {(bytes: Uint8Array) => Npy} */
function parsedNpy(bytes) {
  const wide = bytes[6] >= 2;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const size = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + size;
  const head = new TextDecoder("latin1").decode(bytes.subarray(wide ? 12 : 10, start));
  const [, dtype, order, shape] = /'descr': '([^']+)', 'fortran_order': (\w+), 'shape': \(([^)]*)\)/.exec(head) ?? [];
  if (!dtype || order !== "False") throw new TrackFormatError("npz: an array in it is not in C order, or no npy");
  const sizes = shape
    .split(",")
    .filter((each) => each.trim())
    .map(Number);
  const data = bytes.slice(start).buffer;
  const width = Number(dtype.slice(2));
  if (data.byteLength !== sizes.reduce((product, each) => product * each, width)) {
    throw new TrackFormatError(`npz: an array of shape (${sizes}) has ${data.byteLength} bytes`);
  }
  return { dtype, shape: sizes, data };
}

/** @type {(bytes: ArrayBuffer) => Promise<Map<string, Npy>>} */
async function unzipped(bytes) {
  const view = new DataView(bytes);
  let end = bytes.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new TrackFormatError("this is no npz file");
  const arrays = new Map();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const [method, packed, nameSize] = [
      view.getUint16(at + 10, true),
      view.getUint32(at + 20, true),
      view.getUint16(at + 28, true),
    ];
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(new Uint8Array(bytes, at + 46, nameSize));
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    let content = new Uint8Array(bytes, start, packed);
    if (method === 8) {
      const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
      content = new Uint8Array(await new Response(stream).arrayBuffer());
    } else if (method !== 0) throw new TrackFormatError(`npz: '${name}' is compressed in a way that cannot be read`);
    arrays.set(name.replace(/\.npy$/, ""), parsedNpy(content));
    at += 46 + nameSize + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return arrays;
}

/** A zip of files stored as they are. @type {(files: [string, Uint8Array][]) => Uint8Array<ArrayBuffer>} */
function zipped(files) {
  /** @type {Uint8Array[]} */
  const locals = [];
  /** @type {Uint8Array[]} */
  const entries = [];
  let offset = 0;
  for (const [name, content] of files) {
    const label = new TextEncoder().encode(name);
    // Version 2.0, no flags, stored, 1 January 1980; then the checksum and both sizes.
    const common = [
      20,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      33,
      0,
      ...u32(crc32(content)),
      ...u32(content.length),
      ...u32(content.length),
      ...u16(label.length),
      0,
      0,
    ];
    locals.push(Uint8Array.of(...u32(0x04034b50), ...common, ...label), content);
    entries.push(
      Uint8Array.of(...u32(0x02014b50), 20, 0, ...common, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...u32(offset), ...label),
    );
    offset += 30 + label.length + content.length;
  }
  const directory = entries.reduce((sum, { length }) => sum + length, 0);
  const counts = [...u16(files.length), ...u16(files.length)];
  const end = Uint8Array.of(...u32(0x06054b50), 0, 0, 0, 0, ...counts, ...u32(directory), ...u32(offset), 0, 0);
  const parts = [...locals, ...entries, end];
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @type {(value: number) => number[]} */
const u16 = (value) => [value & 255, (value >> 8) & 255];
/** @type {(value: number) => number[]} */
const u32 = (value) => [...u16(value & 0xffff), ...u16(value >>> 16)];

/** @type {(bytes: Uint8Array) => number} */
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
