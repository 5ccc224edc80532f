// The keys of a store: by prefix, in pages, as a list or by a delimiter; the one that is open stands beside them.
import { canWrite, countKeys, listKeys, wroteItself } from "../lib/api.js";
import { useAsk } from "../lib/ask.js";
import { count, plural, size, visible } from "../lib/format.js";
import { moveAmongRows, useKeys } from "../lib/keys.js";
import { useLive } from "../lib/live.js";
import { useCan } from "../lib/pulse.js";
import { go, to } from "../lib/router.js";
import { first } from "../lib/snippets.js";
import { cell, html, names, useEffect, useMemo, useRef, useState } from "../lib/ui.js";
import { Badge, Button, Empty, Head, Icon, Kbd, Lines, Pager, Problem, Snippets, Ttl } from "../parts/basics.js";
import { DeletePrefix } from "../parts/delete-prefix.js";
import { Editor } from "../parts/editor.js";
import { Search } from "../parts/search.js";
import { Entry } from "./entry.js";

const PAGE = 200;
const COLLECTED = 10_000; // keys that are sorted here, of a store that does not
const TOGETHER = 250; // milliseconds for which changes are gathered
const MANY = 1000;
const PATIENT = "10s"; // as much as the sidecar gives
const DELIMITERS = [["", "List"], ["||", "Tree ||"], [":", "Tree :"], ["/", "Tree /"], ["-", "Tree -"], [".", "Tree ."]];

export function StatePage({ store, stores, appId, query, openKey }) {
  const { prefix = "", space = "application", by = "", page = "" } = query;
  const here = (changes) => ({ prefix, space: space === "application" ? "" : space, by, page, ...changes });
  const show = (changes, options) => go(["state", store], here({ page: "", ...changes }), options);
  const asked = { prefix, space, delimiter: by, pageToken: page, pageSize: PAGE };
  const [sorted, setSorted] = useState(false);
  const list = useAsk((signal) => (sorted ? collected(store, asked, signal) : listKeys(store, asked, signal)), [store, prefix, space, by, page, sorted]);
  const [budget, setBudget] = useState(""); // of the count: short, unless somebody wants to know
  const total = useAsk((signal) => countKeys(store, { prefix, space, budget }, signal), [store, prefix, space, budget]);
  const [news, setNews] = useState(new Set());
  const [dialog, setDialog] = useState(null);
  const search = useRef(null);
  const feed = useMemo(() => cell(null), []); // one stream for the list and the key that is open
  const about = stores.find((each) => each.name === store);

  useEffect(() => setNews(new Set()), [list.data]);
  useEffect(() => setSorted(false), [store, prefix, space, by]);
  useEffect(() => setBudget(""), [store, prefix, space]);
  const come = useRef(new Set());
  useEffect(() => {
    const timer = setInterval(() => come.current.size && setNews((before) => merged(before, come.current)), TOGETHER);
    return () => clearInterval(timer);
  }, []);
  useLive(useCan("Watch") && ["state", store, "watch"], { prefix, space: space === "application" ? "" : space.toUpperCase() }, (told) => {
    feed.set(told);
    for (const { entry } of told.changes ?? []) if (entry && !wroteItself(store, entry.key)) come.current.add(entry.key);
  });
  const refresh = () => {
    list.reload();
    total.reload();
  };
  useKeys({
    "/": () => search.current?.focus(),
    n: () => canWrite() && setDialog("new"),
    r: refresh,
    Escape: (event) => {
      if (event.target === search.current) event.target.blur();
      else if (openKey !== undefined) close();
      else if (prefix) show({ prefix: "" });
      else return false;
    },
    j: () => moveAmongRows(1),
    k: () => moveAmongRows(-1),
    ArrowDown: () => moveAmongRows(1),
    ArrowUp: () => moveAmongRows(-1),
  });
  const close = () => {
    go(["state", store], here({}));
    const row = [...document.querySelectorAll("[data-row]")].find((each) => each.dataset.key === openKey);
    if (row?.offsetParent) row.focus();
    else requestAnimationFrame(() => row?.focus()); // it was hidden behind the value, where there is no room for both
  };

  const entries = list.data?.entries ?? [];
  const groups = list.data?.groups ?? [];
  const isEmpty = list.data && !entries.length && !groups.length && !page;
  return html`<div class=${names("explorer", openKey !== undefined && "has-open")}>
    <section class="explorer-list" aria-label="Keys" data-scrolls>
      <${Head} title=${store}>
        ${about && html`<span class="faint page-note">${about.type}</span>`}
        <${Button} icon="refresh" label="Refresh (r)" onClick=${refresh} />
        ${canWrite() && html`<${Button} icon="trash" label="Delete by prefix" onClick=${() => setDialog("prefix")} />`}
        ${canWrite() && html`<${Button} icon="plus" tone="primary" onClick=${() => setDialog("new")}>New key<//>`}
      <//>
      <div class="toolbar">
        <${Search} input=${search} value=${prefix} label="Keys that begin with" placeholder="Prefix" mono onChange=${(text) => show({ prefix: text }, { replace: true })} />
        <select class="select" aria-label="Which keys" value=${space} onChange=${(event) => show({ space: event.target.value === "application" ? "" : event.target.value, prefix: "" })}>
          <option value="application">Application</option>
          <option value="actors">Actors</option>
          <option value="store">Whole store</option>
        </select>
        <select class="select" aria-label="List or tree" value=${by} onChange=${(event) => show({ by: event.target.value })}>
          ${DELIMITERS.map(([value, shown]) => html`<option key=${value} value=${value}>${shown}</option>`)}
        </select>
      </div>
      ${by && prefix && html`<${Crumbs} prefix=${prefix} by=${by} show=${show} />`}
      <div class="list-head">
        <span class="tally" role="status">${tally(total.data, list)}</span>
        ${total.data && !total.data.complete && !budget && html`<button type="button" class="link" onClick=${() => setBudget(PATIENT)}>Count all</button>`}
        ${news.size > 0 && html`<button type="button" class="news" onClick=${refresh}>${news.size < MANY ? plural(news.size, "change") : `${count(MANY)} changes or more`}: show</button>`}
        ${list.data?.ordered === false && !isEmpty && html`<${Unsorted} list=${list.data} total=${total.data} sorted=${sorted} onSort=${() => setSorted(true)} />`}
        <span class="columns" aria-hidden="true"><span>Expires</span><span>Etag</span><span>Size</span></span>
      </div>
      <${Problem} error=${list.error} />
      ${!list.data && list.isLoading && html`<${Lines} rows=${10} />`}
      ${isEmpty && (prefix ? html`<${Nothing} prefix=${prefix} clear=${() => show({ prefix: "" })} />` : html`<${NoKeys} store=${store} appId=${appId} space=${space} />`)}
      ${list.data &&
      !isEmpty &&
      html`<ul class="rows">
        ${groups.map((group) => html`<li key=${`g${group.prefix}`}><${Group} group=${group} prefix=${prefix} href=${to(["state", store], here({ prefix: group.prefix, page: "" }))} /></li>`)}
        ${entries.map((entry) => html`<li key=${entry.key}><${Row} entry=${entry} prefix=${prefix} isOpen=${entry.key === openKey} href=${to(["state", store, "key", entry.key], here({}))} /></li>`)}
      </ul>`}
      <${Pager} page=${page} next=${list.data?.nextPageToken} goTo=${(token, options) => go(["state", store], here({ page: token }), options)}><span class="faint">Type more of a key to jump to it</span><//>
    </section>
    ${openKey !== undefined &&
    html`<section class="explorer-open" aria-label="Value">
      <${Entry} key=${`${store}\n${space}\n${openKey}`} store=${store} space=${space} name=${openKey} onClose=${close} feed=${openKey.startsWith(prefix) ? feed : null} onChanged=${refresh} />
    </section>`}
    ${openKey === undefined && html`<section class="explorer-open is-blank" aria-hidden="true"><div><${Icon} of="state" size=${28} /><p>Choose a key to see its value</p><p><${Kbd}>j<//> <${Kbd}>k<//> move, <${Kbd}>Enter<//> opens</p></div></section>`}
    ${dialog === "new" && html`<${Editor} store=${store} space=${space} prefix=${prefix} onClose=${() => setDialog(null)} onSaved=${(key) => (setDialog(null), refresh(), go(["state", store, "key", key], here({})))} />`}
    ${dialog === "prefix" && html`<${DeletePrefix} store=${store} space=${space} prefix=${prefix} onClose=${() => setDialog(null)} onDone=${refresh} />`}
  </div>`;
}

/** What has come since, taken out of where it was gathered; many are no more told one by one. */
function merged(before, come) {
  const all = new Set(before);
  for (const key of come) if (all.size < MANY) all.add(key);
  come.clear();
  return all;
}

/** The pages of a store without an order, together and sorted. */
async function collected(store, asked, signal) {
  const found = new Map();
  const groups = new Map();
  let token = "";
  do {
    const page = await listKeys(store, { ...asked, pageSize: 1000, pageToken: token }, signal);
    for (const entry of page.entries ?? []) found.set(entry.key, entry);
    for (const group of page.groups ?? []) groups.set(group.prefix, group);
    token = page.nextPageToken;
  } while (token && found.size < COLLECTED);
  const by = (name) => (a, b) => (a[name] < b[name] ? -1 : 1);
  return { entries: [...found.values()].sort(by("key")), groups: [...groups.values()].sort(by("prefix")), ordered: false, isWhole: !token };
}

function tally(total, list) {
  if (!total) return list.isLoading ? "…" : "";
  const number = Number(total.count ?? 0);
  if (total.estimated) return `about ${plural(number, "key")}`;
  return total.complete === false ? `at least ${plural(number, "key")}` : plural(number, "key");
}

function Unsorted({ list, total, sorted, onSort }) {
  if (sorted) return html`<${Badge}>${list.isWhole ? "sorted here" : `the first ${count(COLLECTED)}, sorted here`}<//>`;
  const share = total?.count > 0 && list.scanned ? ` · looked at ${Math.min(100, Math.round((100 * list.scanned) / total.count))} %` : "";
  return html`<span class="faint">in the store's own order${share}</span><button type="button" class="link" onClick=${onSort}>Sort</button>`;
}

function Crumbs({ prefix, by, show }) {
  const parts = prefix.split(by).filter((part, at, all) => part || at < all.length - 1);
  return html`<nav class="crumbs" aria-label="Path">
    <button type="button" class="link" onClick=${() => show({ prefix: "" })}>All keys</button>
    ${parts.map((part, at) => html`<span class="faint">${by}</span><button type="button" class="link mono" key=${at} onClick=${() => show({ prefix: parts.slice(0, at + 1).join(by) + by })}>${visible(part)}</button>`)}
  </nav>`;
}

/** What was searched for is dimmed: the rest tells keys apart. */
const Key = ({ text, prefix }) =>
  html`<span class="key" dir="auto">${prefix && text.startsWith(prefix) ? html`<span class="faint">${visible(prefix)}</span>${visible(text.slice(prefix.length))}` : visible(text)}</span>`;

const Row = ({ entry, prefix, isOpen, href }) =>
  html`<a class=${names("row", isOpen && "is-open")} data-row data-key=${entry.key} data-expires=${entry.expiresAt ? "" : undefined} href=${href} aria-current=${isOpen ? "true" : undefined}>
    <${Key} text=${entry.key} prefix=${prefix} />
    ${entry.error && html`<${Badge} tone="bad" icon="alert" title=${entry.error}>unreadable<//>`}
    ${entry.encrypted && html`<span class="faint" title="Encrypted in the store"><${Icon} of="lock" size=${12} /><span class="unseen">encrypted</span></span>`}
    <${Ttl} at=${entry.expiresAt} />
    <span class="etag mono faint" title=${entry.etag && `Etag ${entry.etag}`}>${(entry.etag ?? "").slice(-8)}</span>
    <span class="size">${entry.size === undefined ? "" : size(entry.size)}</span>
  </a>`;

const Group = ({ group, prefix, href }) =>
  html`<a class="row group" data-row href=${href}><${Icon} of="folder" size=${14} /><${Key} text=${group.prefix} prefix=${prefix} /><span class="size">${plural(group.count, "key")}${group.atLeast ? " or more" : ""}</span><${Icon} of="right" size=${14} /></a>`;

const Nothing = ({ prefix, clear }) =>
  html`<${Empty} icon="search" title="No key begins like this"><p>Nothing here begins with <code>${visible(prefix)}</code>. Prefixes are exact: capitals count, and so do blanks.</p><${Button} onClick=${clear}>Show all keys<//><//>`;

function NoKeys({ store, appId, space }) {
  const calls = useMemo(() => first(store, appId), [store, appId]);
  if (space === "actors") return html`<${Empty} icon="actors" title="No actor has any state"><p>What actors keep is listed here as <code>type||id||key</code>.</p><//>`;
  return html`<${Empty} icon="state" title="Nothing is kept here yet"><p>Save something, and it appears. These are this sidecar's own address and store:</p><${Snippets} of=${calls} /><//>`;
}
