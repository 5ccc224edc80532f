// The page: what stands around every part of it, and which part the address asks for.
import { about, canWrite, giveToken, loadAbout, lost, lostSince, returns, token, tokenWanted } from "./lib/api.js";
import { useAsk } from "./lib/ask.js";
import { SHORTCUTS, useKeys } from "./lib/keys.js";
import { look } from "./lib/pulse.js";
import { go, to, useRoute } from "./lib/router.js";
import { apply, next, theme } from "./lib/theme.js";
import { html, names, render, useCell, useEffect, useRef, useState } from "./lib/ui.js";
import { ActorList, ActorPage, ActorTypes } from "./pages/actors.js";
import { OverviewPage } from "./pages/overview.js";
import { RemindersPage } from "./pages/reminders.js";
import { ConfigurationPage, HealthPage } from "./pages/sidecar.js";
import { StatePage } from "./pages/state.js";
import { TrafficPage } from "./pages/traffic.js";
import { Badge, Button, Dialog, Empty, Head, Icon, Kbd, Lines, Problem, When } from "./parts/basics.js";
import { Notices } from "./parts/notices.js";
import { Palette } from "./parts/palette.js";

const OFTEN = 3000; // milliseconds between two looks at how the sidecar is
const PAGES = [
  ["", "Overview", "overview"],
  ["state", "State", "state"],
  ["actors", "Actors", "actors"],
  ["reminders", "Reminders", "reminders"],
  ["traffic", "Traffic", "traffic"],
  ["health", "Health", "health"],
  ["configuration", "Configuration", "configuration"],
];
const THEMES = { system: ["theme", "Colours as the system has them"], light: ["sun", "Light colours"], dark: ["moon", "Dark colours"] };

function App() {
  const { path, query } = useRoute();
  useCell(about);
  const pulse = useAsk(look, [], { every: OFTEN });
  const [dialog, setDialog] = useState(null);
  const told = pulse.data;
  const stores = told?.stores ?? [];
  const close = () => setDialog(null);
  useKeys({ "Ctrl+K": () => setDialog("palette"), "?": () => setDialog("help"), t: next });
  useEffect(() => {
    document.title = [title(path), told?.appId, "dapr-state"].filter(Boolean).join(" · ");
  }, [path.join("/"), told?.appId]);
  const main = useRef(null);
  const places = [
    ...PAGES.map(([part, name, icon]) => ({ icon, name, act: () => go(part ? [part] : []) })),
    { icon: "theme", name: "Change the colours", key: "t", act: next },
    { icon: "refresh", name: "Refresh", key: "r", act: () => returns.set(returns.get() + 1) },
    { icon: "code", name: "Keyboard shortcuts", key: "?", act: () => setDialog("help") },
  ];
  return html`<div class="shell">
    <button type="button" class="skip" onClick=${() => main.current.focus()}>Skip to the content</button>
    <${Side} path=${path} told=${told} stores=${stores} onPalette=${() => setDialog("palette")} onHelp=${() => setDialog("help")} />
    <div class="stage">
      <${Lost} />
      ${told?.testMode && html`<div class="bar warn top"><${Icon} of="clock" /><span>Test mode: this sidecar's time may be moved, and faults put in.</span></div>`}
      <main ref=${main} tabindex="-1" class=${names(path[0] === "state" && "is-wide")}>
        <${Page} path=${path} query=${query} told=${told} stores=${stores} error=${pulse.error} />
      </main>
    </div>
    <${Notices} />
    <${TokenWanted} />
    ${dialog === "palette" && html`<${Palette} places=${places} stores=${stores.map((store) => store.name)} types=${told?.app?.actorTypes ?? []} onClose=${close} />`}
    ${dialog === "help" && html`<${Dialog} title="Keyboard" onClose=${close}><dl class="shortcuts">${SHORTCUTS.map(([keys, what]) => html`<div key=${keys}><dt>${keys.split("  ").map((key) => html`<${Kbd}>${key}<//> `)}</dt><dd>${what}</dd></div>`)}</dl><//>`}
  </div>`;
}

function title(path) {
  if (path[0] === "state") return path[3] ?? path[1] ?? "State";
  if (path[0] === "actors") return path[2] ?? path[1] ?? "Actors";
  return PAGES.find(([part]) => part === (path[0] ?? ""))?.[1];
}

// What a page asks for first; a sidecar that does not answer it says so in its overview.
const ASKS = { actors: "ListTypes", reminders: "ListReminders", traffic: "Traffic", configuration: "GetConfiguration" };

function Page({ path, query, told, stores, error }) {
  const [page, first, second, third] = path;
  if (ASKS[page] && !(told?.capabilities ?? []).includes(ASKS[page])) return html`<${NotAnswered} path=${path} told=${told} error=${error} />`;
  switch (page) {
    case undefined:
      return html`<${OverviewPage} told=${told} error=${error} />`;
    case "state":
      if (first === undefined) return html`<${Stores} stores=${stores} told=${told} />`;
      return html`<${StatePage} key=${first} store=${first} stores=${stores} appId=${told?.appId ?? ""} query=${query} openKey=${second === "key" ? third ?? "" : undefined} />`;
    case "actors":
      if (second !== undefined) return html`<${ActorPage} key=${path.join("\n")} type=${first} id=${second} actorStore=${stores.find((store) => store.actorStore)?.name} />`;
      return first === undefined ? html`<${ActorTypes} app=${told?.app} />` : html`<${ActorList} key=${first} type=${first} query=${query} />`;
    case "reminders":
      return html`<${RemindersPage} query=${query} />`;
    case "traffic":
      return html`<${TrafficPage} query=${query} stores=${stores} />`;
    case "health":
      return html`<${HealthPage} told=${told} error=${error} />`;
    case "configuration":
      return html`<${ConfigurationPage} />`;
    default:
      return html`<${Head} title="Not here" /><${Empty} icon="search" title="There is no such page"><p><a href=${to([])}>Overview</a></p><//>`;
  }
}

const NotAnswered = ({ path, told, error }) => html`<${Head} title=${title(path.slice(0, 1))} /><${Problem} error=${error} />
  ${told ? html`<${Empty} icon=${path[0]} title="Not of this sidecar"><p>It does not tell of its ${path[0]}.</p><//>` : !error && html`<${Lines} />`}`;

/** One store is opened at once; of several one is chosen. */
function Stores({ stores, told }) {
  useEffect(() => {
    if (stores.length) go(["state", stores[0].name], {}, { replace: true });
  }, [stores.length]);
  return html`<${Head} title="State" />${told ? html`<${Empty} icon="state" title="There is no store"><p>A component file with a <code>state.</code> type makes one.</p><//>` : html`<${Lines} />`}`;
}

function Side({ path, told, stores, onPalette, onHelp }) {
  const chosen = useCell(theme);
  const here = path[0] ?? "";
  const nav = useRef(null);
  useEffect(() => nav.current.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" }), [here]);
  const [icon, label] = THEMES[chosen];
  return html`<aside class="side">
    <div class="brand"><a href=${to([])} aria-label="dapr-state, overview"><img src="icon.svg" alt="" width="24" height="24" /><span>dapr-state</span></a></div>
    <button type="button" class="finder" onClick=${onPalette}><${Icon} of="search" /><span>Go to …</span><${Kbd}>Ctrl K<//></button>
    <nav ref=${nav} aria-label="Pages">
      <ul>
        ${PAGES.map(
          ([part, name, of]) => html`<li key=${part}>
            <a href=${to(part ? [part] : [])} class=${names(here === part && "is-here")} aria-current=${here === part ? "page" : undefined}><${Icon} of=${of} /><span>${name}</span></a>
            ${part === "state" && stores.length > 1 && html`<ul class="sub">${stores.map((store) => html`<li key=${store.name}><a href=${to(["state", store.name])} class=${names(here === "state" && path[1] === store.name && "is-here")}>${store.name}</a></li>`)}</ul>`}
          </li>`,
        )}
      </ul>
    </nav>
    <div class="side-foot">
      <div class="side-app"><strong title=${told?.appId}>${told?.appId ?? "\u00a0"}</strong><span class="faint">${about.get()?.version ?? ""}</span></div>
      <div class="side-acts"><${Badge} tone=${canWrite() ? "warn" : ""} title=${canWrite() ? "This page may change what is stored" : "This page only looks; start with --console write to change things"}>${canWrite() ? "write" : "read only"}<//>
        <${Button} icon=${icon} label=${label} onClick=${next} /><button type="button" class="button bare" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick=${onHelp}>?</button></div>
    </div>
  </aside>`;
}

/** One bar, with the time since; what was there stays. */
function Lost() {
  const since = useCell(lostSince);
  return html`<div role="status" aria-live="polite">${since !== null && html`<div class="bar bad top"><${Icon} of="alert" /><span>The sidecar does not answer, since <${When} at=${new Date(since).toISOString()} />. What you see is from before; it comes back by itself.</span></div>`}</div>`;
}

function TokenWanted() {
  const isWanted = useCell(tokenWanted);
  const [text, setText] = useState("");
  const [remember, setRemember] = useState(false);
  if (!isWanted) return null;
  const submit = (event) => {
    event.preventDefault();
    giveToken(text, { remember });
  };
  return html`<${Dialog} title="API token" onClose=${() => tokenWanted.set(false)}>
    <form onSubmit=${submit}>
      <p>${token.get() ? "This sidecar does not take that token." : "This sidecar wants a token: the value of its"} ${!token.get() && html`<code>DAPR_API_TOKEN</code>.`}</p>
      <label class="field"><span>Token</span><input class="input mono" type="password" autofocus autocomplete="off" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
      <label class="check"><input type="checkbox" checked=${remember} onChange=${(event) => setRemember(event.target.checked)} /> Remember it in this tab</label>
      <div class="dialog-foot"><button type="submit" class="button primary" disabled=${!text}>Use it</button></div>
    </form>
  <//>`;
}

apply();
try {
  await loadAbout();
} catch {
  lost();
}
render(html`<${App} />`, document.getElementById("app"));
