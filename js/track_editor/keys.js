/** The editor's keyboard: the field that has it, how it comes back there, and what keys do. */

import { translate } from "../language/language.js";
import { commandOf } from "./state/keyboard.js";
import { make } from "./view/elements.js";

/** @type {(event: Event, what: string) => boolean} */
const isIn = (event, what) => event.target instanceof Element && event.target.closest(what) !== null;

export class Keys {
  /** @param {import("./editor.js").TrackEditor} editor */
  constructor(editor) {
    this.editor = editor;
    // The keyboard goes to a field of text, so that the page around takes no key for a shortcut of its own.
    this.field = make("textarea", {
      className: "mste-keys",
      inputMode: "none", // a finger on the picture brings up no keyboard
      ariaLabel: translate("Trajectories: arrow keys and letters draw, ? lists the keys"),
    });
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  /**
   * What was clicked or chosen has done its work then, and keys are the drawing's again; so are those of the commands on
   * a button: the page around takes Ctrl+Z for its graph, unless a field of text has the keyboard.
   * @param {AbortSignal} signal
   */
  listen(signal) {
    const [{ element }, options] = [this.editor, { signal }];
    this.field.addEventListener("keydown", (event) => this.down(event), options);
    this.field.addEventListener("keyup", (event) => this.up(event), options);
    this.field.addEventListener("input", () => (this.field.value = ""), options);
    element.addEventListener(
      "click",
      (event) => event.detail && isIn(event, "button, .mste-help") && this.focus(),
      options,
    );
    element.addEventListener("change", (event) => isIn(event, "select:not(:focus-visible)") && this.focus(), options);
    element.addEventListener(
      "keydown",
      (event) => {
        if (event.target === this.field) return;
        if (isIn(event, "input:not([type=range], [type=checkbox])")) {
          if (event.key === "Escape") this.focus();
          return;
        }
        if (event.key === "Control" || event.key === "Meta") this.focus();
        if (event.key === "Escape") this.down(event);
      },
      options,
    );
  }

  /** @type {(event: KeyboardEvent) => void} */
  down(event) {
    event.stopPropagation();
    if (event.isComposing) return;
    const { editor } = this;
    const { model, surface } = editor;
    const { live } = editor.host;
    const command = (live?.commandOf ?? commandOf)(event);
    if (!command) return;
    // Copying has an event of its own, which carries the system's clipboard.
    if (command.name === "copy" || command.name === "cut") return;
    event.preventDefault();
    if (command.name === "play") {
      if (!event.repeat) [surface.spaceHeld, surface.panned] = [true, false];
      return;
    }
    editor.message = "";
    if (command.name === "escape" && this.leaves(event.timeStamp)) return;
    if (command.name === "zoom") surface.zoom(command.step === 1 ? 1.25 : 0.8);
    else if (command.name === "fit") surface.fit();
    else if (command.name === "help") editor.toggleHelp();
    else if (live) live.run(command, event.timeStamp);
    else model.run(command, surface.view);
  }

  /** @type {(event: KeyboardEvent) => void} */
  up(event) {
    event.stopPropagation();
    const { surface, host } = this.editor;
    if (event.key !== " " || !surface.spaceHeld) return;
    surface.spaceHeld = false;
    if (surface.panned) return;
    if (host.live) host.live.play();
    else this.editor.togglePlay();
  }

  /** A key that nothing of the editor had, in full screen. @type {(event: KeyboardEvent) => void} */
  elsewhere(event) {
    if (this.editor.element.contains(document.activeElement)) return;
    this.focus();
    this.down(event);
  }

  /** Escape with nothing left to cancel closes what lies open. @type {(time: number) => boolean} */
  leaves(time) {
    const { editor } = this;
    const { model } = editor;
    const { live } = editor.host;
    if (!editor.help.hidden) {
      editor.toggleHelp(false);
      return true;
    }
    const idle = live
      ? !live.run({ name: "escape" }, time)
      : !model.busy && !model.cursor && !model.toolState?.id && !model.selection.tracks.size && model.move === null;
    if (!idle || !editor.fullScreen.isOn) return live !== undefined;
    editor.toggleFull();
    return true;
  }
}
