/** The stage as a page of its own: the server's present session, and another one from every picture opened. */

import { setLanguage, translate } from "../language/language.js";
import { addressesBelow } from "./protocol.js";
import { Stage } from "./stage.js";

const ASK_AGAIN_MS = 2000;

/** The stage fills `place`; `address` is the page's own. @type {(place: HTMLElement, address?: string) => Stage} */
export function open(place, address = location.href) {
  setLanguage(navigator.language);
  const addresses = addressesBelow(new URL(".", address).href, new URL(address).searchParams.get("token"));
  const stage = new Stage({
    addresses,
    picture: async (file) => {
      const body = new FormData();
      body.append("image", file, file.name || "picture.png");
      stage.session.open(await sessionAt(addresses.picture, { method: "POST", body }));
    },
    again: () => sessionAt(addresses.current),
    toggleFull: () => void toggleFull(stage),
  });
  place.append(stage.editor.element);
  // Keys work wherever nothing else has them.
  document.addEventListener("keydown", (event) => {
    if (event.target !== document.body) return;
    stage.focus();
    stage.editor.keys.down(event);
  });
  stage.focus();
  void begin(stage, addresses.current);
  Object.assign(globalThis, { motionstreamLive: stage });
  return stage;
}

/** @type {(stage: Stage) => Promise<void>} */
async function toggleFull(stage) {
  try {
    await (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen());
  } catch {
    stage.notify("The browser does not give the full screen here");
  }
  stage.focus();
}

/** The server may still be loading its model: it is asked until it has a session. @type {(stage: Stage, address: string) => Promise<void>} */
async function begin(stage, address) {
  for (;;) {
    try {
      return stage.session.open(await sessionAt(address));
    } catch (error) {
      stage.notify(translate("No stream yet: {}", error instanceof Error ? error.message : String(error)));
      await new Promise((done) => setTimeout(done, ASK_AGAIN_MS));
    }
  }
}

/** @type {(address: string, request?: RequestInit) => Promise<string>} */
async function sessionAt(address, request) {
  const answer = await fetch(address, request);
  const text = await answer.text();
  if (!answer.ok) throw new Error(plainReason(text) || `${answer.status} ${answer.statusText}`);
  return JSON.parse(text).session;
}

/** What the server says went wrong, be it text or JSON. @type {(text: string) => string} */
function plainReason(text) {
  try {
    const { message, error } = JSON.parse(text);
    return String(message ?? error ?? "");
  } catch {
    return text.startsWith("<") ? "" : text.slice(0, 300);
  }
}
