/**
 * SVG in and out. Of path data all commands of SVG 2 are read (M L H V C S Q T A Z, both cases); a subpath becomes one
 * list of Bezier control points [x, y, in_dx, in_dy, out_dx, out_dy]. Transforms and styles are not looked at.
 */

import { wholeClip } from "../curve/easing.js";
import { rounded } from "../curve/geometry.js";
import { makeCurve } from "../curve/spline.js";
import { TrackFormatError } from "../document/strict_json.js";

/**
 * @typedef {import("../document/format.js").Document} Document
 * @typedef {import("../document/format.js").Canvas} Canvas
 * @typedef {import("../document/format.js").Shape} Shape
 */

/** Shapes of SVG text: a whole file's paths, lines and shapes, or path data alone. @type {(text: string, canvas: Canvas) => Shape[]} */
export function fromSvg(text, canvas) {
  const shapes = svgSubpaths(text).map((points) => {
    const straight = points.every((point) => point.slice(2).every((value) => Math.abs(value) < 1e-9));
    return {
      kind: /** @type {const} */ ("path"),
      interpolation: /** @type {import("../curve/spline.js").Interpolation} */ (straight ? "linear" : "bezier"),
      points: straight ? points.map(([x, y]) => [x, y]) : points,
      ...wholeClip(canvas),
    };
  });
  if (!shapes.length) throw new TrackFormatError("there is no path in this SVG");
  return shapes;
}

/** An SVG file of the canvas's size with one path per track, in its colour. @type {(document: Document, colours: (track: import("../document/format.js").Track) => string) => string} */
export function toSvg({ canvas, tracks }, colours) {
  const paths = tracks.map((track) => {
    const stroke = colours(track);
    if (track.points.length === 1) {
      const [x, y] = track.points[0];
      return `<path id="${track.id}" fill="none" stroke="${stroke}" d="M${rounded(x)} ${rounded(y)}"/>`;
    }
    // A free-hand curve is a chain of Bezier pieces as well, so nothing is lost.
    const { pieces } = makeCurve(track.points, track.interpolation);
    let d = `M${rounded(pieces[0])} ${rounded(pieces[1])}`;
    for (let at = 0; at < pieces.length; at += 8) {
      const rest = [...pieces.slice(at + (track.interpolation === "linear" ? 6 : 2), at + 8)].map(rounded);
      d += `${track.interpolation === "linear" ? "L" : "C"}${rest.join(" ")}`;
    }
    return `<path id="${track.id}" fill="none" stroke="${stroke}" d="${d}"/>`;
  });
  const { width, height } = canvas;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">\n${paths.join("\n")}\n</svg>\n`;
}

const ARGUMENTS = { M: 2, L: 2, H: 1, V: 1, C: 6, S: 4, Q: 4, T: 2, A: 7, Z: 0 };

/** Control points of every subpath in an SVG file or in path data. @type {(text: string) => number[][][]} */
export function svgSubpaths(text) {
  if (!text.startsWith("<")) return pathData(text);
  const found = [];
  for (const [, name, attributes] of text.matchAll(/<(path|polyline|polygon|line|circle|ellipse|rect)\b([^>]*)>/g)) {
    const value = (/** @type {string} */ key) =>
      new RegExp(`(?:^|\\s)${key}\\s*=\\s*["']([^"']*)["']`).exec(attributes)?.[1];
    const number = (/** @type {string} */ key) => Number(value(key) ?? 0);
    const [x, y, w, h] = ["x", "y", "width", "height"].map(number);
    if (name === "path") found.push(...pathData(value("d") ?? ""));
    else if (name === "line")
      found.push(...pathData(`M${number("x1")} ${number("y1")}L${number("x2")} ${number("y2")}`));
    else if (name === "rect") found.push(...pathData(`M${x} ${y}h${w}v${h}h${-w}z`));
    else if (name === "circle" || name === "ellipse") {
      const [rx, ry] = name === "circle" ? [number("r"), number("r")] : [number("rx"), number("ry")];
      const [cx, cy] = [number("cx"), number("cy")];
      found.push(...pathData(`M${cx + rx} ${cy}a${rx} ${ry} 0 1 1 ${-2 * rx} 0a${rx} ${ry} 0 1 1 ${2 * rx} 0`));
    } else found.push(...pathData(`M${value("points") ?? ""}${name === "polygon" ? "Z" : ""}`));
  }
  return found;
}

const TOKEN = /([a-zA-Z])|([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|([^\s,])/g;

/** @type {(data: string) => number[][][]} */
export function pathData(data) {
  const tokens = [...data.matchAll(TOKEN)].map(([text, letter, number]) => ({ text, letter, number }));
  const pen = new Pen();
  let command = "";
  for (let at = 0; at < tokens.length; ) {
    const { text, letter, number } = tokens[at];
    if (letter) {
      command = letter;
      at++;
      if (!(command.toUpperCase() in ARGUMENTS)) throw new TrackFormatError(`SVG path data: no command '${command}'`);
      if (command.toUpperCase() === "Z") pen.close();
    } else if (!number) {
      throw new TrackFormatError(`SVG path data: ${JSON.stringify(text)} is no command and no number`);
    } else if (!command || command.toUpperCase() === "Z") {
      throw new TrackFormatError(`SVG path data: the number ${text} follows no command`);
    }
    const count = ARGUMENTS[/** @type {keyof typeof ARGUMENTS} */ (command.toUpperCase())];
    if (!count) continue;
    /** @type {number[]} */
    const numbers = [];
    while (numbers.length < count) {
      const token = tokens[at];
      if (!token?.number) throw new TrackFormatError(`SVG path data: '${command}' needs ${count} numbers`);
      const isFlag = command.toUpperCase() === "A" && (numbers.length === 3 || numbers.length === 4);
      if (isFlag && token.number.length > 1) {
        // Flags may be written without a space after them, as in "a1 1 0 01.5 2".
        numbers.push(Number(token.number[0]));
        token.number = token.number.slice(1);
      } else {
        numbers.push(Number(token.number));
        at++;
      }
    }
    pen.draw(command, numbers);
    if (command === "M") command = "L";
    if (command === "m") command = "l";
  }
  return pen.subpaths.filter((points) => points.length);
}

class Pen {
  /** @type {number[][][]} */
  subpaths = [];
  x = 0;
  y = 0;
  /** The last control point, for S and T. @type {[number, number] | null} */
  control = null;
  quadratic = false;

  /** @type {(command: string, n: number[]) => void} */
  draw(command, n) {
    const [ox, oy] = command === command.toLowerCase() ? [this.x, this.y] : [0, 0];
    const upper = command.toUpperCase();
    const end = n.slice(-2);
    const [x, y] =
      upper === "H" ? [n[0] + ox, this.y] : upper === "V" ? [this.x, n[0] + oy] : [end[0] + ox, end[1] + oy];
    if (upper === "M") {
      this.subpaths.push([[x, y, 0, 0, 0, 0]]);
      [this.x, this.y, this.control] = [x, y, null];
    } else if (upper === "C") this.cubic(n[0] + ox, n[1] + oy, n[2] + ox, n[3] + oy, x, y);
    else if (upper === "S") this.cubic(...this.mirrored(false), n[0] + ox, n[1] + oy, x, y);
    else if (upper === "Q") this.parabola(n[0] + ox, n[1] + oy, x, y);
    else if (upper === "T") this.parabola(...this.mirrored(true), x, y);
    else if (upper === "A") this.arc(n[0], n[1], (n[2] * Math.PI) / 180, n[3] !== 0, n[4] !== 0, x, y);
    else this.cubic(this.x, this.y, x, y, x, y, false);
  }

  close() {
    const points = this.subpaths[this.subpaths.length - 1];
    if (!points) return;
    const [x, y] = points[0];
    if (x !== this.x || y !== this.y) this.cubic(this.x, this.y, x, y, x, y, false);
  }

  /** @type {(bx: number, by: number, cx: number, cy: number, x: number, y: number, smooth?: boolean) => void} */
  cubic(bx, by, cx, cy, x, y, smooth = true) {
    if (!this.subpaths.length) throw new TrackFormatError("SVG path data must begin with M");
    const points = this.subpaths[this.subpaths.length - 1];
    const last = points[points.length - 1];
    [last[4], last[5]] = [bx - this.x, by - this.y];
    points.push([x, y, cx - x, cy - y, 0, 0]);
    [this.x, this.y, this.control, this.quadratic] = [x, y, smooth ? [cx, cy] : null, false];
  }

  /** @type {(cx: number, cy: number, x: number, y: number) => void} */
  parabola(cx, cy, x, y) {
    const [bx, by] = [this.x + ((cx - this.x) * 2) / 3, this.y + ((cy - this.y) * 2) / 3];
    this.cubic(bx, by, x + ((cx - x) * 2) / 3, y + ((cy - y) * 2) / 3, x, y);
    [this.control, this.quadratic] = [[cx, cy], true];
  }

  /** @type {(quadratic: boolean) => [number, number]} */
  mirrored(quadratic) {
    if (!this.control || this.quadratic !== quadratic) return [this.x, this.y];
    return [2 * this.x - this.control[0], 2 * this.y - this.control[1]];
  }

  /** An elliptical arc by pieces of at most a quarter (SVG 2, appendix B.2). @type {(rx: number, ry: number, tilt: number, large: boolean, sweep: boolean, x: number, y: number) => void} */
  arc(rx, ry, tilt, large, sweep, x, y) {
    [rx, ry] = [Math.abs(rx), Math.abs(ry)];
    if (!rx || !ry || (x === this.x && y === this.y)) return this.cubic(this.x, this.y, x, y, x, y, false);
    const [sin, cos] = [Math.sin(tilt), Math.cos(tilt)];
    const [hx, hy] = [(this.x - x) / 2, (this.y - y) / 2];
    const [px, py] = [cos * hx + sin * hy, cos * hy - sin * hx];
    const grow = Math.sqrt(Math.max(1, (px / rx) ** 2 + (py / ry) ** 2));
    [rx, ry] = [rx * grow, ry * grow];
    const square = (px * ry) ** 2 + (py * rx) ** 2;
    const root = Math.sqrt(Math.max(0, (rx * ry) ** 2 / square - 1)) * (large === sweep ? -1 : 1);
    const [qx, qy] = [(root * rx * py) / ry, (-root * ry * px) / rx];
    const [cx, cy] = [cos * qx - sin * qy + (this.x + x) / 2, sin * qx + cos * qy + (this.y + y) / 2];
    const start = Math.atan2((py - qy) / ry, (px - qx) / rx);
    let angle = Math.atan2((-py - qy) / ry, (-px - qx) / rx) - start;
    if (sweep && angle < 0) angle += 2 * Math.PI;
    if (!sweep && angle > 0) angle -= 2 * Math.PI;
    const count = Math.max(1, Math.ceil(Math.abs(angle) / (Math.PI / 2) - 1e-9));
    const handle = (4 / 3) * Math.tan(angle / count / 4);
    const place = (/** @type {number} */ a, /** @type {number} */ b) => [
      cx + rx * a * cos - ry * b * sin,
      cy + rx * a * sin + ry * b * cos,
    ];
    for (let i = 0; i < count; i++) {
      const [a0, a1] = [start + (angle * i) / count, start + (angle * (i + 1)) / count];
      const [s0, c0, s1, c1] = [Math.sin(a0), Math.cos(a0), Math.sin(a1), Math.cos(a1)];
      const [bx, by] = place(c0 - handle * s0, s0 + handle * c0);
      const [ex, ey] = place(c1 + handle * s1, s1 - handle * c1);
      const [fx, fy] = i === count - 1 ? [x, y] : place(c1, s1);
      this.cubic(bx, by, ex, ey, fx, fy, false);
    }
  }
}
