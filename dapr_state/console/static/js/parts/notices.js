// What the page says beside what it shows: errors that stay, what was done, and what can be taken back.
import { cell, html, useCell } from "../lib/ui.js";
import { useKeys } from "../lib/keys.js";
import { Button, Icon, Problem } from "./basics.js";

const notices = cell([]);
const undone = cell([]); // saves and deletes, the last at the end: {what, of, etag, act}
let last = 0;

function add(notice) {
  last += 1;
  const id = last;
  notices.set([...notices.get().slice(-3), { id, ...notice }]);
  return id;
}

const remove = (id) => notices.set(notices.get().filter((each) => each.id !== id));

/** Said for a few seconds. */
export function say(text) {
  const id = add({ text });
  setTimeout(() => remove(id), 5000);
}

/** Said until somebody dismisses it. */
export const complain = (error) => add({ error });

/**
 * Something was done to `of`, whose etag is now `etag`; `act(etag)` undoes it, and returns the etag that it has then.
 * It stays possible for as long as the page is open.
 */
export function done(what, step) {
  undone.set([...undone.get(), { what, ...step }]);
  say(what);
}

export async function takeBack() {
  const step = undone.get().at(-1);
  if (!step) return;
  undone.set(undone.get().slice(0, -1));
  try {
    const etag = await step.act(step.etag);
    undone.set(undone.get().map((each) => (each.of === step.of ? { ...each, etag } : each)));
    say("Undone");
  } catch (error) {
    complain(error);
  }
}

export function Notices() {
  const shown = useCell(notices);
  const step = useCell(undone).at(-1);
  useKeys({ u: () => (step ? void takeBack() : false) });
  return html`<div class="notices">
    <div role="status" aria-live="polite" class="said">
      ${shown.filter((each) => each.text).map((each) => html`<div class="notice" key=${each.id}><${Icon} of="check" />${each.text}</div>`)}
    </div>
    ${shown.filter((each) => each.error).map((each) => html`<${Problem} key=${each.id} error=${each.error} onClose=${() => remove(each.id)} />`)}
    ${step && html`<div class="undo"><span>${step.what}</span><${Button} icon="undo" onClick=${takeBack}>Undo<//></div>`}
  </div>`;
}
