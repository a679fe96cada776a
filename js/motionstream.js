/** The entry file: the only one that knows ComfyUI's page. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { attachLength } from "./lengths.js";
import { attachLive } from "./live/widget.js";
import { attachEditor } from "./track_editor/widget.js";

app.registerExtension({
  name: "motionstream.TrackEditor",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass === "MotionStreamTrackEditor") attachEditor(node, app, api);
  },
});

app.registerExtension({
  name: "motionstream.Live",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass === "MotionStreamLive") attachLive(node, app, api);
  },
});

app.registerExtension({
  name: "motionstream.Lengths",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("MotionStream")) attachLength(node, api);
  },
});
