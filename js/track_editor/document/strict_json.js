/**
 * Strict reading of decoded JSON: every field known, every value in range, every error with its place, a path such as
 * tracks[2].points[0][1]. The same rules as motionstream_core's tracks/strict_json.py.
 */

/** The text is no document; the message names field, value and remedy. */
export class TrackFormatError extends Error {}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @type {(value: unknown, place: string, needed: readonly string[], optional?: readonly string[]) => Record<string, unknown>} */
export function object(value, place, needed, optional = []) {
  if (!isObject(value)) fail(place, value, `it must be an object with the fields ${needed.join(", ")}`);
  for (const field of Object.keys(value)) {
    if (!needed.includes(field) && !optional.includes(field)) {
      fail(place, field, `this field is unknown here; known are ${[...needed, ...optional].join(", ")}`);
    }
  }
  for (const field of needed) {
    if (!Object.hasOwn(value, field)) throw new TrackFormatError(`${place}: field '${field}' is missing; add it`);
  }
  return value;
}

/** @type {<T>(value: unknown, place: string, read: (each: unknown, at: string) => T) => T[]} */
export function list(value, place, read) {
  if (!Array.isArray(value)) fail(place, value, "it must be a list");
  return value.map((each, index) => read(each, `${place}[${index}]`));
}

/** @type {(value: unknown, place: string, low: number, high: number) => number} */
export function number(value, place, low, high) {
  if (typeof value !== "number" || !(low <= value && value <= high)) {
    fail(place, value, `it must be a finite number from ${low} to ${high}`);
  }
  return value;
}

/** @type {(value: unknown, place: string, high: number, low?: number) => number} */
export function count(value, place, high, low = 1) {
  const whole = number(value, place, low, high);
  if (!Number.isInteger(whole)) fail(place, value, `it must be a whole number from ${low} to ${high}`);
  return whole;
}

/** @type {<T extends string>(value: unknown, place: string, options: readonly T[]) => T} */
export function choice(value, place, options) {
  const found = options.find((option) => option === value);
  if (found === undefined) fail(place, value, `it must be one of ${options.join(", ")}`);
  return found;
}

/** @type {(value: unknown, place: string) => string} */
export function name(value, place) {
  if (typeof value !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(value)) {
    fail(place, value, "it must be 1 to 64 letters, digits or _ . : -");
  }
  return value;
}

/** @type {(value: unknown) => string} */
export function show(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** @type {(place: string, value: unknown, remedy: string) => never} */
export function fail(place, value, remedy) {
  throw new TrackFormatError(`${place}: ${show(value)}: ${remedy}`);
}
