// The small parts of every page: icons, badges, times, empty places, problems, dialogs.
import { skew } from "../lib/api.js";
import { absolute, ago, span } from "../lib/format.js";
import { html, names, useEffect, useLayoutEffect, useRef, useState } from "../lib/ui.js";

const ICONS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  state: "M5 6c0-1.700 3.100-3 7-3s7 1.300 7 3-3.100 3-7 3-7-1.300-7-3zm0 0v12c0 1.700 3.100 3 7 3s7-1.300 7-3V6M5 12c0 1.700 3.100 3 7 3s7-1.300 7-3",
  actors: "M12 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM5 22a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm14 0a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM10.500 7.500 6.400 16M13.500 7.500l4.100 8.500",
  reminders: "M12 21a8 8 0 1 0 0-16 8 8 0 0 0 0 16zm0-12v4l2.500 1.500M5 3 2.500 5.500M19 3l2.500 2.500",
  traffic: "M3 12h4l3-8 4 16 3-8h4",
  health: "M12 20s-7.500-4.600-8.900-9.200C2.100 7.400 4.300 4.500 7.300 4.500c1.900 0 3.600 1 4.700 2.600 1.100-1.600 2.800-2.600 4.700-2.600 3 0 5.200 2.900 4.200 6.300C19.500 15.400 12 20 12 20z",
  configuration: "M4 7h9m4 0h3M4 17h3m4 0h9M15 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM9 19.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zm9 2-4-4",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  code: "m8 7-5 5 5 5m8-10 5 5-5 5",
  lock: "M6 11h12v9H6zm2.500 0V8a3.500 3.500 0 0 1 7 0v3",
  plus: "M12 5v14M5 12h14",
  edit: "m4 20 1-4L16 5l3 3L8 19zM14 7l3 3",
  trash: "M4 7h16M9 7V4h6v3m-8.500 0 1 13h9l1-13",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zm0-14v5l3 2",
  download: "M12 4v11m-4.500-4 4.500 4.500 4.500-4.500M4 20h16",
  refresh: "M20 11a8 8 0 1 0-2 6M20 5v6h-6",
  undo: "M4 9h10a6 6 0 0 1 0 12H9M8 5 4 9l4 4",
  folder: "M3 6h6l2 2.500h10V19H3z",
  right: "m9 6 6 6-6 6",
  left: "m15 6-6 6 6 6",
  down: "m6 9 6 6 6-6",
  close: "M6 6l12 12M18 6 6 18",
  check: "m4 12.500 5 5L20 6.500",
  alert: "M12 4 2.500 20h19zM12 10v4.500m0 2.500v.2",
  play: "M8 5v14l11-7z",
  pause: "M9 5v14m6-14v14",
  theme: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zm0-18v18",
  sun: "M12 16.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM12 2v2m0 16v2M2 12h2m16 0h2M4.900 4.900l1.400 1.400m11.400 11.400 1.400 1.400m0-14.200-1.400 1.400M6.300 17.700l-1.400 1.400",
  moon: "M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z",
};

export const Icon = ({ of, size = 16 }) => html`<svg class="icon" viewBox="0 0 24 24" width=${size} height=${size} aria-hidden="true"><path d=${ICONS[of]} /></svg>`;

/** A state in words and colour: never by colour alone. */
export const Badge = ({ tone = "", icon, title, children }) =>
  html`<span class=${names("badge", tone)} title=${title}>${icon && html`<${Icon} of=${icon} size=${12} />`}${children}</span>`;

export const Dot = ({ tone }) => html`<span class=${names("dot", tone)} aria-hidden="true"></span>`;

export const Kbd = ({ children }) => html`<kbd>${children}</kbd>`;

export function Button({ icon, tone, children, label, busy, ...rest }) {
  return html`<button type="button" class=${names("button", tone, !children && "bare")} aria-label=${label} title=${label} aria-busy=${busy || undefined} disabled=${busy || rest.disabled} ...${rest}>
    ${icon && html`<${Icon} of=${icon} />`}${children && html`<span>${children}</span>`}
  </button>`;
}

/** Browsers have a clipboard for pages on loopback or behind TLS only; for the others there is the older way. */
async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = document.createElement("textarea");
  const parent = document.querySelector("dialog[open]") ?? document.body;
  field.value = text;
  parent.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  return isDone;
}

/** Copies a text; says so, to those who look and to those who listen. */
export function Copy({ text, label = "Copy", small = true }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    setDone(await copied(typeof text === "function" ? text() : text));
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class=${names("copy", small && "small")} aria-label=${label} title=${label} onClick=${copy}>
    <${Icon} of=${done ? "check" : "copy"} size=${14} /><span class="unseen" role="status">${done ? "Copied" : ""}</span>
  </button>`;
}

export const Problem = ({ error, onClose }) =>
  error &&
  html`<div class="problem" role="alert">
    <${Icon} of="alert" />
    <div class="problem-text"><p>${error.message}</p>${error.code && html`<code>${error.code}</code>`}</div>
    ${onClose && html`<${Button} icon="close" label="Dismiss" onClick=${onClose} />`}
  </div>`;

export const Empty = ({ icon, title, children }) =>
  html`<div class="empty">
    ${icon && html`<div class="empty-icon"><${Icon} of=${icon} size=${24} /></div>`}
    <h2>${title}</h2>
    ${children}
  </div>`;

export const Lines = ({ rows = 6 }) =>
  html`<div class="lines" role="status"><span class="unseen">Loading</span>${Array.from({ length: rows }, (_, at) => html`<div class="line" key=${at}></div>`)}</div>`;

// Times: one timer for all of them, and only those in view turn

const clocks = new Map();
const inView = new IntersectionObserver((entries) => {
  for (const entry of entries) if (clocks.has(entry.target)) clocks.get(entry.target).isSeen = entry.isIntersecting;
});

/** The sidecar's time: browsers' clocks differ. */
export const now = () => Date.now() + skew.get();

/** What is left until then, as the API writes durations. */
export const left = (ends) => `${Math.max(1, Math.round((ends - now()) / 1000))}s`;

function turn() {
  const at = now();
  for (const clock of clocks.values()) if (clock.isSeen) clock.draw(at);
}
setInterval(() => document.hidden || turn(), 1000);
skew.watch(turn);

function useClock(draw, deps) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const node = element.current;
    const drawn = (at) => draw(node, at);
    drawn(now());
    clocks.set(node, { draw: drawn, isSeen: true });
    inView.observe(node);
    return () => {
      inView.unobserve(node);
      clocks.delete(node);
    };
  }, deps);
  return element;
}

/** "3 min ago", and the whole of it for whoever hovers. */
export const When = ({ at }) => (at ? html`<${Ago} at=${at} />` : html`<span class="faint">–</span>`);

function Ago({ at }) {
  const time = Date.parse(at);
  const element = useClock((node, current) => {
    node.textContent = ago(time, current);
  }, [at]);
  return html`<time ref=${element} datetime=${at} title=${absolute(at)}></time>`;
}

/** What is left of a key's time: bold under a minute, struck when there is none. */
export const Ttl = ({ at }) => (at ? html`<${Left} at=${at} />` : html`<span class="ttl none"></span>`);

function Left({ at }) {
  const ends = Date.parse(at);
  const element = useClock((node, current) => {
    const rest = ends - current;
    node.textContent = rest > 0 ? span(Math.ceil(rest / 1000) * 1000) : "expired";
    node.className = names("ttl", rest < 60_000 && "soon", rest <= 0 && "gone");
    node.closest("[data-expires]")?.classList.toggle("is-gone", rest <= 0);
  }, [at]);
  return html`<time ref=${element} class="ttl" datetime=${at} title=${`Expires ${absolute(at)}`}></time>`;
}

/** A few views of one thing; the arrows go between them. */
export function Tabs({ of, chosen, onChoose, label }) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = of.findIndex(([name]) => name === chosen);
    const next = (at + step + of.length) % of.length;
    onChoose(of[next][0]);
    event.currentTarget.children[next].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${of.map(
      ([name, shown]) => html`<button key=${name} type="button" role="tab" aria-selected=${String(name === chosen)} tabindex=${name === chosen ? 0 : -1} onClick=${() => onChoose(name)}>${shown}</button>`,
    )}
  </div>`;
}

/** Code in several languages, one of them shown, with its copy. */
export function Snippets({ of, label = "Language" }) {
  const [chosen, setChosen] = useState(of[0][0]);
  const [, code] = of.find(([name]) => name === chosen) ?? of[0];
  return html`<div class="snippets">
    <div class="snippets-head"><${Tabs} of=${of.map(([name]) => [name, name])} chosen=${chosen} onChoose=${setChosen} label=${label} /><${Copy} text=${code} label="Copy code" /></div>
    <pre class="code" tabindex="0" aria-label=${`${chosen} code`}>${code}</pre>
  </div>`;
}

/** The browser's own dialog: it keeps the focus, and gives it back. */
export function Dialog({ title, onClose, wide, children }) {
  const element = useRef(null);
  useEffect(() => {
    const node = element.current;
    const before = document.activeElement;
    node.showModal();
    return () => {
      node.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  const outside = (event) => event.target === element.current && onClose();
  return html`<dialog ref=${element} class=${names("dialog", wide && "wide")} aria-label=${title} onCancel=${(event) => (event.preventDefault(), onClose())} onMouseDown=${outside}>
    <div class="dialog-head"><h2>${title}</h2><${Button} icon="close" label="Close" onClick=${onClose} /></div>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, act, action, tone = "danger", onClose, children }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const go = async () => {
    setBusy(true);
    try {
      await act();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}
    <${Problem} error=${error} onClose=${() => setError(null)} />
    <div class="dialog-foot"><${Button} onClick=${onClose}>Cancel<//><${Button} tone=${tone} busy=${busy} onClick=${go}>${action}<//></div>
  <//>`;
}

/** Pages that follow each other; the first is where somebody comes back to who was given the address of a later one. */
export function Pager({ page, next, goTo, children }) {
  if (!page && !next) return null;
  const back = () => (history.state?.isNext ? history.back() : goTo(""));
  const on = () => {
    goTo(next, { state: { isNext: true } });
    document.querySelector("[data-scrolls], main")?.scrollTo(0, 0);
  };
  return html`<nav class="pager" aria-label="Pages"><${Button} icon="left" disabled=${!page} onClick=${back}>Previous<//>${children}<${Button} disabled=${!next} onClick=${on}>Next <${Icon} of="right" /><//></nav>`;
}

export const Head = ({ title, crumbs, children }) =>
  html`<header class="page-head">
    <div class="page-title">${crumbs && html`<nav class="crumbs" aria-label="Path">${crumbs}</nav>`}<h1>${title}</h1></div>
    <div class="page-actions">${children}</div>
  </header>`;
