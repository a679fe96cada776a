/** The editor's looks, put into the page once. */

const CSS = `
.mste { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; min-height: 0; box-sizing: border-box;
  padding: 4px; font: 12px/1.3 system-ui, sans-serif; color: #d8dce3; background: #1b1e24; border-radius: 6px;
  user-select: none; -webkit-user-select: none; position: relative; color-scheme: dark; }
.mste-full { position: fixed; inset: 0; z-index: 10000; border-radius: 0; padding: 8px; width: auto; height: auto; }
.mste-row { display: flex; flex-wrap: wrap; gap: 3px; align-items: center; flex: none; }
.mste-row[inert] { opacity: 0.4; }
.mste-fields { display: contents; }
.mste-fields[inert] > * { opacity: 0.4; }
.mste-camera { color: #cfa8ff; }
.mste-count { width: 52px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mste button, .mste select, .mste input { font: inherit; color: inherit; background: #2b3039; border: 1px solid #3c424d;
  border-radius: 4px; padding: 1px 5px; margin: 0; height: 22px; box-sizing: border-box; min-width: 0; }
.mste button { cursor: pointer; }
.mste button:hover, .mste select:hover { background: #363c47; }
.mste button[aria-pressed="true"] { background: #3f6fb5; border-color: #6f9fe5; color: #fff; }
.mste button:disabled { opacity: 0.4; cursor: default; }
.mste input[type="number"] { width: 58px; }
.mste input[type="range"] { width: 64px; padding: 0; border: none; background: none; }
.mste input[type="checkbox"] { height: auto; margin: 0; }
.mste label { display: inline-flex; gap: 3px; align-items: center; color: #aab0ba; }
.mste select { width: 84px; padding: 2px; }
.mste :focus-visible { outline: 2px solid #ffd34d; outline-offset: 1px; }
.mste-gap { flex: 1; }
.mste-surface { position: relative; flex: 1 1 120px; min-height: 80px; overflow: hidden; touch-action: none; border-radius: 4px; }
.mste-surface canvas, .mste-timeline canvas { position: absolute; left: 0; top: 0; width: 100%; height: 100%; display: block; }
.mste-timeline { position: relative; flex: 0 0 84px; overflow: hidden; touch-action: none; border-radius: 4px; }
.mste-full .mste-timeline { flex-basis: 22vh; }
.mste-keys { position: absolute; left: 8px; bottom: 8px; width: 1px; height: 1px; opacity: 0; border: 0; padding: 0;
  resize: none; pointer-events: none; }
.mste-keys:focus ~ .mste-surface { box-shadow: inset 0 0 0 2px #6f9fe5; }
.mste-status { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: #aab0ba;
  font-variant-numeric: tabular-nums; }
.mste-problem { flex: none; padding: 6px 8px; background: #5a2323; border-radius: 4px; user-select: text; overflow-wrap: anywhere; }
.mste-help { position: absolute; inset: 8% 8% auto; z-index: 2; padding: 12px; background: #101216f2; border: 1px solid #3c424d;
  border-radius: 6px; columns: 2 240px; max-height: 84%; overflow: auto; }
.mste-help b { color: #fff; }
.mste-help p { margin: 0 0 4px; break-inside: avoid; }
.mste [hidden] { display: none; }
`;

/** @type {(page: Document) => void} */
export function addStyle(page) {
  if (page.getElementById("mste-style")) return;
  const style = page.createElement("style");
  style.id = "mste-style";
  style.textContent = CSS;
  page.head.append(style);
}
