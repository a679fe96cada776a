/**
 * What a camera's moves do to points drawn on a plane: the same sums as motionstream_core's tracks/camera/moves.py, in
 * docs/tracks-format.md, held to it by tests/data/camera.json. Axes x right, y down, z forward; the plane is frontal at
 * distance 1, the focal length the canvas's width.
 */

import { eased, shareAt } from "../curve/easing.js";
import { clamp } from "../curve/geometry.js";

/**
 * @typedef {import("./moves.js").Move} Move
 * @typedef {import("../curve/geometry.js").Size} Size
 * @typedef {import("../curve/geometry.js").Vector} Vector
 * @typedef {readonly [number, number, number, number, number, number, number, number, number]} Matrix  row by row
 */

/**
 * Where the camera is: rotation and centre, camera to world, and the factor of its focal length.
 * @typedef {{readonly rotation: Matrix, readonly centre: readonly [number, number, number], readonly zoom: number}} Pose
 */

const MAX_PX = 1e6;
/** In distances of the plane: what is nearer, or behind the camera, cannot be seen. */
const NEAR = 1e-3;
const FADE_FRAMES = 4;
const CYCLES_PER_FRAME = [0.0271, 0.0523, 0.0897, 0.1531];
const WEIGHTS = [0.4, 0.3, 0.2, 0.1];

/** Phase of wave `index` in [0, 1): murmur3's finalizer. @type {(seed: number, index: number) => number} */
function phase(seed, index) {
  let h = (seed + Math.imul(index + 1, 0x9e3779b9)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

/** Degrees of pan, tilt and roll of a handheld move at `frame`. @type {(move: Move, frame: number) => [number, number, number]} */
export function shakeAt({ amount, start, duration, seed = 0 }, frame) {
  const since = frame - start;
  const fade = Math.min(FADE_FRAMES, duration / 2);
  if (fade <= 0) return [0, 0, 0];
  const edge = (/** @type {number} */ frames) => eased(clamp(frames / fade, 0, 1), "ease_in_out");
  const size = amount * edge(since) * edge(duration - since);
  const wave = (/** @type {number} */ axis) =>
    WEIGHTS.reduce(
      (sum, weight, k) =>
        sum + weight * Math.sin(2 * Math.PI * (CYCLES_PER_FRAME[k] * since + phase(seed, 4 * axis + k))),
      0,
    );
  return [size * wave(0), size * wave(1), (size * wave(2)) / 2];
}

/** @type {WeakMap<readonly Move[], Map<number, Pose>>} */
const poses = new WeakMap();
const MAX_POSES = 5000;

/** The pose of all moves together at `frame`; kept, since many points ask for it. @type {(moves: readonly Move[], frame: number) => Pose} */
export function poseAt(moves, frame) {
  let ofFrame = poses.get(moves);
  if (!ofFrame || ofFrame.size > MAX_POSES) {
    ofFrame = new Map();
    poses.set(moves, ofFrame);
  }
  const known = ofFrame.get(frame);
  if (known) return known;
  const pose = makePose(moves, frame);
  ofFrame.set(frame, pose);
  return pose;
}

/** @type {(moves: readonly Move[], frame: number) => Pose} */
function makePose(moves, frame) {
  const sums = { pan: 0, tilt: 0, roll: 0, orbit: 0, truck: 0, pedestal: 0, dolly: 0 };
  let zoom = 1;
  for (const each of moves) {
    if (each.move === "zoom") zoom *= each.amount ** shareAt(each, frame);
    else if (each.move === "handheld") {
      const [pan, tilt, roll] = shakeAt(each, frame);
      sums.pan += pan;
      sums.tilt += tilt;
      sums.roll += roll;
    } else sums[each.move] += each.amount * shareAt(each, frame);
  }
  const crane = rotation(-sums.orbit, 1);
  const head = product(product(rotation(sums.pan, 1), rotation(sums.tilt, 0)), rotation(sums.roll, 2));
  const [x, y, z] = [sums.truck, -sums.pedestal, sums.dolly - 1];
  const [a, b, c, d, e, f, g, h, i] = crane;
  return {
    rotation: product(crane, head),
    centre: [a * x + b * y + c * z, d * x + e * y + f * z, 1 + g * x + h * y + i * z],
    zoom,
  };
}

/** Right-handed about an axis: 0 x, 1 y, 2 z. @type {(degrees: number, axis: 0 | 1 | 2) => Matrix} */
function rotation(degrees, axis) {
  const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  if (axis === 0) return [1, 0, 0, 0, c, -s, 0, s, c];
  return axis === 1 ? [c, 0, s, 0, 1, 0, -s, 0, c] : [c, -s, 0, s, c, 0, 0, 0, 1];
}

/** @type {(a: Matrix, b: Matrix) => Matrix} */
function product(a, b) {
  const cell = (/** @type {number} */ row, /** @type {number} */ column) =>
    a[row * 3] * b[column] + a[row * 3 + 1] * b[column + 3] + a[row * 3 + 2] * b[column + 6];
  return [cell(0, 0), cell(0, 1), cell(0, 2), cell(1, 0), cell(1, 1), cell(1, 2), cell(2, 0), cell(2, 1), cell(2, 2)];
}

/**
 * A point of the canvas as the camera sees it; `front` is false where the camera has passed it.
 * @type {(pose: Pose, canvas: Size, point: Vector) => {x: number, y: number, front: boolean}}
 */
export function project({ rotation: r, centre, zoom }, { width, height }, point) {
  const [vx, vy, vz] = [
    (point.x - width / 2) / width - centre[0],
    (point.y - height / 2) / width - centre[1],
    1 - centre[2],
  ];
  const depth = r[2] * vx + r[5] * vy + r[8] * vz;
  const focal = (width * zoom) / Math.max(depth, NEAR);
  return {
    x: clamp(width / 2 + focal * (r[0] * vx + r[3] * vy + r[6] * vz), -MAX_PX, MAX_PX),
    y: clamp(height / 2 + focal * (r[1] * vx + r[4] * vy + r[7] * vz), -MAX_PX, MAX_PX),
    front: depth >= NEAR,
  };
}
