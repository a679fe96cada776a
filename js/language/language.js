/** The page's own words in the language of the interface: a sentence of English names its translation. */

import { ZH } from "./zh.js";

/** Simplified Chinese; ComfyUI's nodes have no Traditional either. @type {(locale: string) => boolean} */
const isChinese = (locale) => /^zh\b(?!-(tw|hk|mo|hant))/i.test(locale);

/** @type {ReadonlyMap<string, string>} */
let words = new Map();

/** What is made from now on speaks it; English where there is no table. locale: as "zh" or "zh-CN". @type {(locale: string) => void} */
export function setLanguage(locale) {
  words = isChinese(locale) ? ZH : new Map();
}

/** A sentence, each `{}` of it replaced by the next value; English where the table lacks it. @type {(english: string, ...values: (string | number)[]) => string} */
export function translate(english, ...values) {
  const sentence = words.get(english) ?? english;
  let next = 0;
  return values.length ? sentence.replace(/\{\}/g, () => String(values[next++])) : sentence;
}
