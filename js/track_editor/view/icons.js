/** The editor's own pictograms: lines of 1.6 on a field of 20 x 20, in the colour of the text around them. */

import { translate } from "../../language/language.js";

/** @type {Readonly<Record<string, string>>} */
const ICONS = {
  select: '<path d="M5 3l10.5 6.6-4.8 1.1-2.3 4.8z" fill="currentColor"/>',
  freehand: '<path d="M3 14.5c2-6 5-9 6.500-6.500s-2 6 .5 6 3-5 7-8.500"/><path d="M13.600 4.800l3.600.5-.8 3.600"/>',
  pen: '<path d="M3.500 15.500C5 8 9 5 16.500 4.500"/><rect x="2" y="14" width="3.400" height="3.400"/><rect x="7" y="6.500" width="3.400" height="3.400"/><rect x="14.800" y="2.800" width="3.400" height="3.400"/>',
  brush:
    '<path d="M16.800 3.200c-3 1-6.800 4.500-8.300 7l1.800 1.800c2.500-1.500 5.500-5.700 6.500-8.800z"/><path d="M7.800 11c-2.600.2-2.500 3.400-5 4.600 2.500 1.800 6.300.8 6.600-3z" fill="currentColor"/>',
  record: '<circle cx="10" cy="10" r="6.800"/><circle cx="10" cy="10" r="3" fill="currentColor"/>',
  grid: '<g fill="currentColor" stroke="none"><circle cx="5" cy="5" r="1.500"/><circle cx="10" cy="5" r="1.500"/><circle cx="15" cy="5" r="1.500"/><circle cx="5" cy="10" r="1.500"/><circle cx="10" cy="10" r="1.500"/><circle cx="15" cy="10" r="1.500"/><circle cx="5" cy="15" r="1.500"/><circle cx="10" cy="15" r="1.500"/><circle cx="15" cy="15" r="1.500"/></g>',
  anchor:
    '<path d="M10 17.500c-3.500-4.200-5-6.300-5-8.800a5 5 0 0 1 10 0c0 2.500-1.500 4.600-5 8.800z"/><circle cx="10" cy="8.600" r="1.700" fill="currentColor"/>',
  undo: '<path d="M7 4L3.500 7.500 7 11"/><path d="M4 7.500h7.500a4.250 4.250 0 0 1 0 8.500H8"/>',
  redo: '<path d="M13 4l3.500 3.500L13 11"/><path d="M16 7.500H8.500a4.250 4.250 0 0 0 0 8.500H12"/>',
  more: '<g fill="currentColor" stroke="none"><circle cx="4.500" cy="10" r="1.600"/><circle cx="10" cy="10" r="1.600"/><circle cx="15.500" cy="10" r="1.600"/></g>',
  full: '<path d="M3.500 8V3.500H8M12 3.500h4.500V8M16.500 12v4.500H12M8 16.500H3.500V12"/>',
  help: '<path d="M7 7.500a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.100-1.500 2.400"/><circle cx="10" cy="15.600" r=".9" fill="currentColor" stroke="none"/>',
  fit: '<rect x="3" y="4.500" width="14" height="11" rx="1"/><path d="M6.500 10h7M8.500 8l-2 2 2 2M11.500 8l2 2-2 2"/>',
  play: '<path d="M6 4l10 6-10 6z" fill="currentColor"/>',
  stop: '<rect x="5" y="5" width="10" height="10" rx="1" fill="currentColor"/>',
  key: '<path d="M10 4l6 6-6 6-6-6z"/>',
  hide: '<path d="M2.500 10S5.500 5 10 5s7.500 5 7.500 5-3 5-7.500 5-7.500-5-7.500-5zM4 16L16 4"/>',
  copy: '<rect x="7" y="7" width="9.500" height="9.500" rx="1"/><path d="M4.500 13H3.500V3.500H13v1"/>',
  remove: '<path d="M4 6h12M8 6V4h4v2M5.500 6l.8 10.500h7.400L14.500 6M8.600 9v5M11.400 9v5"/>',
  ease: '<path d="M3 16.500c8 0 6-13 14-13"/><path d="M3 3v14h14" opacity=".5"/>',
  mask: '<circle cx="10" cy="10" r="6.800" stroke-dasharray="2.600 2.200"/><path d="M10 6.500a3.500 3.500 0 0 1 0 7z" fill="currentColor"/>',
  size: '<rect x="3" y="3" width="14" height="14" rx="1" stroke-dasharray="2.600 2"/><path d="M7 13l6-6M9.500 7H13v3.500M7 9.500V13h3.500"/>',
};

/** @type {(name: string) => HTMLElement} */
export function icon(name) {
  const holder = document.createElement("span");
  holder.className = "mste-icon";
  holder.innerHTML = `<svg viewBox="0 0 20 20" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${ICONS[name]}</svg>`;
  return holder;
}

/** A button that is a picture; its words are its tooltip. @type {(name: string, title: string, onclick: () => void) => HTMLButtonElement} */
export function iconButton(name, title, onclick) {
  const button = document.createElement("button");
  const words = translate(title);
  Object.assign(button, { type: "button", title: words, ariaLabel: words, onclick, className: "mste-tool" });
  button.append(icon(name));
  return button;
}
