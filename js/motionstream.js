/** The entry file: the only one that knows ComfyUI's page. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { setLanguage } from "./language/language.js";
import { attachLength } from "./lengths.js";
import { attachLive } from "./live/widget.js";
import { attachPicker, PICKERS } from "./picker/widget.js";
import { attachPreview } from "./preview.js";
import { watchSubgraph } from "./track_editor/promoted.js";
import { attachEditor } from "./track_editor/widget.js";

app.registerExtension({
  name: "motionstream.Language",
  /** The first of these to be asked: what this node shows is in the interface's language of now. */
  nodeCreated() {
    setLanguage(String(app.extensionManager?.setting?.get("Comfy.Locale") ?? ""));
  },
});

app.registerExtension({
  name: "motionstream.TrackEditor",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass === "MotionStreamTrackEditor") attachEditor(node, app, api);
    else if (node.subgraph) watchSubgraph(node, app, api);
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
  name: "motionstream.Picker",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass in PICKERS) attachPicker(node, app, api);
  },
});

app.registerExtension({
  name: "motionstream.Lengths",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("MotionStream")) attachLength(node, api);
  },
});

app.registerExtension({
  name: "motionstream.Preview",
  /** @type {(node: any) => void} */
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("MotionStream")) attachPreview(node, app, api);
  },
});
