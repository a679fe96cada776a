/** Making the page's elements in one line each. Words of their own are English here, and the interface's on the page. */

import { translate } from "../../language/language.js";

/**
 * @typedef {string | Node | null} Child
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Partial<Omit<HTMLElementTagNameMap[K], "style">> & {pressed?: boolean}} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Neither the browser nor the page around does anything with the event. @type {(event: Event) => void} */
export function swallow(event) {
  event.preventDefault();
  event.stopPropagation();
}

/** @type {(text: string, title: string, onclick: () => void) => HTMLButtonElement} */
export function button(text, title, onclick) {
  const words = translate(title);
  return make("button", { type: "button", title: words, ariaLabel: words, onclick }, translate(text));
}

/** A select that is a menu: it shows its title, and choosing does something. @type {(title: string, tooltip: string, choices: readonly (readonly [string, string])[], chosen: (value: string) => void) => HTMLSelectElement} */
export function menu(title, tooltip, choices, chosen) {
  const head = make("option", { value: "", selected: true, disabled: true, hidden: true }, translate(title));
  const select = make(
    "select",
    { title: translate(tooltip), ariaLabel: translate(title) },
    head,
    ...choices.map(([value, text]) => make("option", { value }, translate(text))),
  );
  select.onchange = () => {
    const { value } = select;
    select.value = "";
    chosen(value);
  };
  return select;
}

/** A select that holds a value. @type {(title: string, choices: readonly string[], changed: (value: string) => void) => HTMLSelectElement} */
export function choice(title, choices, changed) {
  const select = make(
    "select",
    { title: translate(title), ariaLabel: translate(title) },
    ...choices.map((each) => make("option", { value: each }, translate(each.replaceAll("_", " ")))),
  );
  select.onchange = () => changed(select.value);
  return select;
}

/** @type {(title: string, attributes: {min?: number, max?: number, step?: number}, changed: (value: number) => void) => HTMLInputElement} */
export function numberField(title, { min = -1e6, max = 1e6, step = 1 }, changed) {
  const input = make("input", {
    type: "number",
    title: translate(title),
    ariaLabel: translate(title),
    min: String(min),
    max: String(max),
    step: String(step),
  });
  input.onchange = () => {
    const value = input.valueAsNumber;
    if (value >= Number(input.min) && value <= Number(input.max)) changed(value);
  };
  return input;
}

/** A number in its field, unless somebody is typing there. @type {(field: HTMLInputElement, value: number) => void} */
export function show(field, value) {
  if (document.activeElement !== field) field.value = String(Math.round(value * 100) / 100);
}

/** @type {(text: string, field: HTMLElement) => HTMLLabelElement} */
export const labelled = (text, field) => make("label", {}, translate(text), field);
