// The keyboard: which key does what where, and nothing while somebody types.
import { useEffect, useRef } from "./ui.js";

const layers = []; // the last that knows a key has it
const TYPING = "input, textarea, select, [contenteditable]";
const WHILE_TYPING = new Set(["Escape", "Ctrl+K", "Ctrl+Enter"]);

function name(event) {
  const before = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return before + (before && event.key.length === 1 ? event.key.toUpperCase() : event.key);
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.isComposing) return;
  const key = name(event);
  if (event.target.closest?.(TYPING) && !WHILE_TYPING.has(key)) return;
  const dialog = document.querySelector("dialog[open]");
  for (const layer of [...layers].reverse()) {
    if (dialog && !layer.inDialog) continue;
    const act = layer.keys.current[key];
    if (act) {
      if (act(event) !== false) event.preventDefault();
      return;
    }
  }
});

/** {key: act}; one that returns false leaves the key to the browser. */
export function useKeys(keys, { inDialog = false } = {}) {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const layer = { keys: current, inDialog };
    layers.push(layer);
    return () => layers.splice(layers.indexOf(layer), 1);
  }, []);
}

/** j, k and the arrows go from row to row of what is shown; Enter is the row's own. */
export function moveAmongRows(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return false;
  const at = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  return true;
}

export const SHORTCUTS = [
  ["/", "Search"],
  ["Ctrl K", "Go to a page, store, key or actor; run an action"],
  ["j  k", "Next and previous row; the arrows do the same"],
  ["Enter", "Open"],
  ["Esc", "Back, or close"],
  ["n", "New key"],
  ["e", "Edit"],
  ["Ctrl Enter", "Save"],
  ["u", "Undo the last save or delete"],
  ["c", "Copy as curl, grpcurl, Python …"],
  ["r", "Refresh"],
  ["t", "Dark, light, or as the system has it"],
  ["?", "This list"],
];
