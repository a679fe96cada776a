/** Rows of the live stage: tools and the stream's course, the prompt, who steers, what came of it, figures. */

import { translate } from "../language/language.js";
import { movesOf } from "../track_editor/document/format.js";
import { cameraMenu, cameraPanel } from "../track_editor/view/camera_panel.js";
import { button, labelled, make, numberField, show } from "../track_editor/view/elements.js";
import { median } from "./screen.js";

/**
 * @typedef {import("../track_editor/view/panels.js").Panel} Panel
 * @typedef {import("./stage.js").Stage} Stage
 */

/** @type {readonly (readonly [import("./tools.js").ToolName, string, string])[]} */
const TOOLS = [
  ["hand", "Hand", "Hand (H): drag a green grid, and what lies below goes along; the wheel changes its size"],
  ["anchor", "Anchor", "Anchor (A): a click sets a red grid that holds still; a click on it lets it go"],
  ["path", "Path", "Path (P): drawn in one stroke, blue, and played when it is done"],
];
const FIGURES_MS = 250;
const RECENT = 16;
const MAX_BLEND_CHUNKS = 32;

/** A text put where another one is; left alone where it is there already. @type {(element: HTMLElement, text: string) => void} */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @typedef {import("../track_editor/state/model.js").EditorModel} EditorModel */

/** @type {(stage: Stage, model: EditorModel) => Panel} */
export function coursePanel(stage, model) {
  const { tools } = stage;
  const choices = TOOLS.map(([name, text, title]) => ({
    name,
    element: button(text, title, () => tools.setTool(name)),
  }));
  const start = button("Start", "Start, and end again (Enter)", () => stage.run({ name: "start_or_end" }));
  start.className = "mste-go";
  const pause = button("Pause", "Pause and go on (Space)", () => stage.play());
  const back = button("Back", "Back by so many seconds (B)", () => stage.run({ name: "back_in_time" }));
  const backBy = numberField("Seconds to go back by", { min: 0.1, max: 3600, step: 0.5 }, (value) => {
    stage.backSeconds = value;
  });
  const anew = button("Re-anchor", "New anchor (N): the picture now shown becomes the stream's first", () =>
    stage.run({ name: "reanchor" }),
  );
  const hold = button("Hold", "Keep still whatever no hand moves, and what is let go where it was let go (L)", () =>
    stage.run({ name: "hold" }),
  );
  const clear = button("Clear", "Let go of everything: hands, anchors, paths (X)", () => stage.run({ name: "clear" }));
  const picture = button("Picture", "Begin another stream from a picture; it may be dropped or pasted too", () =>
    stage.editor.transfer.file("import"),
  );
  picture.hidden = !stage.host.again; // a workflow has a loader for it
  const drawing = make(
    "span",
    { className: "mste-fields" },
    ...choices.map(({ element }) => element),
    cameraMenu(model),
    bar(),
    start,
    pause,
    back,
    labelledAfter(backBy, "s"),
    anew,
    hold,
    clear,
  );
  const row = make(
    "div",
    { className: "mste-row", role: "toolbar" },
    drawing,
    make("span", { className: "mste-gap" }),
    picture,
    button("Fit", "Show the whole frame (0)", () => stage.editor.surface.fit()),
    button("?", "Keys", () => stage.editor.toggleHelp()),
    button("Full", "Full screen", () => stage.editor.toggleFull()),
  );
  backBy.classList.add("mste-short");
  const update = () => {
    for (const { name, element } of choices) element.ariaPressed = String(tools.tool === name);
    const { state, back_s, steering } = stage.session.status;
    const isRunning = state === "running" || state === "paused";
    drawing.inert = stage.session.isOpen && !steering;
    put(start, translate(isRunning ? "End" : "Start"));
    start.dataset.running = String(isRunning);
    put(pause, translate(state === "paused" ? "Resume" : "Pause"));
    start.disabled = state === "ended" && !stage.host.again;
    pause.disabled = !isRunning;
    back.disabled = !isRunning || back_s <= 0;
    anew.disabled = !isRunning || stage.screen.numCome === 0;
    hold.ariaPressed = String(stage.session.status.hold ?? false);
    hold.disabled = state === "ended";
    show(backBy, stage.backSeconds);
  };
  return { row, update };
}

const bar = () => make("span", { className: "mste-bar" });

/** @type {(field: HTMLElement, text: string) => HTMLLabelElement} */
const labelledAfter = (field, text) => make("label", {}, field, translate(text));

/** The camera's moves, and the button that sends them off. @type {(stage: Stage, model: EditorModel) => Panel} */
export function liveCameraPanel(stage, model) {
  const go = button("Go", "The camera moves now: the whole picture goes along", () => stage.sendCamera());
  go.className = "mste-go";
  const { row, update } = cameraPanel(model, go);
  return {
    row,
    update: () => {
      update();
      row.inert = !stage.session.status.steering;
      go.disabled = !movesOf(model.document).length;
    },
  };
}

/** @type {(stage: Stage) => Panel} */
export function promptPanel(stage) {
  const words = make("datalist", { id: `mste-words-${Math.random().toString(36).slice(2)}` });
  const prompt = make("input", {
    type: "text",
    className: "mste-prompt",
    title: translate("Prompt; Enter sends it"),
    ariaLabel: translate("Prompt"),
    autocomplete: "off",
    maxLength: 4000,
  });
  prompt.setAttribute("list", words.id);
  const blend = numberField(
    "Chunks over which the prompt goes over into the new one",
    { min: 0, max: MAX_BLEND_CHUNKS },
    (value) => {
      stage.blendChunks = Math.round(value);
    },
  );
  const seconds = numberField("Seconds that a path or the camera takes", { min: 0.1, max: 60, step: 0.5 }, (value) =>
    stage.setPlaySeconds(value),
  );
  const send = button("Send", "Send the prompt (Enter in its field)", () => stage.sendPrompt(prompt.value));
  prompt.onkeydown = (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    if (stage.sendPrompt(prompt.value)) stage.focus();
  };
  prompt.oninput = () => offer(words, prompt.value, stage.session.words);
  for (const field of [blend, seconds]) field.classList.add("mste-short");
  const webcam = button(
    "Webcam",
    "Webcam (W): what moves before it moves the crosshair, what is grabbed there (D), or the selected anchors. " +
      "Its pictures stay in this page",
    () => stage.run({ name: "webcam" }),
  );
  const row = make(
    "div",
    { className: "mste-row" },
    prompt,
    words,
    labelled("blend", labelledAfter(blend, "chunks")),
    send,
    bar(),
    labelled("paths take", labelledAfter(seconds, "s")),
    bar(),
    webcam,
  );
  /** @type {string | null} */
  let shown = null;
  const update = () => {
    row.inert = stage.session.isOpen && !stage.session.status.steering;
    // What somebody types is theirs until it is sent.
    if (stage.session.status.prompt !== shown && document.activeElement !== prompt) {
      shown = stage.session.status.prompt;
      prompt.value = shown;
    }
    const hint = stage.session.words
      ? translate("Words: {}", stage.session.words.filter((word) => /\w/.test(word)).join(" "))
      : translate("What is to be seen");
    if (prompt.placeholder !== hint) {
      prompt.placeholder = hint;
      prompt.title = stage.session.words
        ? translate("{}. Enter sends them", hint)
        : translate("Prompt; Enter sends it");
      offer(words, prompt.value, stage.session.words);
    }
    show(blend, stage.blendChunks);
    show(seconds, stage.playSeconds);
    webcam.ariaPressed = String(stage.webcam.isOn);
  };
  return { row, update };
}

/** The words that may come next, behind those that are there. @type {(list: HTMLDataListElement, text: string, words: readonly string[] | null) => void} */
function offer(list, text, words) {
  const before = text.slice(0, text.lastIndexOf(" ") + 1);
  list.replaceChildren(...(words ?? []).map((word) => make("option", { value: before + word })));
}

/** Who steers, where it is not this page alone; and what came of a stream that has ended. @type {(stage: Stage) => Panel} */
export function notePanel(stage) {
  const text = make("span");
  const ask = button("Ask to steer", "The one who steers is asked to hand over", () => stage.session.askToSteer());
  const hand = button("Hand over", "Somebody else steers from now on", () => stage.session.say({ type: "yield" }));
  const links = make("span");
  const row = make("div", { className: "mste-row mste-note" }, text, links, ask, hand);
  /** @type {import("./protocol.js").Files | null} */
  let linked = null;
  const update = () => {
    const { steering, asked } = stage.session.status;
    const { ended } = stage.session;
    row.hidden = !ended && (!stage.session.isOpen || (steering && !asked));
    if (row.hidden) return;
    const watches = stage.session.hasAsked
      ? "You watch; the one who steers has been asked"
      : "You watch: somebody else steers";
    const told = ended?.reason ? translate("Ended: {}", ended.reason) : translate("Ended");
    put(text, ended ? told : translate(steering ? "Somebody asks to steer" : watches));
    ask.hidden = ended !== null || steering || stage.session.hasAsked;
    hand.hidden = ended !== null || !steering;
    if (linked === (ended?.files ?? null)) return;
    linked = ended?.files ?? null;
    links.replaceChildren(...(linked ? fileLinks(linked, stage.host.addresses) : []));
  };
  return { row, update };
}

/** @type {(files: import("./protocol.js").Files, addresses: import("./protocol.js").Addresses) => (HTMLElement | string)[]} */
const fileLinks = ({ video, tracks, document, log }, addresses) =>
  Object.entries({ Video: video, Tracks: tracks, Drawing: document, Log: log }).flatMap(([text, address]) =>
    address
      ? [" ", make("a", { href: addresses.file(address), target: "_blank", rel: "noopener" }, translate(text))]
      : [],
  );

/** What there is to say, always in the same place: a line that came and went would move the picture under the hand. @type {(stage: Stage) => Panel} */
export function wordsPanel(stage) {
  const text = make("span");
  const row = make("div", { className: "mste-words", role: "status" }, text);
  const update = () => {
    const { state, message } = stage.session.status;
    const told = [state === "ended" ? "" : message, translate(stage.hint)].filter(Boolean).join(". ");
    put(text, stage.editor.message || told);
    row.dataset.problem = String(Boolean(stage.editor.message));
  };
  return { row, update };
}

/** Figures, a few times a second. @type {(stage: Stage) => Panel} */
export function figuresPanel(stage) {
  const row = make("div", { className: "mste-hud" });
  let [last, shown] = [-Infinity, ""];
  const update = () => {
    const now = performance.now();
    if (now - last < FIGURES_MS) return;
    last = now;
    const figures = figuresOf(stage, now);
    if (figures.join() === shown) return;
    shown = figures.join();
    row.replaceChildren(
      ...figures.map(([value, what]) => make("span", {}, make("b", {}, value), what ? ` ${what}` : null)),
    );
  };
  return { row, update };
}

/** As [value, what it is]; all of them from the beginning, so that they stay where they are. @type {(stage: Stage, now: number) => [string, string][]} */
function figuresOf({ session, screen }, now) {
  const { status, hello, chunk, isOpen } = session;
  const delay = median(screen.delays.slice(-RECENT));
  const others = status.watchers > 1 ? translate(", {} more", status.watchers - 1) : "";
  const numFrames = chunk?.num_frames ?? 0;
  return [
    isOpen
      ? [translate(status.state), `${translate(status.steering ? "you steer" : "you watch")}${others}`]
      : [translate("offline"), ""],
    [figure(chunk?.fps_made, 1), translate("fps made")],
    [figure(chunk && screen.player.rate(now), 1), translate("shown")],
    [figure(chunk?.made_ms), translate("ms a chunk")],
    [figure(delay), translate("ms from drag to picture")],
    [figure(screen.player.slacks.at(-1)), translate("ms buffer")],
    [String(numFrames), translate("frames ({} s)", figure(hello && numFrames / hello.fps))],
    [figure(chunk?.memory_mb), "MB"],
  ];
}

/** @type {(value: number | null | undefined, digits?: number) => string} */
const figure = (value, digits = 0) => (typeof value === "number" ? value.toFixed(digits) : "–");
