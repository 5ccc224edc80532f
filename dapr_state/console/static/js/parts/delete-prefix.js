// Deleting all keys of a prefix: the prefix, then the number and twenty of them, then the number typed, then progress.
import { deleteByPrefix } from "../lib/api.js";
import { count, plural, visible } from "../lib/format.js";
import { focused, html, useRef, useState } from "../lib/ui.js";
import { Button, Dialog, Problem } from "./basics.js";
import { say } from "./notices.js";

export function DeletePrefix({ store, space, prefix: given, onClose, onDone }) {
  const [prefix, setPrefix] = useState(given);
  const [dry, setDry] = useState(null);
  const [typed, setTyped] = useState("");
  const [deleted, setDeleted] = useState(null);
  const [error, setError] = useState(null);
  const stop = useRef(null);
  const matched = Number(dry?.matched ?? 0);
  const wanted = prefix ? String(matched) : store;
  const end = () => {
    stop.current?.abort();
    onDone();
    onClose();
  };
  const look = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      setDry(await deleteByPrefix(store, { prefix, space, dryRun: true }));
    } catch (problem) {
      setError(problem);
    }
  };
  const run = async (event) => {
    event.preventDefault();
    if (typed !== wanted) return;
    stop.current = new AbortController();
    setDeleted(0);
    let sum = 0;
    try {
      for (;;) {
        const body = { prefix, space, confirmToken: dry.confirmToken, everything: prefix ? undefined : true };
        const part = await deleteByPrefix(store, body, stop.current.signal);
        sum += Number(part.deleted ?? 0);
        setDeleted(sum);
        if (part.complete !== false || stop.current.signal.aborted) break;
      }
      say(`Deleted ${plural(sum, "key")}`);
      end();
    } catch (problem) {
      if (problem.name !== "AbortError") setError(problem);
    }
  };
  return html`<${Dialog} title="Delete by prefix" onClose=${end}>
    ${!dry &&
    html`<form onSubmit=${look}>
      <label class="field"><span>All keys that begin with</span><input class="input mono" autofocus value=${prefix} spellcheck=${false} autocomplete="off" onInput=${(event) => setPrefix(event.target.value)} /></label>
      <p class="faint">${prefix ? "First it is only counted." : "Without a prefix: every key of this store that is this application's. First it is only counted."}</p>
      <${Problem} error=${error} onClose=${() => setError(null)} />
      <div class="dialog-foot"><${Button} onClick=${end}>Cancel<//><button type="submit" class="button primary">Count</button></div>
    </form>`}
    ${dry &&
    deleted === null &&
    html`<form onSubmit=${run}>
      <p><strong>${plural(matched, "key")}</strong> ${prefix ? html`begin with <code>${visible(prefix)}</code>` : "are in this store"}${dry.complete === false ? ", or more" : ""}.</p>
      ${dry.sample?.length > 0 && html`<ul class="sample mono">${dry.sample.map((key) => html`<li key=${key}>${visible(key)}</li>`)}</ul>`}
      ${matched > 0 && html`<label class="field"><span>${prefix ? "Type the number" : "Type the name of the store"} to delete them: <strong class="mono">${wanted}</strong></span><input ref=${focused} class="input mono" value=${typed} autocomplete="off" onInput=${(event) => setTyped(event.target.value)} /></label>`}
      <${Problem} error=${error} onClose=${() => setError(null)} />
      <div class="dialog-foot"><${Button} onClick=${() => setDry(null)}>Back<//><button type="submit" class="button danger" disabled=${typed !== wanted || matched === 0}>Delete ${count(matched)}</button></div>
    </form>`}
    ${deleted !== null &&
    html`<p role="status">Deleted ${count(deleted)} of ${count(matched)}</p><progress max=${matched || 1} value=${deleted}></progress>
      <${Problem} error=${error} /><div class="dialog-foot"><${Button} onClick=${end}>Stop<//></div>`}
  <//>`;
}
