/** The picture below the tracks: an image, or a video that shows the frame on which the timeline stands. */

import { make } from "./elements.js";

export class Backdrop {
  /** @type {HTMLVideoElement | null} */
  video = null;

  /**
   * @param {import("./surface.js").Surface} surface
   * @param {import("../state/model.js").EditorModel} model
   */
  constructor(surface, model) {
    this.surface = surface;
    this.model = model;
  }

  /** An image; null for none. @type {(source: Blob | string | null) => Promise<void>} */
  async setImage(source) {
    this.video = null;
    if (source === null) return this.surface.setImage(null);
    const image = new Image();
    const url = typeof source === "string" ? source : URL.createObjectURL(source);
    image.src = url;
    try {
      await image.decode();
      this.surface.setImage({ source: image, width: image.naturalWidth, height: image.naturalHeight });
    } finally {
      if (typeof source !== "string") URL.revokeObjectURL(url);
    }
  }

  /** @type {(url: string) => Promise<void>} */
  async setVideo(url) {
    const video = make("video", { muted: true, preload: "auto", src: url });
    await new Promise((done, failed) => {
      video.onloadeddata = done;
      video.onerror = () => failed(new Error(video.error?.message));
    });
    video.onseeked = () => this.video === video && this.surface.repaint();
    this.video = video;
    this.surface.setImage({ source: video, width: video.videoWidth, height: video.videoHeight });
  }

  /** The video goes to the frame shown. */
  seek() {
    if (!this.video || this.video.seeking) return;
    // The middle of the frame, whatever the video's own rate is.
    const time = ((this.model.frame + 0.5) / (this.model.lastFrame + 1)) * this.video.duration;
    if (Math.abs(time - this.video.currentTime) > 1e-3) this.video.currentTime = time;
  }
}
