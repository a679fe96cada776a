/** Fields of the camera's moves. */

import { translate } from "../../language/language.js";
import { AMOUNTS, MAX_SEED, MOVES, newMove, withAmount, withMoveSpan } from "../camera/moves.js";
import { EASINGS } from "../curve/easing.js";
import { movesOf } from "../document/format.js";
import { button, choice, labelled, make, menu, numberField, show } from "./elements.js";

/**
 * @typedef {import("../state/model.js").EditorModel} EditorModel
 * @typedef {import("../camera/moves.js").MoveKind} MoveKind
 */

/** @type {readonly (readonly [MoveKind, string])[]} */
const PRESETS = [
  ["pan", "Pan to the right"],
  ["tilt", "Tilt up"],
  ["roll", "Roll clockwise"],
  ["dolly", "Dolly in"],
  ["truck", "Truck to the right"],
  ["pedestal", "Pedestal up"],
  ["orbit", "Orbit to the right"],
  ["zoom", "Zoom in"],
  ["handheld", "Hand-held"],
];

/** @type {Record<MoveKind, string>} */
const UNITS = {
  pan: "degrees, to the right",
  tilt: "degrees, up",
  roll: "degrees, clockwise",
  dolly: "distances of the picture, forward",
  truck: "distances of the picture, to the right",
  pedestal: "distances of the picture, up",
  orbit: "degrees, to the right",
  zoom: "times, above 1 magnifies",
  handheld: "degrees that the camera shakes",
};

/** The menu that adds moves. @type {(model: EditorModel) => HTMLSelectElement} */
export const cameraMenu = (model) =>
  menu(
    "Camera",
    "Moves of the camera, as a layer over everything drawn: what is drawn lies on a plane that the camera sees",
    PRESETS,
    (kind) => model.addMove(/** @type {MoveKind} */ (kind)),
  );

/** The move worked on, where there is one; `more` stands at the end of the row. @type {(model: EditorModel, more?: HTMLElement) => import("./panels.js").Panel} */
export function cameraPanel(model, more) {
  const which = make("select", {
    title: translate("The camera's move worked on"),
    ariaLabel: translate("Camera move"),
  });
  which.onchange = () => model.selectMove(Number(which.value));
  const kind = choice("What the camera does", MOVES, (value) =>
    model.changeMove((move) => newMove(move, /** @type {MoveKind} */ (value))),
  );
  const amount = numberField("Amount", { min: -360, max: 360, step: 0.01 }, (value) =>
    model.changeMove((move) => withAmount(move, value)),
  );
  const start = numberField("First frame of the move", {}, (value) =>
    model.changeMove((move) => withMoveSpan(move, value, move.duration)),
  );
  const duration = numberField("Frames that the move takes", { min: 0 }, (value) =>
    model.changeMove((move) => withMoveSpan(move, move.start, value)),
  );
  const easing = choice("Easing of the move", EASINGS, (value) =>
    model.changeMove((move) => ({ ...move, easing: /** @type {import("../document/format.js").Easing} */ (value) })),
  );
  const seed = numberField("Seed of the shake", { min: 0, max: MAX_SEED }, (value) =>
    model.changeMove((move) => ({ ...move, seed: Math.round(value) })),
  );
  const seen = make("input", {
    type: "checkbox",
    title: translate("Show the tracks as the camera sees them, too (C)"),
    ariaLabel: translate("As the camera sees"),
  });
  seen.onchange = () => model.setCameraView(seen.checked);
  const seedField = labelled("seed", seed);
  const fields = make(
    "span",
    { className: "mste-fields" },
    kind,
    labelled("amount", amount),
    labelled("start", start),
    labelled("frames", duration),
    easing,
    seedField,
  );
  const remove = button("Remove", "Remove this move of the camera", () => model.removeMove());
  const row = make(
    "div",
    { className: "mste-row mste-camera" },
    more ? null : labelled("as seen", seen), // with more to it, the moves are not those of the tracks shown
    which,
    fields,
    remove,
    more ?? null,
  );
  const update = () => {
    const moves = movesOf(model.document);
    row.hidden = !moves.length;
    if (!moves.length) return;
    seen.checked = model.cameraView;
    const names = [translate("camera"), ...moves.map(({ move }, i) => `${i + 1} ${translate(move)}`)];
    if (names.join() !== [...which.options].map(({ text }) => text).join()) {
      which.replaceChildren(
        ...names.map((text, i) => make("option", { value: String(i - 1), disabled: i === 0, hidden: i === 0 }, text)),
      );
    }
    which.value = String(model.move ?? -1);
    const move = model.move === null ? null : moves[model.move];
    fields.hidden = remove.hidden = !move;
    if (!move) return;
    kind.value = move.move;
    [amount.min, amount.max] = AMOUNTS[move.move].map(String);
    amount.title = translate("Amount: {}", translate(UNITS[move.move]));
    show(amount, move.amount);
    show(start, move.start);
    show(duration, move.duration);
    easing.hidden = move.move === "handheld";
    easing.value = move.easing ?? "linear";
    seedField.hidden = move.move !== "handheld";
    show(seed, move.seed ?? 0);
  };
  return { row, update };
}
