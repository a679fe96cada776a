// Chromium decodes a live stream's pieces: ms a frame from a piece's coming to its last picture. Run by live_coding.py.
//
//     node decode_in_browser.js PIECES.json
//
// The file: {codings: [{name, pieces: [[base64, ...], ...]}]}. Prints a JSON list of texts.
import { readFileSync } from "node:fs";

import { launch, serve } from "../tests/js/page/browser.js";

const { codings } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const [browser, server] = await Promise.all([launch(), serve()]);
const page = await browser.newPage();
await page.goto(`${server.address}/js/live/page.html`); // VideoDecoder is for secure pages: this machine's
const told = [];
for (const coding of codings) told.push(await page.evaluate(timed, coding));
await browser.close();
server.close();
console.log(JSON.stringify(told));

/** Runs in the page. */
async function timed({ name, pieces }) {
  const LIMIT_MS = 3000;
  const bytes = pieces.map((piece) => piece.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));

  /** Ms a frame of pieces that `decode` takes one by one. */
  const timeOf = async (decode) => {
    let spent = 0;
    for (const piece of bytes) {
      const begun = performance.now();
      await decode(piece);
      spent += performance.now() - begun;
    }
    return (spent / bytes.flat().length).toFixed(2);
  };
  const type = name.startsWith("WEBP") ? "image/webp" : "image/jpeg";
  const pictures = (piece) => Promise.all(piece.map((each) => createImageBitmap(new Blob([each], { type }))));
  if (!name.startsWith("H.264")) return timeOf(pictures);

  /** Where the first parameter set begins, behind its start code; -1 in a frame that has none. */
  const parameters = (data) =>
    data.findIndex((b, i) => (b & 31) === 7 && data[i - 1] === 1 && !data[i - 2] && !data[i - 3]);
  const at = parameters(bytes[0][0]) + 1; // of Annex B: profile, flags, level
  const numbers = [...bytes[0][0].slice(at, at + 3)].map((b) => b.toString(16).padStart(2, "0"));
  const config = { codec: `avc1.${numbers.join("")}`, optimizeForLatency: true };
  if (!(await VideoDecoder.isConfigSupported(config)).supported) return `no ${config.codec}`;
  const state = { come: 0, given: 0, problem: "", wake: () => {} };
  const decoder = new VideoDecoder({
    output: (frame) => {
      frame.close();
      state.come++;
      state.wake();
    },
    error: (error) => {
      state.problem = String(error);
      state.wake();
    },
  });
  decoder.configure(config);
  const decoded = async (piece) => {
    for (const data of piece) {
      const kind = parameters(data) < 0 ? "delta" : "key";
      decoder.decode(new EncodedVideoChunk({ type: kind, timestamp: state.given++ * 62_500, data }));
    }
    const limit = setTimeout(() => {
      state.problem = "it holds frames back";
      state.wake();
    }, LIMIT_MS);
    while (state.come < state.given && !state.problem)
      await new Promise((done) => {
        state.wake = done;
      });
    clearTimeout(limit);
  };
  const ms = await timeOf(decoded);
  decoder.close();
  return state.problem || `${ms} (${config.codec})`;
}
