/** The live stage's looks beside the editor's, put into the page once. */

// Rows below the picture keep their height: one that grew would move the picture under the hand.
const CSS = `
.mste-live { display: flex; flex-direction: column; min-width: 0; }
.mste .mste-go { background: #2c6b3f; border-color: #46a564; color: #fff; min-width: 44px; }
.mste .mste-go:hover { background: #357f4b; }
.mste .mste-go[data-running="true"] { background: #7a2f2f; border-color: #b85050; }
.mste .mste-go[data-running="true"]:hover { background: #8f3838; }
.mste-bar { width: 1px; height: 16px; background: #3c424d; margin: 0 3px; }
.mste .mste-prompt { flex: 1 1 140px; padding: 1px 7px; }
.mste input.mste-short { width: 42px; }
.mste-words { flex: none; position: relative; height: 17px; z-index: 1; }
.mste-words span { position: absolute; left: 0; right: 0; bottom: 0; padding: 0 2px; color: #aab0ba; background: #1b1e24;
  overflow-wrap: anywhere; user-select: text; }
.mste-words[data-problem="true"] span { color: #ff9b9b; }
.mste-note { flex: none; padding: 3px 6px; background: #3a3320; border-radius: 4px; color: #f0dfae; }
.mste-note a { color: #9cc7ff; }
.mste-hud { flex: none; display: flex; flex-wrap: wrap; gap: 0 12px; padding: 0 2px; color: #aab0ba; min-height: 16px;
  font-variant-numeric: tabular-nums; }
.mste-hud span { white-space: nowrap; }
.mste-hud b { color: #e8eaee; font-weight: 600; display: inline-block; min-width: 3.2ch; text-align: right; }
.mste-hud span:first-child b { min-width: 8ch; text-align: left; }
.mste-webcam { position: absolute; right: 6px; bottom: 6px; z-index: 1; width: min(180px, 40%); padding: 4px; background: #1b1e24e0;
  border: 1px solid var(--line); border-radius: 6px; box-shadow: 0 2px 10px #0006; }
.mste-webcam[hidden] { display: none; }
.mste-webcam-view { position: relative; overflow: hidden; border-radius: 4px; background: #000; cursor: crosshair; touch-action: none; }
.mste-webcam-view video { display: block; width: 100%; transform: scaleX(-1); }
.mste-webcam-square { position: absolute; box-sizing: border-box; border: 2px solid #5ade7c; border-radius: 3px; pointer-events: none;
  box-shadow: 0 0 0 1px #0008; }
.mste-webcam-square[data-seeking="true"] { border: 2px dashed #ffd34d; }
.mste-webcam .mste-row { margin-top: 4px; gap: 6px; color: #aab0ba; flex-wrap: nowrap; white-space: nowrap; overflow: hidden; }
.mste-wait { display: flex; height: 100%; align-items: center; justify-content: center; padding: 12px; text-align: center;
  box-sizing: border-box; font: 13px/1.4 system-ui, sans-serif; color: #aab0ba; background: #1b1e24; border-radius: 6px; }
`;

/** @type {(page: Document) => void} */
export function addLiveStyle(page) {
  if (page.getElementById("mste-live-style")) return;
  const style = page.createElement("style");
  style.id = "mste-live-style";
  style.textContent = CSS;
  page.head.append(style);
}
