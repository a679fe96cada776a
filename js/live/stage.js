/** The live stage: the editor over a stream, with the session behind it. */

import { translate } from "../language/language.js";
import { TrackEditor } from "../track_editor/editor.js";
import { kindColour } from "../track_editor/view/colours.js";
import { canvasFor, lengthened } from "./documents.js";
import { Hands } from "./hands.js";
import { LIVE_HELP, liveCommandOf } from "./keyboard.js";
import { coursePanel, figuresPanel, liveCameraPanel, notePanel, promptPanel, wordsPanel } from "./panels.js";
import { Plays } from "./plays.js";
import { Screen } from "./screen.js";
import { Session } from "./session.js";
import { addLiveStyle } from "./style.js";
import { LiveTools } from "./tools.js";
import { webcamPanel } from "./webcam/panel.js";
import { Webcam } from "./webcam/webcam.js";

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

const UNKNOWN = { width: 128, height: 128, fps: 16 };
const LOOK_MS = 500;
const MIN_BACK_S = 0.1;

/** What was clicked or typed in has done its work then, and keys go to the picture again. @type {(event: Event, what: string) => boolean} */
const isIn = (event, what) => event.target instanceof Element && event.target.closest(what) !== null;

export class Stage {
  backSeconds = 2;
  playSeconds = 3;
  blendChunks = 0;

  /** @param {StageHost} host */
  constructor(host) {
    addLiveStyle(document);
    this.host = host;
    this.session = new Session(host, {
      notify: (message) => this.notify(message),
      changed: () => this.editor.repaint(),
      opened: () => this.screen.clear(),
      begins: () => this.begin(),
      cameBack: () => this.hands.sayAgain(performance.now()),
      pictures: (header, pictures) => this.screen.receive(header, pictures),
      lostHands: () => this.tools.forget(), // they are somebody else's now
      over: () => this.letGo(),
      refused: (field) => /^(play|document)\b/.test(field) && this.plays.dropLast(),
    });
    this.hands = new Hands(() => this.session.connection);
    this.tools = new LiveTools(this.hands, () => this.session.maySteer());
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
      isSteering: () => this.session.status.steering,
    });
    this.tools.attach(this.editor);
    this.plays = new Plays(this.model, this.tools, (document) => this.session.say({ type: "play", document }));
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
    this.session.end();
    this.screen.end();
    this.editor.destroy();
  }

  get canvas() {
    return canvasFor(this.session.hello ?? UNKNOWN, this.playSeconds);
  }

  /** A session has said what it makes. */
  begin() {
    this.letGo();
    this.model.replace({ ...this.model.document, canvas: this.canvas });
    this.tools.fitTo(this.canvas);
    this.editor.surface.fit();
  }

  /** Of hands, anchors and paths, as the server has done. */
  letGo() {
    this.plays.clear();
    this.tools.forget();
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
    const { state, steering } = this.session.status;
    if (state !== "ended" && (!this.session.isOpen || !steering)) return "";
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
    else if (name === "reanchor") this.session.isUnderWay() && this.session.say({ type: "reanchor" });
    else if (name === "clear") this.clear();
    else if (name === "hold") this.session.say({ type: "hold", on: !this.session.status.hold });
    else if (name === "webcam") void this.webcam.toggle();
    return true;
  }

  /** As the arrow keys do. dx, dy: shares of the webcam's view, which lies over the frame so as to cover it. @type {(dx: number, dy: number, time: number) => void} */
  moveByWebcam(dx, dy, time) {
    const { steering, state } = this.session.status;
    if (!this.session.isOpen || !steering || state === "ended") return;
    const { width, height } = this.canvas;
    const view = this.webcam.size;
    const scale = Math.max(width / view.width, height / view.height);
    this.tools.nudge(dx * view.width * scale, dy * view.height * scale, time);
  }

  startOrEnd() {
    const { state } = this.session.status;
    if (state === "ended") void this.session.beginAgain();
    else if (this.session.maySteer()) this.session.say({ type: state === "ready" ? "start" : "stop" });
  }

  /** Space. */
  play() {
    if (this.session.isUnderWay())
      this.session.say({ type: this.session.status.state === "paused" ? "resume" : "pause" });
  }

  goBack() {
    if (!this.session.isUnderWay()) return;
    const seconds = Math.min(this.backSeconds, this.session.status.back_s);
    if (seconds >= MIN_BACK_S) this.session.say({ type: "back", seconds });
    else this.notify("There is nothing to go back to yet");
  }

  clear() {
    if (!this.session.maySteer()) return;
    this.letGo();
    this.session.say({ type: "clear" });
  }

  /** Whether it was sent. @type {(text: string) => boolean} */
  sendPrompt(text) {
    if (!this.session.maySteer()) return false;
    this.notify("");
    return this.session.say({ type: "prompt", text, blend_chunks: this.blendChunks });
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
    if (this.session.maySteer()) this.plays.sendCamera(this.screen.numCome);
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
