// A WebSocket that is a session's server, in the page: what the page says is kept, pictures are drawn here.
(() => {
  const hello = {
    type: "hello",
    version: 1,
    session: "s1",
    model: "small",
    width: 128,
    height: 96,
    fps: 16,
    chunk_frames: 12,
    words: ["red", "ball", "rolls"],
    prompt: "red ball",
    state: "ready",
    steering: true,
    watchers: 0,
    asked: false,
    back_s: 0,
    num_frames: 0,
    message: "",
  };

  class FakeSocket {
    static all = [];
    static hello = hello;
    readyState = 0;
    bufferedAmount = 0;
    sent = [];

    constructor(url) {
      this.url = url;
      this.state = { ...FakeSocket.hello };
      FakeSocket.all.push(this);
      setTimeout(() => {
        this.readyState = 1;
        this.onopen?.({});
        this.tell(this.state);
      }, 5);
    }

    send(text) {
      const message = JSON.parse(text);
      if (message.type === "ping") return this.tell({ type: "pong", t_ms: message.t_ms });
      this.sent.push(message);
      const next = { start: "running", resume: "running", pause: "paused" }[message.type];
      if (next) this.change({ state: next, back_s: 4 });
      if (message.type === "stop") {
        const files = {
          video: "/files/v.mp4",
          tracks: "/files/t.npz",
          document: "/files/d.json",
          log: "/files/l.json",
        };
        this.tell({ type: "ended", reason: "Ended by hand", files });
      }
    }

    close() {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose?.({ code: 1005, reason: "" });
    }

    tell(value) {
      this.onmessage?.({ data: JSON.stringify(value) });
    }

    change(more) {
      this.state = { ...this.state, ...more };
      const { prompt, state, steering, watchers, asked, back_s, num_frames, message } = this.state;
      this.tell({ type: "state", prompt, state, steering, watchers, asked, back_s, num_frames, message });
    }

    /** A chunk of pictures in these colours. */
    async chunk(colours, more = {}) {
      const files = await Promise.all(colours.map((colour) => picture(this.state.width, this.state.height, colour)));
      const header = {
        type: "chunk",
        index: 0,
        start_frame: 0,
        sizes: files.map(({ byteLength }) => byteLength),
        frame_ms: 62.5,
        made_ms: 210,
        reset: false,
        answers: [],
        num_frames: colours.length,
        fps_made: 16,
        buffer_ms: 40,
        memory_mb: 812,
        ...more,
      };
      const text = new TextEncoder().encode(JSON.stringify(header));
      const bytes = new Uint8Array(4 + text.length + files.reduce((sum, { byteLength }) => sum + byteLength, 0));
      new DataView(bytes.buffer).setUint32(0, text.length, true);
      bytes.set(text, 4);
      let at = 4 + text.length;
      for (const file of files) {
        bytes.set(new Uint8Array(file), at);
        at += file.byteLength;
      }
      this.onmessage?.({ data: bytes.buffer });
    }
  }

  /** A plain picture with a disc, as JPEG. */
  async function picture(width, height, colour) {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    context.fillStyle = "#d04040";
    context.arc(width / 2, height / 2, height / 6, 0, 7);
    context.fill();
    return (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })).arrayBuffer();
  }

  window.WebSocket = window.FakeSocket = FakeSocket;
})();
