// Chromium decodes a live stream's pieces: ms a frame from a piece's coming to its last picture. Run by live_coding.py.
//
//     node decode_in_browser.js PIECES.json
//
// The file: {height, width, codings: [{name, pieces: [[base64, ...], ...]}]}. Prints a JSON list of texts.
import { readFileSync } from "node:fs";

import { launch, serve } from "../tests/js/page/browser.js";

const { codings } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const [browser, server] = await Promise.all([launch(), serve({ "/": "js/live/page.html" })]);
const page = await browser.newPage();
await page.goto(`${server.address}/js/live/page.html`); // VideoDecoder is for secure pages: this machine's
const told = [];
for (const coding of codings) {
  told.push(
    await page.evaluate(async ({ name, pieces }) => {
      const bytes = pieces.map((piece) => piece.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
      const numFrames = bytes.flat().length;
      let spent = 0;
      if (!name.startsWith("H.264")) {
        const type = name.startsWith("WEBP") ? "image/webp" : "image/jpeg";
        for (const piece of bytes) {
          const begun = performance.now();
          const made = await Promise.all(piece.map((each) => createImageBitmap(new Blob([each], { type }))));
          spent += performance.now() - begun;
          for (const each of made) each.close();
        }
        return (spent / numFrames).toFixed(2);
      }
      // Annex B: the profile and level stand in the first parameter set.
      const [profile, flags, level] = bytes[0][0].slice(bytes[0][0].findIndex((b, i, all) => (b & 31) === 7 && all[i - 1] === 1 && all[i - 2] === 0) + 1);
      const codec = `avc1.${[profile, flags, level].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
      const config = { codec, optimizeForLatency: true };
      if (!window.VideoDecoder || !(await VideoDecoder.isConfigSupported(config)).supported) return `no ${codec}`;
      let [out, waiting, failed] = [0, () => {}, null];
      const decoder = new VideoDecoder({
        output: (frame) => {
          frame.close();
          out++;
          waiting();
        },
        error: (error) => {
          failed = error;
          waiting();
        },
      });
      decoder.configure(config);
      let given = 0;
      for (const piece of bytes) {
        const begun = performance.now();
        for (const data of piece) {
          const isKey = data.some((b, i) => (b & 31) === 7 && data[i - 1] === 1 && data[i - 2] === 0 && i < 8);
          decoder.decode(new EncodedVideoChunk({ type: isKey ? "key" : "delta", timestamp: given++ * 62_500, data }));
        }
        const limit = setTimeout(() => waiting((failed = "frames are held back")), 3000);
        while (out < given && !failed) await new Promise((done) => (waiting = done));
        clearTimeout(limit);
        if (failed) return `${failed}`;
        spent += performance.now() - begun;
      }
      decoder.close();
      return `${(spent / numFrames).toFixed(2)} (${codec})`;
    }, coding),
  );
}
await browser.close();
server.close();
console.log(JSON.stringify(told));
