// One key: its value as tree, text or octets, its etag and expiry, and what can be done with it.
import { canWrite, deleteEntry, download, getEntry, saveEntry, touch } from "../lib/api.js";
import { useAsk } from "../lib/ask.js";
import { base64, count, hex, octets, size, text as asText, visible } from "../lib/format.js";
import { NotJson, indented, parse } from "../lib/json.js";
import { useKeys } from "../lib/keys.js";
import { useLive } from "../lib/live.js";
import { useCan } from "../lib/pulse.js";
import { go } from "../lib/router.js";
import { reading } from "../lib/snippets.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib/ui.js";
import { Badge, Button, Confirm, Copy, Dialog, Empty, Icon, Lines, Problem, Snippets, Tabs, Ttl, When, left } from "../parts/basics.js";
import { Editor } from "../parts/editor.js";
import { done } from "../parts/notices.js";
import { Tree } from "../parts/tree.js";

const FIRST = 64 * 1024; // octets that are shown of a large value
const WHOLE = 4 * 1024 * 1024; // octets that a page is fit to show
const HEX_SHOWN = 64 * 1024;
const TREE_SHOWN = 2 * 1024 * 1024;

export function Entry({ store, space, name, feed, onClose, onChanged }) {
  const [most, setMost] = useState(FIRST);
  const got = useAsk((signal) => getEntry(store, name, { space, maxBytes: most }, signal), [store, space, name, most]);
  const [dialog, setDialog] = useState(null);
  const [elsewhere, setElsewhere] = useState(null); // when somebody else changed it, and how
  const ours = useRef(new Set()); // etags that were written from here
  const value = useMemo(() => got.data && looked(got.data), [got.data]);
  const entry = got.data?.entry;
  const shown = useRef("");
  shown.current = entry?.etag;

  // What is told has no etag, and may be what this page has written itself: the store is asked which it is
  const note = async (told) => {
    const change = (told.changes ?? []).findLast((each) => each.entry?.key === name && each.kind !== "SNAPSHOT");
    if (!change) return;
    const now = change.kind === "SAVED" ? await getEntry(store, name, { space, maxBytes: 1 }).catch(() => null) : null;
    const etag = now?.entry?.etag;
    if (!etag || (etag !== shown.current && !ours.current.has(etag))) setElsewhere({ kind: change.kind, at: change.at });
  };
  const canWatch = useCan("Watch");
  useLive(canWatch && !feed && ["state", store, "watch"], { key: name, space: space === "application" ? "" : space.toUpperCase() }, note);
  const noting = useRef(note);
  noting.current = note;
  useEffect(() => feed?.watch((told) => noting.current(told)), [feed]);
  useEffect(() => setElsewhere(null), [got.data]);
  const mayEdit = canWrite() && value?.isWhole && !entry?.error;
  useKeys({
    e: () => mayEdit && setDialog("edit"),
    c: () => setDialog("copy"),
    r: () => (got.reload(), onChanged()),
  });
  const close = () => setDialog(null);
  const saved = (etag) => {
    ours.current.add(etag);
    close();
    got.reload();
    onChanged();
  };

  return html`<article class="entry">
    <header class="entry-head">
      <${Button} icon="left" label="Back to the keys (Esc)" onClick=${onClose} />
      <h2 class="entry-key mono" dir="auto">${visible(name)}</h2>
      <${Copy} text=${name} label="Copy the key" />
    </header>
    <${Problem} error=${got.error?.status === 404 ? null : got.error} />
    ${got.error?.status === 404 && html`<${Empty} icon="search" title="There is no such key"><p>It was deleted, has expired, or was never there.</p><//>`}
    ${elsewhere &&
    html`<div class="bar" role="status"><${Icon} of="alert" /><span>${elsewhere.kind === "SAVED" ? "Changed" : elsewhere.kind === "EXPIRED" ? "Expired" : "Deleted"} elsewhere <${When} at=${elsewhere.at} /></span>
      <${Button} onClick=${got.reload}>Show<//><${Button} onClick=${() => setElsewhere(null)}>Keep this<//></div>`}
    ${!got.data && got.isLoading && html`<${Lines} rows=${6} />`}
    ${got.data &&
    html`<dl class="facts">
        <div><dt>Size</dt><dd>${size(got.data.totalSize)}</dd></div>
        <div><dt>Etag</dt><dd class="mono cut" title=${entry.etag}>${entry.etag || "–"}</dd></div>
        <div data-expires=""><dt>Expires</dt><dd>${entry.expiresAt ? html`<${Ttl} at=${entry.expiresAt} />` : "never"}</dd></div>
        <div><dt>Kept as</dt><dd class="mono cut" title=${entry.storedKey}>${visible(entry.storedKey ?? name)}</dd></div>
      </dl>
      <div class="entry-actions">
        ${canWrite() && html`<${Button} icon="edit" disabled=${!mayEdit} onClick=${() => setDialog("edit")}>Edit<//>`}
        ${canWrite() && html`<${Button} icon="clock" onClick=${() => setDialog("ttl")}>Expiry<//>`}
        <${Button} icon="code" onClick=${() => setDialog("copy")}>Copy as<//>
        <${Button} icon="traffic" onClick=${() => go(["traffic"], { text: `${store}/${name}` })}>Calls<//>
        <${Button} icon="download" onClick=${() => save(store, name, space)}>Download<//>
        ${canWrite() && html`<${Button} icon="trash" tone="quiet-danger" onClick=${() => setDialog("delete")}>Delete<//>`}
      </div>
      ${entry.error ? html`<${Problem} error=${{ message: entry.error }} />` : html`<${Value} value=${value} entry=${entry} total=${Number(got.data.totalSize ?? 0)} busy=${got.isLoading} onMore=${() => setMost(WHOLE)} />`}`}
    ${dialog === "copy" && html`<${Dialog} title="Copy as" wide onClose=${close}><${Snippets} of=${reading(store, name)} /><//>`}
    ${dialog === "edit" && html`<${Editor} store=${store} space=${space} entry=${entry} bytes=${value.bytes} onClose=${close} onSaved=${(_, etag) => saved(etag)} />`}
    ${dialog === "ttl" && html`<${Expiry} store=${store} space=${space} entry=${entry} onClose=${close} onSaved=${() => saved(entry.etag)} />`}
    ${dialog === "delete" &&
    html`<${Confirm} title="Delete this key?" action="Delete" onClose=${close} act=${() => remove(store, space, entry, value, got.data, onChanged, onClose)}>
      <p>Only if it is still as you see it here. ${value.isWhole ? "It can be taken back for as long as this page is open." : "It is too large to be taken back."}</p>
      <p class="mono key-quote" dir="auto">${visible(name)}</p>
    <//>`}
  </article>`;
}

/** The octets, and what they are. */
function looked(got) {
  const bytes = octets(got.entry?.value);
  const isWhole = bytes.length >= Number(got.totalSize ?? bytes.length) && !got.entry?.valueTruncated;
  const text = isWhole ? asText(bytes) : asText(cut(bytes));
  let root = null;
  if (isWhole && text !== null && bytes.length <= TREE_SHOWN) {
    try {
      root = parse(text);
    } catch (error) {
      if (!(error instanceof NotJson)) throw error;
    }
  }
  return { bytes, isWhole, text, root };
}

/** Without a character that was cut in two at the end. */
function cut(bytes) {
  let end = bytes.length;
  while (end > 0 && end > bytes.length - 4 && (bytes[end - 1] & 0xc0) === 0x80) end -= 1;
  return bytes[end - 1] >= 0xc0 ? bytes.subarray(0, end - 1) : bytes;
}

function Value({ value, entry, total, busy, onMore }) {
  const views = [value.root && ["tree", "Tree"], value.text !== null && ["text", "Text"], ["hex", "Hex"]].filter(Boolean);
  const [wanted, setWanted] = useState(value.root?.children ? "tree" : "text");
  const view = views.some(([name]) => name === wanted) ? wanted : views[0][0];
  const [isPretty, setPretty] = useState(false);
  const shown = useMemo(() => (view === "text" && isPretty && value.root ? indented(value.text, value.root) : value.text), [view, isPretty, value]);
  return html`<div class="value">
    <div class="value-head">
      <${Tabs} of=${views} chosen=${view} onChoose=${setWanted} label="How the value is shown" />
      <span class="value-kind">
        ${entry.encrypted && html`<${Badge} icon="lock" title="Encrypted in the store, shown decrypted">encrypted<//>`}
        <${Badge}>${value.root ? "JSON" : value.text !== null ? "text" : "binary"}<//>
      </span>
      ${view === "text" && value.root?.children && html`<label class="check"><input type="checkbox" checked=${isPretty} onChange=${(event) => setPretty(event.target.checked)} /> Indented</label>`}
      ${value.text !== null && html`<${Copy} text=${() => value.text} label="Copy the value" />`}
    </div>
    ${!value.isWhole &&
    html`<div class="bar"><span>The first ${size(value.bytes.length)} of ${size(total)}. A part cannot be edited.</span>
      ${total <= WHOLE ? html`<${Button} busy=${busy} onClick=${onMore}>Show all<//>` : html`<span class="faint">Download it to see the rest.</span>`}</div>`}
    ${total === 0 && html`<p class="faint pad">The value is empty: zero octets.</p>`}
    ${view === "tree" && html`<${Tree} text=${value.text} root=${value.root} />`}
    ${view === "text" && total > 0 && html`<pre class="text" tabindex="0" aria-label="Value">${shown}</pre>`}
    ${view === "hex" && total > 0 && html`<${Hex} bytes=${value.bytes} />`}
  </div>`;
}

function Hex({ bytes }) {
  const rows = useMemo(() => hex(bytes.subarray(0, HEX_SHOWN)), [bytes]);
  return html`<pre class="text hex" tabindex="0" aria-label="Octets">${rows.map((row) => html`<span class="faint">${row.at}</span>  ${row.digits}  <span class="string">${row.shown}</span>${"\n"}`)}${bytes.length > HEX_SHOWN && html`<span class="faint">${count(bytes.length - HEX_SHOWN)} more octets: download them</span>`}</pre>`;
}

async function save(store, name, space) {
  const blob = await download(store, name, space);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  link.download = name.replace(/[^\w.-]+/g, "_").slice(0, 100) || "value";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function remove(store, space, entry, value, got, onChanged, onClose) {
  await deleteEntry(store, entry.key, { space, etag: entry.etag });
  const again = { key: entry.key, space, value: base64(value.bytes), onlyNew: true };
  if (value.isWhole) {
    const ends = entry.expiresAt && Date.parse(entry.expiresAt);
    const act = async () => {
      const answer = await saveEntry(store, ends ? { ...again, expireIn: left(ends) } : again);
      onChanged();
      return answer.entry?.etag ?? "";
    };
    done(`Deleted ${visible(entry.key)}`, { of: `${store}\n${space}\n${entry.key}`, etag: "", act });
  }
  onChanged();
  onClose();
}

const UNITS = [["1", "seconds"], ["60", "minutes"], ["3600", "hours"], ["86400", "days"]];

function Expiry({ store, space, entry, onClose, onSaved }) {
  const [amount, setAmount] = useState("1");
  const [unit, setUnit] = useState("3600");
  const [error, setError] = useState(null);
  const set = async (ttl) => {
    try {
      await touch(store, { key: entry.key, space, etag: entry.etag || undefined, ...ttl });
      onSaved();
    } catch (problem) {
      setError(problem);
    }
  };
  const seconds = Math.round(Number(amount) * Number(unit));
  const isRight = Number.isFinite(seconds) && seconds > 0;
  const submit = (event) => {
    event.preventDefault();
    if (isRight) set({ expireIn: `${seconds}s` });
  };
  return html`<${Dialog} title="When it expires" onClose=${onClose}>
    <form onSubmit=${submit}>
      <p>${entry.expiresAt ? html`Now: in <${Ttl} at=${entry.expiresAt} />.` : "Now: never."} Value and etag stay as they are.</p>
      <div class="inline">
        <label class="field"><span>From now</span><input class="input" type="number" min="1" step="any" value=${amount} autofocus onInput=${(event) => setAmount(event.target.value)} /></label>
        <label class="field"><span>Unit</span><select class="select" value=${unit} onChange=${(event) => setUnit(event.target.value)}>${UNITS.map(([value, shown]) => html`<option key=${value} value=${value}>${shown}</option>`)}</select></label>
      </div>
      <${Problem} error=${error} onClose=${() => setError(null)} />
      <div class="dialog-foot">
        ${entry.expiresAt && html`<${Button} onClick=${() => set({ persist: true })}>Never<//>`}
        <button type="submit" class="button primary" disabled=${!isRight}>Set</button>
      </div>
    </form>
  <//>`;
}
