/**
 * Undo and redo without limit. Entries share what they have in common, since documents are never changed in place.
 * @template T
 * @typedef {{readonly past: Link<T> | null, readonly present: T, readonly future: Link<T> | null}} History
 */

/**
 * @template T
 * @typedef {{readonly value: T, readonly rest: Link<T> | null}} Link
 */

/** @type {<T>(value: T) => History<T>} */
export const startHistory = (value) => ({ past: null, present: value, future: null });

/** A new present; what was undone before is let go. @type {<T>(history: History<T>, value: T) => History<T>} */
export const record = (history, value) =>
  value === history.present
    ? history
    : { past: { value: history.present, rest: history.past }, present: value, future: null };

/** @type {<T>(history: History<T>) => History<T>} */
export const undo = (history) =>
  history.past
    ? {
        past: history.past.rest,
        present: history.past.value,
        future: { value: history.present, rest: history.future },
      }
    : history;

/** @type {<T>(history: History<T>) => History<T>} */
export const redo = (history) =>
  history.future
    ? {
        past: { value: history.present, rest: history.past },
        present: history.future.value,
        future: history.future.rest,
      }
    : history;
