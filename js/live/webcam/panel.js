/** The webcam's view, small and as in a mirror, over a corner of the picture; a click on it says what is to be followed. */

import { translate } from "../../language/language.js";
import { button, make } from "../../track_editor/view/elements.js";

const PRIVATE = "Its pictures stay in this page: none is kept or sent, only where the square goes";

/**
 * grab: takes hold at the crosshair, or lets go. isHeld: whether something is.
 * @typedef {{grab: () => void, isHeld: () => boolean}} Hand
 * @type {(webcam: import("./webcam.js").Webcam, hand: Hand) => import("../../track_editor/view/panels.js").Panel}
 */
export function webcamPanel(webcam, hand) {
  const square = make("div", { className: "mste-webcam-square" });
  const view = make(
    "div",
    {
      className: "mste-webcam-view",
      title: `${translate("A click says what the square shall follow.")} ${translate(PRIVATE)}`,
    },
    webcam.video,
    square,
  );
  view.onpointerdown = ({ clientX, clientY }) => {
    const { left, top, width, height } = view.getBoundingClientRect();
    webcam.point((clientX - left) / width, (clientY - top) / height);
  };
  const grab = button(
    "Grab",
    "What lies at the crosshair goes where the square goes, until it is let go (D)",
    hand.grab,
  );
  const words = make("span", { title: translate(PRIVATE) });
  const row = make("div", { className: "mste-webcam" }, view, make("div", { className: "mste-row" }, grab, words));
  const update = () => {
    row.hidden = !webcam.isOn;
    if (row.hidden) return;
    const { x, y, width, height, isSeeking } = webcam.square;
    for (const [side, share] of Object.entries({ left: x - width / 2, top: y - height / 2, width, height }))
      square.style.setProperty(side, `${100 * share}%`);
    square.dataset.seeking = String(isSeeking);
    const isHeld = hand.isHeld();
    grab.textContent = translate(isHeld ? "Let go" : "Grab");
    grab.ariaPressed = String(isHeld);
    words.textContent = translate(isSeeking ? "Move a hand" : "stays in this page");
  };
  return { row, update };
}
