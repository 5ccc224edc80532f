// Ctrl K: to any page, store, key or actor, and what can be done, from the keyboard.
import { visible } from "../lib/format.js";
import { go } from "../lib/router.js";
import { html, names, useEffect, useMemo, useRef, useState } from "../lib/ui.js";
import { Dialog, Icon } from "./basics.js";

function found(places, stores, types, text) {
  const typed = text.trim().toLowerCase();
  const items = [
    ...places,
    ...stores.map((name) => ({ icon: "state", name: `Store ${name}`, act: () => go(["state", name]) })),
    ...types.map((name) => ({ icon: "actors", name: `Actors of ${name}`, act: () => go(["actors", name]) })),
  ].filter((item) => item.name.toLowerCase().includes(typed));
  if (!typed) return items;
  for (const store of stores) {
    items.push({ icon: "search", name: `Keys that begin with “${visible(text)}” in ${store}`, act: () => go(["state", store], { prefix: text }) });
    items.push({ icon: "right", name: `Key “${visible(text)}” in ${store}`, act: () => go(["state", store, "key", text]) });
  }
  const [type, id] = text.split(/\/(.*)/s);
  if (id) items.push({ icon: "actors", name: `Actor ${type}/${visible(id)}`, act: () => go(["actors", type, id]) });
  return items;
}

export function Palette({ places, stores, types, onClose }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const items = useMemo(() => found(places, stores, types, text), [places, stores, types, text]);
  const input = useRef(null);
  const list = useRef(null);
  useEffect(() => input.current.focus(), []);
  useEffect(() => list.current.children[at]?.scrollIntoView({ block: "nearest" }), [at]);
  const run = (item) => {
    onClose();
    item.act();
  };
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setAt((at + step + items.length) % Math.max(1, items.length));
    else if (event.key === "Enter" && items[at]) run(items[at]);
    else return;
    event.preventDefault();
  };
  return html`<${Dialog} title="Go to" onClose=${onClose}>
    <input ref=${input} class="input palette-input" role="combobox" aria-label="Go to" aria-expanded="true" aria-controls="palette" aria-activedescendant=${`palette-${at}`} placeholder="Page, store, key, type/id or action" value=${text} spellcheck=${false} autocomplete="off"
      onInput=${(event) => (setText(event.target.value), setAt(0))} onKeyDown=${onKeyDown} />
    <ul ref=${list} class="palette" id="palette" role="listbox" aria-label="Found">
      ${items.map(
        (item, number) => html`<li key=${item.name} id=${`palette-${number}`} role="option" aria-selected=${String(number === at)} class=${names(number === at && "is-chosen")} onMouseMove=${() => number !== at && setAt(number)} onClick=${() => run(item)}>
          <${Icon} of=${item.icon} /><span>${item.name}</span>${item.key && html`<kbd>${item.key}</kbd>`}
        </li>`,
      )}
    </ul>
  <//>`;
}
