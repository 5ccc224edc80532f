// What the page says beside what it shows: errors that stay, what was done, and what can be taken back.
import { cell, html, useCell } from "../lib/ui.js";
import { useKeys } from "../lib/keys.js";
import { Button, Icon, Problem } from "./basics.js";

const notices = cell([]);
export const undo = cell(null); // {what, act}: the last save or delete
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

/** Something was done that `act` undoes; it stays possible for as long as the page is open. */
export function done(what, act) {
  undo.set({ what, act });
  say(what);
}

export async function takeBack() {
  const step = undo.get();
  if (!step) return;
  undo.set(null);
  try {
    await step.act();
    say("Undone");
  } catch (error) {
    complain(error);
  }
}

export function Notices() {
  const shown = useCell(notices);
  const step = useCell(undo);
  useKeys({ u: () => (undo.get() ? void takeBack() : false) });
  return html`<div class="notices">
    <div role="status" aria-live="polite" class="said">
      ${shown.filter((each) => each.text).map((each) => html`<div class="notice" key=${each.id}><${Icon} of="check" />${each.text}</div>`)}
    </div>
    ${shown.filter((each) => each.error).map((each) => html`<${Problem} key=${each.id} error=${each.error} onClose=${() => remove(each.id)} />`)}
    ${step && html`<div class="undo"><span>${step.what}</span><${Button} icon="undo" onClick=${takeBack}>Undo<//></div>`}
  </div>`;
}
