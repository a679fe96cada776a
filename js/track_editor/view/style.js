/** The editor's looks, put into the page once. */

const CSS = `
.mste { --ground: #1b1e24; --raised: #262a32; --line: #3a404b; --text: #d8dce3; --soft: #98a0ad; --accent: #4a8cf0;
  display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; min-height: 0; min-width: 0; box-sizing: border-box;
  padding: 4px; font: 12px/1.3 system-ui, sans-serif; color: var(--text); background: var(--ground); border-radius: 6px;
  user-select: none; -webkit-user-select: none; position: relative; color-scheme: dark; overflow: hidden;
  container: mste / inline-size; }
.mste-full { position: fixed; inset: 0; z-index: 10000; border-radius: 0; padding: 8px; width: auto; height: auto; }
.mste-row { display: flex; flex-wrap: wrap; gap: 3px; align-items: center; flex: none; min-width: 0; }
.mste-row[inert] { opacity: 0.4; }
.mste-fields { display: contents; }
.mste-camera { color: #cfa8ff; }
.mste-camera .mste-fields > select:last-of-type { width: 104px; }
.mste button, .mste select, .mste input { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line);
  border-radius: 4px; padding: 1px 5px; margin: 0; height: 22px; box-sizing: border-box; min-width: 0; }
.mste button { cursor: pointer; }
.mste button:hover, .mste select:hover { background: #343a45; }
.mste button[aria-pressed="true"] { background: var(--accent); border-color: #7fb0ff; color: #fff; }
.mste button:disabled { opacity: 0.35; cursor: default; }
.mste input[type="number"] { width: 58px; }
.mste input[type="range"] { width: 64px; padding: 0; border: none; background: none; accent-color: var(--accent); }
.mste input[type="checkbox"] { height: auto; margin: 0; accent-color: var(--accent); }
.mste label { display: inline-flex; gap: 3px; align-items: center; color: var(--soft); white-space: nowrap; }
.mste select { width: 84px; padding: 2px; }
.mste :focus-visible { outline: 2px solid #ffd34d; outline-offset: -1px; }
.mste-gap { flex: 1; }
.mste-icon { display: inline-flex; align-items: center; justify-content: center; pointer-events: none; }
.mste button.mste-tool { width: 26px; height: 26px; padding: 0; display: inline-flex; align-items: center; justify-content: center;
  flex: none; background: none; border-color: transparent; }
.mste button.mste-tool:hover { background: #343a45; }
.mste button.mste-tool[aria-pressed="true"], .mste button.mste-tool[aria-expanded="true"] { background: var(--accent);
  border-color: transparent; color: #fff; }
.mste button.mste-tool[aria-expanded="true"] { background: #3c4350; }
.mste-above { flex: none; display: flex; flex-direction: column; gap: 4px; }
.mste-tools { display: flex; gap: 1px; align-items: center; flex: none; overflow: hidden; }
.mste-line { flex: none; display: flex; gap: 6px; align-items: center; height: 24px; overflow: hidden; padding: 0 2px; }
.mste-line label { flex: none; }
.mste-line select { width: 92px; }
.mste-line input[type="range"] { width: 52px; }
.mste-line input[type="number"] { width: 38px; appearance: textfield; padding: 1px 4px; color: var(--text); }
.mste-line input::-webkit-inner-spin-button { display: none; }
.mste-hint { flex: 1 1 auto; min-width: 40px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: #b9c4d6; }
@container mste (min-width: 319px) { .mste button.mste-narrow { display: none; } }
@container mste (max-width: 318px) { .mste button.mste-tool.mste-wide { display: none; } }
@container mste (max-width: 420px) { .mste-line label { font-size: 0; gap: 0; } .mste-line label > * { font-size: 12px; }
  .mste-line { gap: 4px; } .mste-line input[type="number"] { width: 34px; } }
.mste-stage { position: relative; flex: 1 1 120px; min-height: 60px; display: flex; }
.mste-surface { position: relative; flex: 1; min-width: 0; overflow: hidden; touch-action: none; border-radius: 4px; }
.mste-surface canvas, .mste-timeline canvas { position: absolute; left: 0; top: 0; width: 100%; height: 100%; display: block; }
.mste-dock { flex: 0 0 95px; display: flex; flex-direction: column; gap: 3px; min-height: 60px; }
.mste-full .mste-dock { flex-basis: 24vh; }
.mste-timeline { position: relative; flex: 1 1 0; min-height: 0; overflow: hidden; touch-action: none; border-radius: 4px; }
.mste-inspector { display: flex; gap: 1px; align-items: center; flex: none; height: 26px; background: var(--raised); border-radius: 4px;
  padding: 0 2px; }
.mste-inspector input[type="color"] { width: 22px; height: 20px; padding: 0; border: none; background: none; flex: none; cursor: pointer; }
.mste input.mste-name { flex: 1 1 60px; background: none; border-color: transparent; }
.mste input.mste-name:hover, .mste input.mste-name:focus { background: var(--ground); border-color: var(--line); }
.mste-float { position: absolute; right: 6px; bottom: 6px; z-index: 1; padding: 6px; background: #1b1e24f2; border: 1px solid var(--line);
  border-radius: 6px; box-shadow: 0 4px 14px #0008; max-width: calc(100% - 12px); max-height: calc(100% - 12px); box-sizing: border-box;
  overflow: auto; }
.mste-details { display: grid; grid-template-columns: auto 1fr auto 1fr; gap: 4px 6px; align-items: center; width: 290px; }
.mste-details label { display: contents; }
.mste-details select, .mste-details input[type="number"] { width: 100%; color: var(--text); }
.mste-details > select { grid-column: span 2; }
.mste-details > .mste-row { grid-column: 1 / -1; }
.mste-details > .mste-row button { flex: 1; }
.mste-easing { width: 200px; display: flex; flex-direction: column; gap: 4px; }
.mste-easing .mste-row { justify-content: space-between; }
.mste-easing select { width: 104px; }
.mste-graph { display: block; width: 100%; flex: 1 1 auto; min-height: 60px; touch-action: none; cursor: crosshair; background: #14161b; border-radius: 4px; }
.mste-graph-lines { stroke: #2b3039; fill: none; }
.mste-graph-curve { stroke: #ffd34d; stroke-width: 2; fill: none; }
.mste-graph-arms { stroke: #8a93a3; fill: none; }
.mste-graph-now { stroke: #ffd34d80; }
.mste-graph-dot { fill: #fff; stroke: #101216; cursor: grab; }
.mste-empty { position: absolute; inset: auto 8px 10px; margin: 0 auto; width: fit-content; display: flex; flex-direction: column;
  gap: 1px; align-items: center; text-align: center; padding: 6px 12px 8px; pointer-events: none; color: #fff; background: #14161cd9;
  border-radius: 8px; box-shadow: 0 2px 10px #0006; }
.mste-empty b { font-size: 13px; }
.mste-empty span:last-child { color: #c3ccd9; max-width: 270px; }
.mste-empty .mste-icon svg { width: 22px; height: 22px; color: #7fb0ff; }
.mste-keys { position: absolute; left: 8px; bottom: 8px; width: 1px; height: 1px; opacity: 0; border: 0; padding: 0;
  resize: none; pointer-events: none; }
.mste-keys:focus ~ .mste-stage .mste-surface { box-shadow: inset 0 0 0 2px #6f9fe5; }
.mste-keys:focus ~ .mste-stage .mste-surface::after { content: ""; position: absolute; inset: 0; border-radius: 4px; pointer-events: none;
  box-shadow: inset 0 0 0 1.5px #5b8fe0; }
.mste-transport { flex-wrap: nowrap; }
.mste input.mste-frame { width: 50px; }
.mste-transport button { flex: none; }
.mste-status { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); min-width: 0;
  font-variant-numeric: tabular-nums; }
.mste-problem { flex: none; padding: 6px 8px; background: #5a2323; border-radius: 4px; user-select: text; overflow-wrap: anywhere; }
.mste-help { position: absolute; inset: 0; z-index: 3; padding: 10px; background: #0b0c10cc; cursor: pointer; display: flex;
  align-items: center; justify-content: center; }
.mste-help > div { padding: 12px; background: #101216; border: 1px solid var(--line); border-radius: 6px; columns: 2 240px;
  max-width: 760px; max-height: 100%; overflow: auto; box-sizing: border-box; position: relative; }
.mste-help b { color: #fff; }
.mste-help p { margin: 0 0 4px; break-inside: avoid; }
.mste-help .mste-close { column-span: all; color: var(--soft); margin: 0 0 8px; }
.mste [hidden] { display: none !important; }
`;

/** @type {(page: Document) => void} */
export function addStyle(page) {
  if (page.getElementById("mste-style")) return;
  const style = page.createElement("style");
  style.id = "mste-style";
  style.textContent = CSS;
  page.head.append(style);
}
