// A field that searches a little after the last letter, or at once where somebody goes on: never after he has gone.
import { html, useEffect, useRef, useState } from "../lib/ui.js";
import { Icon, Kbd } from "./basics.js";

const PAUSE = 250; // milliseconds after the last letter

/** `input` is its ref; what is in the address stands in it unless somebody types there. */
export function Search({ input, value, label, placeholder, mono, onChange }) {
  const [text, setText] = useState(value);
  const waiting = useRef(null); // {timer, text}: what was typed and not searched for yet
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => {
    if (document.activeElement !== input.current) setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(waiting.current?.timer), []);
  const send = () => {
    if (!waiting.current) return;
    clearTimeout(waiting.current.timer);
    const typed = waiting.current.text;
    waiting.current = null;
    latest.current(typed);
  };
  const later = (typed) => {
    setText(typed);
    clearTimeout(waiting.current?.timer);
    waiting.current = { text: typed, timer: setTimeout(send, PAUSE) };
  };
  return html`<div class="search">
    <${Icon} of="search" />
    <input ref=${input} class=${mono ? "input mono" : "input"} type="search" aria-label=${label} placeholder=${placeholder} value=${text} spellcheck=${false} autocomplete="off" autocapitalize="off"
      onInput=${(event) => later(event.target.value)} onBlur=${send} onKeyDown=${(event) => event.key === "Enter" && event.target.blur()} />
    <${Kbd}>/<//>
  </div>`;
}
