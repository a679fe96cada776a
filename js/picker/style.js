/** The thumbnails' looks, put into the page once. */

const CSS = `
.msp { width: 100%; height: 100%; min-height: 0; display: flex; flex-direction: column; gap: 4px; box-sizing: border-box;
  font: 11px/1.3 system-ui, sans-serif; color: #dfe2e8; }
.msp-list { flex: 1; min-height: 0; display: flex; flex-wrap: wrap; gap: 6px; align-content: flex-start; overflow: auto; }
.msp button { width: 86px; padding: 3px; display: flex; flex-direction: column; align-items: center; gap: 3px; cursor: pointer;
  color: inherit; font: inherit; background: #23272f; border: 1px solid #3c424d; border-radius: 6px; }
.msp button:hover { border-color: #6b7484; }
.msp button:focus-visible { outline: 2px solid #9cc7ff; outline-offset: 1px; }
.msp button[aria-selected="true"] { border-color: #46a564; background: #22342a; }
.msp img, .msp video { width: 78px; height: 78px; object-fit: cover; border-radius: 4px; background: #14161a; }
.msp button span { max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.msp button.msp-add { min-height: 100px; justify-content: center; border-style: dashed; color: #aab0ba; }
.msp-said:empty { display: none; }
.msp-said { color: #f0dfae; overflow-wrap: anywhere; }
`;

/** @type {(page: Document) => void} */
export function addPickerStyle(page) {
  if (page.getElementById("msp-style")) return;
  const style = page.createElement("style");
  style.id = "msp-style";
  style.textContent = CSS;
  page.head.append(style);
}
