/** The live stage: the editor over a stream, with the session behind it. */

import { translate } from "../language/language.js";
import { TrackEditor } from "../track_editor/editor.js";
import { kindColour } from "../track_editor/view/colours.js";
import { Connection } from "./connection.js";
import { canvasFor, lengthened } from "./documents.js";
import { Hands } from "./hands.js";
import { LIVE_HELP, liveCommandOf } from "./keyboard.js";
import { coursePanel, figuresPanel, liveCameraPanel, notePanel, promptPanel, wordsPanel } from "./panels.js";
import { Plays } from "./plays.js";
import { VERSION } from "./protocol.js";
import { Screen } from "./screen.js";
import { addLiveStyle } from "./style.js";
import { LiveTools } from "./tools.js";
import { webcamPanel } from "./webcam/panel.js";
import { Webcam } from "./webcam/webcam.js";

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Status} Status
 * @typedef {import("./protocol.js").Hello} Hello
 */

/**
 * What the stage lives in.
 * picture: begins another session from a picture, or keeps it for one. again: the session that there is now, after one
 * that has ended.
 * toggleFull: in place of the editor's own.
 * @typedef {object} StageHost
 * @property {import("./protocol.js").Addresses} addresses
 * @property {(file: File) => Promise<void>} [picture]
 * @property {() => Promise<string>} [again]
 * @property {() => void} [toggleFull]
 */

/** @type {Status} */
const NOTHING_YET = {
  prompt: "",
  state: "ready",
  steering: false,
  watchers: 0,
  asked: false,
  back_s: 0,
  num_frames: 0,
  message: "",
};
const UNKNOWN = { width: 128, height: 128, fps: 16 };
const LOOK_MS = 500;
const MIN_BACK_S = 0.1;
/** After so many times in vain the session may be gone. */
const MANY_FAILURES = 3;

/** What was clicked or typed in has done its work then, and keys go to the picture again. @type {(event: Event, what: string) => boolean} */
const isIn = (event, what) => event.target instanceof Element && event.target.closest(what) !== null;

export class Stage {
  session = "";
  status = NOTHING_YET;
  /** @type {Hello | null} */
  hello = null;
  /** @type {Connection | null} */
  connection = null;
  /** The header of the chunk that came last. @type {import("./protocol.js").ChunkHeader | null} */
  chunk = null;
  /** @type {{reason: string, files: import("./protocol.js").Files} | null} */
  ended = null;
  backSeconds = 2;
  playSeconds = 3;
  blendChunks = 0;
  /** Whether the next session is to start at once. */
  startsAtOnce = false;
  hasAsked = false;

  /** @param {StageHost} host */
  constructor(host) {
    addLiveStyle(document);
    this.host = host;
    this.hands = new Hands(() => this.connection);
    this.tools = new LiveTools(this.hands, () => this.maySteer());
    this.webcam = new Webcam({
      moved: (dx, dy, time) => this.moveByWebcam(dx, dy, time),
      problem: (message) => this.notify(message),
      changed: () => this.editor.repaint(),
    });
    this.editor = new TrackEditor({
      canvas: () => this.canvas,
      changed: () => queueMicrotask(() => this.drawn()), // when the model is done with the change
      imageImported: (file) => void this.openPicture(file),
      ...(host.toggleFull && { toggleFull: host.toggleFull }),
      live: {
        pointers: this.tools,
        panels: ({ model }) => ({
          above: [coursePanel(this, model), promptPanel(this), liveCameraPanel(this, model), notePanel(this)],
          over: [
            webcamPanel(this.webcam, { grab: () => this.run({ name: "grab" }), isHeld: () => this.tools.isGrabbed }),
          ],
          below: [wordsPanel(this), figuresPanel(this)],
        }),
        commandOf: liveCommandOf,
        run: (command, time) => this.run(command, time),
        play: () => this.play(),
        help: LIVE_HELP,
      },
    });
    this.model = this.editor.model;
    this.editor.surface.colours = kindColour;
    this.model.seesCamera = false; // hands and anchors are places of the picture, not of what the camera passes
    this.screen = new Screen(this.editor, {
      problem: (message) => this.notify(message),
      frame: (frame) => this.plays.showFrame(frame),
      wentBack: (numFrames) => this.plays.goBack(numFrames),
      isSteering: () => this.status.steering,
    });
    this.tools.attach(this.editor);
    this.plays = new Plays(this.model, this.tools, (document) => this.say({ type: "play", document }));
    this.tools.fitTo(this.canvas);
    this.timer = setInterval(() => this.editor.repaint(), LOOK_MS);
    const { element } = this.editor;
    element.addEventListener("click", (event) => event.detail && isIn(event, "button, .mste-surface") && this.focus());
    element.addEventListener("change", (event) => isIn(event, "select:not(:focus-visible)") && this.focus());
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && isIn(event, "input, select")) this.focus();
      if (event.key === "Enter" && isIn(event, "input[type=number]")) this.focus();
    });
  }

  end() {
    clearInterval(this.timer);
    this.webcam.end();
    this.connection?.close();
    this.screen.end();
    this.editor.destroy();
  }

  // The session.

  /** @type {(session: string) => void} */
  open(session) {
    this.connection?.close();
    this.session = session;
    // What came of the one before can be had until this one begins.
    [this.hello, this.chunk, this.status] = [null, null, NOTHING_YET];
    this.screen.clear();
    this.connection = new Connection(this.host.addresses.socket(session), {
      answer: (answer) => this.heard(answer),
      chunk: (header, pictures) => {
        this.chunk = header;
        this.status = { ...this.status, back_s: header.back_s ?? this.status.back_s };
        this.screen.receive(header, pictures);
      },
      line: (line, why) => this.lineIs(line, why),
      problem: (message) => this.notify(message),
    });
  }

  /** @type {(line: import("./connection.js").Line, why: string) => void} */
  lineIs(line, why) {
    this.notify(why);
    if (line === "closed") this.closed();
    if (line === "lost" && (this.connection?.failures ?? 0) >= MANY_FAILURES) void this.lookForAnother();
  }

  /** A server that was started anew knows nothing of the session that it had. */
  async lookForAnother() {
    const session = await this.host.again?.().catch(() => null);
    if (session && session !== this.session && this.connection?.line === "lost") this.open(session);
  }

  /** Whether the server listens, and has said what it makes. */
  get isOpen() {
    return this.hello !== null && (this.connection?.isOpen ?? false);
  }

  get words() {
    return this.hello?.words ?? null;
  }

  get canvas() {
    return canvasFor(this.hello ?? UNKNOWN, this.playSeconds);
  }

  /** @type {(answer: import("./protocol.js").Answer) => void} */
  heard(answer) {
    if (answer.type === "hello") this.greeted(answer);
    else if (answer.type === "state") this.become(answer);
    else if (answer.type === "ended") this.finish(answer);
    else if (answer.type === "error") {
      this.notify(answer.message);
      if (/^(play|document)\b/.test(answer.field)) this.plays.dropLast();
    }
    this.editor.repaint();
  }

  /** @type {(hello: Hello) => void} */
  greeted(hello) {
    const isNew = this.hello === null;
    const steered = this.status.steering;
    this.hello = hello;
    this.notify(hello.version === VERSION ? "" : "The server is of another version than this page: load the page anew");
    if (isNew) {
      this.plays.clear();
      this.tools.forget();
      this.model.replace({ ...this.model.document, canvas: this.canvas });
      this.tools.fitTo(this.canvas);
      this.editor.surface.fit();
    } else if (hello.steering) this.hands.sayAgain(performance.now());
    this.become(hello);
    // The server may still believe in the line that was lost, and in who steered by it.
    if (!isNew && steered && !hello.steering) this.askToSteer();
    if (isNew && this.startsAtOnce) this.say({ type: "start" });
    this.startsAtOnce = false;
  }

  /** @type {(status: Status) => void} */
  become({ prompt, state, steering, watchers, asked, back_s, hold, num_frames, message }) {
    if (this.status.steering && !steering) this.tools.forget(); // the hands are somebody else's now
    if (state === "running" || !steering) this.ended = null;
    if (steering) this.hasAsked = false;
    this.status = { prompt, state, steering, watchers, asked, back_s, hold, num_frames, message };
  }

  /** @type {(ended: {reason: string, files: import("./protocol.js").Files}) => void} */
  finish({ reason, files }) {
    this.ended = { reason, files };
    this.status = { ...this.status, state: "ended" };
    this.plays.clear();
    this.tools.forget();
    this.connection?.stopTrying();
  }

  /** The session is gone, whether or not it could say so. */
  closed() {
    this.status = { ...this.status, state: "ended" };
    this.connection?.stopTrying();
    this.editor.repaint();
  }

  /** Whether this page may steer; where not, it says why. */
  maySteer() {
    const why =
      this.status.state === "ended"
        ? "The stream has ended"
        : !this.isOpen
          ? "There is no connection to the stream"
          : this.status.steering
            ? ""
            : "Somebody else steers; ask to steer";
    if (why) this.notify(why);
    return !why;
  }

  askToSteer() {
    this.hasAsked = this.say({ type: "take" });
  }

  /** @type {(message: Message) => boolean} */
  say(message) {
    return this.connection?.say(message) ?? false;
  }

  /** @type {(message: string) => void} */
  notify(message) {
    this.editor.notify(message);
  }

  focus() {
    this.editor.keys.focus();
  }

  /** What to do next. */
  get hint() {
    const { state, steering } = this.status;
    if (state !== "ended" && (!this.isOpen || !steering)) return "";
    if (state === "ready") return "Enter starts; then drag what you see";
    if (state === "paused") return "Paused: what you drag now goes on with Space";
    if (state === "ended") return this.host.again ? "Enter begins again" : "Run the workflow to begin again";
    return { hand: "Drag what you see", anchor: "Click what must stay", path: "Draw where it shall go" }[
      this.tools.tool
    ];
  }

  // Commands.

  /** What a key or a button says; whether there was something to do. @type {(command: import("../track_editor/state/keyboard.js").Command, time?: number) => boolean} */
  run({ name, dx = 0, dy = 0, step = 1, tool }, time = performance.now()) {
    if (name === "escape") return this.tools.stepOut();
    if (name === "nudge") this.tools.nudge(dx, dy, time);
    else if (name === "tool") this.tools.setTool(/** @type {import("./tools.js").ToolName} */ (tool));
    else if (name === "resize") this.tools.wheel(1.15 ** step);
    else if (name === "grab") this.tools.grab(time);
    else if (name === "delete") this.tools.deleteSelected();
    else if (name === "start_or_end") this.startOrEnd();
    else if (name === "back_in_time") this.goBack();
    else if (name === "reanchor") this.isUnderWay() && this.say({ type: "reanchor" });
    else if (name === "clear") this.clear();
    else if (name === "hold") this.say({ type: "hold", on: !this.status.hold });
    else if (name === "webcam") void this.webcam.toggle();
    return true;
  }

  /** As the arrow keys do. dx, dy: shares of the webcam's view, which lies over the frame so as to cover it. @type {(dx: number, dy: number, time: number) => void} */
  moveByWebcam(dx, dy, time) {
    const { steering, state } = this.status;
    if (!this.isOpen || !steering || state === "ended") return;
    const { width, height } = this.canvas;
    const view = this.webcam.size;
    const scale = Math.max(width / view.width, height / view.height);
    this.tools.nudge(dx * view.width * scale, dy * view.height * scale, time);
  }

  startOrEnd() {
    const { state } = this.status;
    if (state === "ended") void this.beginAgain();
    else if (this.maySteer()) this.say({ type: state === "ready" ? "start" : "stop" });
  }

  /** Space. */
  play() {
    if (this.isUnderWay()) this.say({ type: this.status.state === "paused" ? "resume" : "pause" });
  }

  goBack() {
    if (!this.isUnderWay()) return;
    const seconds = Math.min(this.backSeconds, this.status.back_s);
    if (seconds >= MIN_BACK_S) this.say({ type: "back", seconds });
    else this.notify("There is nothing to go back to yet");
  }

  isUnderWay() {
    if (!this.maySteer()) return false;
    if (this.status.state === "ready") this.notify("The stream has not begun: Enter starts it");
    return this.status.state !== "ready";
  }

  clear() {
    if (!this.maySteer()) return;
    this.plays.clear();
    this.tools.forget();
    this.say({ type: "clear" });
  }

  /** Whether it was sent. @type {(text: string) => boolean} */
  sendPrompt(text) {
    if (!this.maySteer()) return false;
    this.notify("");
    return this.say({ type: "prompt", text, blend_chunks: this.blendChunks });
  }

  async beginAgain() {
    if (!this.host.again) return this.notify("The stream has ended: run the workflow again");
    try {
      let session = await this.host.again();
      // One stream ends a moment before the next is there.
      for (let i = 0; session === this.session && i < MANY_FAILURES; i++) {
        await new Promise((done) => setTimeout(done, LOOK_MS));
        session = await this.host.again();
      }
      this.startsAtOnce = true;
      this.open(session);
    } catch (error) {
      this.notify(translate("No other stream could begin: {}", error instanceof Error ? error.message : String(error)));
    }
  }

  /** @type {(file: File) => Promise<void>} */
  async openPicture(file) {
    if (!this.host.picture) return this.notify("The picture comes from the workflow");
    try {
      await this.host.picture(file);
    } catch (error) {
      this.notify(translate("The picture was not taken: {}", error instanceof Error ? error.message : String(error)));
    }
  }

  // What plays.

  /** @type {(seconds: number) => void} */
  setPlaySeconds(seconds) {
    this.playSeconds = seconds;
    this.model.replace(lengthened(this.model.document, this.canvas));
    this.plays.show();
  }

  /** The model was changed by a tool or a panel: a path is done, or the camera has other moves. */
  drawn() {
    this.plays.sendPaths(this.screen.numCome);
    this.plays.show();
  }

  sendCamera() {
    if (this.maySteer()) this.plays.sendCamera(this.screen.numCome);
  }

  // For scripts and tests.

  /** Recent delays from hand to picture in ms, the newest last. */
  get delays() {
    return this.screen.delays;
  }

  get shown() {
    return this.screen.shown;
  }

  /** The pixels of the picture shown. */
  pixels() {
    return this.screen.pixels();
  }
}
