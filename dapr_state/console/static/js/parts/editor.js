// Writing one value: the text itself, what it changes against what is stored, and what to do when somebody else was first.
import { deleteEntry, getEntry, saveEntry } from "../lib/api.js";
import { diff, hunks } from "../lib/diff.js";
import { base64, octets, plural, text as asText, visible } from "../lib/format.js";
import { indented, problem } from "../lib/json.js";
import { useKeys } from "../lib/keys.js";
import { html, names, useEffect, useMemo, useRef, useState } from "../lib/ui.js";
import { Badge, Button, Dialog, Icon, Kbd, Problem, left } from "./basics.js";
import { done } from "./notices.js";

const MOST = 2 ** 24; // octets of a value that is read to be compared
const SHORT = 50_000; // characters that are judged with each letter; a longer text is when its writer rests
const REST = 300; // milliseconds
const ABOVE = 80; // pixels that are shown above the first difference
const DIFFED = 200_000; // characters: beyond, the change is told in numbers

/** `entry` and `bytes` are what was read; without them it is a new key. */
export function Editor({ store, space, prefix = "", entry, bytes, onClose, onSaved }) {
  const [base, setBase] = useState({ entry, text: bytes ? asText(bytes) : "" });
  const [key, setKey] = useState(entry?.key ?? prefix);
  const [text, setText] = useState(base.text ?? "");
  const [ttl, setTtl] = useState("");
  const [error, setError] = useState(null);
  const [theirs, setTheirs] = useState(null);
  const [busy, setBusy] = useState(false);
  const first = useRef(null);
  const isNew = !entry;
  useEffect(() => {
    first.current?.focus();
    first.current?.setSelectionRange(isNew ? first.current.value.length : 0, isNew ? first.current.value.length : 0);
    if (first.current) first.current.scrollTop = 0;
  }, []);
  const judged = useSettled(text);
  const wrong = useMemo(() => problem(judged), [judged]);
  const isSame = !isNew && text === base.text;
  const expires = base.entry?.expiresAt;

  const save = async () => {
    if (busy || (isNew && !key) || isSame) return;
    setBusy(true);
    setError(null);
    try {
      if (!isNew && !base.entry.etag && (await isOther())) return await conflict();
      const content = problem(text) ? { value: base64(new TextEncoder().encode(text)) } : { json: text };
      const expireIn = ttl ? `${Math.max(1, Math.round(Number(ttl)))}s` : expires ? left(Date.parse(expires)) : undefined;
      const guard = isNew ? { onlyNew: true } : { etag: base.entry.etag };
      const answer = await saveEntry(store, { key, space, ...content, ...guard, expireIn });
      const etag = answer.entry?.etag ?? "";
      const old = base;
      done(`${isNew ? "Created" : "Saved"} ${visible(key)}`, { of: `${store}\n${space}\n${key}`, etag, act: (now) => undoOf(store, space, key, old, now, isNew) });
      onSaved(key, etag);
    } catch (refused) {
      setBusy(false);
      if (refused.status === 409 && !isNew) await conflict();
      else setError(refused);
    }
  };
  // Of a store without etags nothing better can be had than a look just before
  const isOther = async () => asText(octets((await getEntry(store, key, { space, maxBytes: MOST })).entry.value)) !== base.text;
  const conflict = async () => {
    setBusy(false);
    try {
      const now = await getEntry(store, key, { space, maxBytes: MOST });
      setTheirs({ entry: now.entry, text: asText(octets(now.entry.value)) ?? "" });
    } catch (gone) {
      if (gone.status === 404) setTheirs({ entry: null, text: "" });
      else setError(gone);
    }
  };
  const rebase = () => {
    setBase(theirs);
    setTheirs(null);
  };
  useKeys({ "Ctrl+Enter": () => void (theirs || save()) }, { inDialog: true });

  if (!isNew && base.text === null) {
    return html`<${Dialog} title="Edit" onClose=${onClose}><p>These octets are no text. They can be downloaded, and written through the API.</p><//>`;
  }
  return html`<${Dialog} title=${isNew ? "New key" : `Edit ${visible(key)}`} wide onClose=${onClose}>
    ${theirs && html`<${Conflict} base=${base} mine=${text} theirs=${theirs} onTheirs=${() => (theirs.entry ? (setText(theirs.text), rebase()) : onClose())} onMine=${rebase} />`}
    ${!theirs &&
    html`${isNew && html`<label class="field"><span>Key</span><input ref=${first} class="input mono" value=${key} spellcheck=${false} autocomplete="off" onInput=${(event) => setKey(event.target.value)} /></label>`}
      <label class="field"><span>Value</span>
        <textarea ref=${isNew ? null : first} class="input mono area" value=${text} spellcheck=${false} rows=${Math.min(22, Math.max(8, text.split("\n").length + 1))} onInput=${(event) => setText(event.target.value)}></textarea>
      </label>
      <div class="editor-state">
        ${text === "" ? html`<${Badge}>Empty: zero octets<//>` : wrong ? html`<${Badge} tone="warn" icon="alert">No JSON: ${wrong}. Saved as text<//>` : html`<${Badge} tone="good" icon="check">JSON<//>`}
        ${!wrong && html`<button type="button" class="link" onClick=${() => setText(indented(text))}>Indent</button>`}
        <label class="inline-field"><span>Expires in</span><input class="input short" type="number" min="1" placeholder=${expires ? "as it was" : "never"} value=${ttl} onInput=${(event) => setTtl(event.target.value)} /><span>s</span></label>
      </div>
      ${!isNew && html`<${Changes} before=${base.text} after=${judged} />`}
      <${Problem} error=${error} onClose=${() => setError(null)} />
      <div class="dialog-foot"><span class="faint"><${Kbd}>Ctrl Enter<//> saves</span><${Button} onClick=${onClose}>Cancel<//><${Button} tone="primary" busy=${busy} disabled=${isSame || (isNew && !key)} onClick=${save}>${isNew ? "Create" : "Save"}<//></div>`}
  <//>`;
}

function useSettled(text) {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), REST);
    return () => clearTimeout(timer);
  }, [text]);
  return text.length < SHORT ? text : settled;
}

/** Writes what was there before, if nobody has written since. */
async function undoOf(store, space, key, old, etag, isNew) {
  if (isNew) {
    await deleteEntry(store, key, { space, etag });
    return "";
  }
  const ends = old.entry.expiresAt && Date.parse(old.entry.expiresAt);
  const content = problem(old.text) ? { value: base64(new TextEncoder().encode(old.text)) } : { json: old.text };
  const answer = await saveEntry(store, { key, space, ...content, etag, expireIn: ends ? left(ends) : undefined });
  return answer.entry?.etag ?? "";
}

function Changes({ before, after }) {
  const lines = useMemo(() => (before.length + after.length > DIFFED ? null : hunks(diff(...alike([before, after])))), [before, after]);
  if (before === after) return html`<p class="faint">Nothing is changed yet.</p>`;
  if (!lines) return html`<p class="faint">${plural(before.length, "character")} become ${plural(after.length, "character")}.</p>`;
  return html`<div class="field"><span>Changes</span><${Diff} lines=${lines} /></div>`;
}

/** JSON with a line for each member, so that what has changed stands alone; as it is where only blanks differ. */
function alike(texts) {
  if (texts.some((text) => text.length > DIFFED || problem(text))) return texts;
  const wide = texts.map((text) => indented(text));
  return new Set(wide).size > 1 ? wide : texts;
}

/** The lines of a text, those marked that another one has not. */
const against = (base, text) => (base.length + text.length > 2 * DIFFED ? [{ text }] : diff(base, text).filter((line) => line.kind !== "gone"));

const SIGNS = { same: " ", gone: "−", new: "+" };

const Diff = ({ lines }) =>
  html`<div class="diff" tabindex="0" role="group" aria-label="Changes">
    ${lines.map((line, at) =>
      line.kind === "left out"
        ? html`<div class="diff-gap" key=${at}>${plural(line.count, "line")} the same</div>`
        : html`<div class=${names("diff-line", `is-${line.kind}`)} key=${at}><span class="sign">${SIGNS[line.kind]}</span>${line.text || " "}</div>`,
    )}
  </div>`;

/** Theirs, mine and what both began with; writing over theirs takes another look first. */
function Conflict({ base, mine, theirs, onTheirs, onMine }) {
  const shown = useRef(null);
  useEffect(() => {
    const sides = [...shown.current.querySelectorAll("pre")];
    const places = sides.map((side) => side.querySelector(".is-new")).filter(Boolean).map((line) => line.offsetTop);
    if (places.length) for (const side of sides) side.scrollTop = Math.min(...places) - ABOVE;
  }, []);
  const texts = alike([theirs.text, mine, base.text]);
  const columns = [["Theirs", theirs.entry && against(texts[2], texts[0]), "stored now"], ["Mine", against(texts[2], texts[1]), "not saved"], ["Base", against(texts[2], texts[2]), "where both began"]];
  return html`<div class="bar warn" role="alert"><${Icon} of="alert" /><span>${theirs.entry ? "Somebody else has saved this key meanwhile. Nothing of yours was written." : "Somebody else has deleted this key meanwhile."}</span></div>
    <div class="three" ref=${shown}>
      ${columns.map(([name, lines, note]) => html`<section key=${name} aria-label=${name}><h3>${name} <span class="faint">${note}</span></h3><pre class="text" tabindex="0" aria-label=${`${name}, ${note}`}>${lines ? lines.map((line, at) => html`<span key=${at} class=${names("three-line", line.kind === "new" && "is-new")}>${line.text}${"\n"}</span>`) : "deleted"}</pre></section>`)}
    </div>
    <div class="dialog-foot"><${Button} tone="primary" onClick=${onTheirs}>Take theirs<//>${theirs.entry && html`<${Button} onClick=${onMine}>Edit mine against theirs<//>`}</div>`;
}
