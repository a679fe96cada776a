/** The editor's place on the page: in its node, or over all of the page and back again. */

import { make } from "./elements.js";

export class FullScreen {
  /** @type {HTMLElement | null} */
  overlay = null;
  /** Where the element goes back to. @type {ParentNode | null} */
  home = null;

  /**
   * @param {HTMLElement} element
   * @param {(event: KeyboardEvent) => void} key  takes every key in full screen, wherever the keyboard was left
   */
  constructor(element, key) {
    this.element = element;
    this.key = key;
  }

  get isOn() {
    return this.overlay !== null;
  }

  /** Shown in this element from now on; in full screen, after it. @type {(place: HTMLElement) => void} */
  moveTo(place) {
    if (this.overlay) this.home = place;
    else place.replaceChildren(this.element);
  }

  toggle() {
    if (this.overlay) {
      this.home?.append(this.element);
      this.end();
    } else {
      this.home = this.element.parentNode;
      this.overlay = make("div", { className: "mste-overlay" }, this.element);
      document.body.append(this.overlay);
      window.addEventListener("keydown", this.key, true);
    }
    this.element.classList.toggle("mste-full", this.isOn);
  }

  /** Nothing stays over the page. */
  end() {
    this.overlay?.remove();
    this.overlay = null;
    window.removeEventListener("keydown", this.key, true);
  }
}
