// The first page: is it well, what does it keep, who does it serve, and how much.
import { canWrite, reloadApp } from "../lib/api.js";
import { absolute, count, plural, size, span } from "../lib/format.js";
import { rates } from "../lib/pulse.js";
import { to } from "../lib/router.js";
import { html, useCell } from "../lib/ui.js";
import { Badge, Button, Dot, Head, Icon, Lines, Problem, When, now } from "../parts/basics.js";
import { complain, say } from "../parts/notices.js";

export function OverviewPage({ told, error }) {
  if (!told) return html`<${Head} title="Overview" /><${Problem} error=${error} />${!error && html`<${Lines} rows=${8} />`}`;
  const stores = told.stores ?? [];
  return html`
    <${Head} title=${told.appId}>
      <${Health} ready=${told.ready} why=${told.notReady ?? []} />
    <//>
    <section class="figures" aria-label="Figures">
      <${Figure} name="Up" title=${absolute(told.startedAt)} value=${span(now() - Date.parse(told.startedAt))} />
      <${Figure} name="Calls" value=${count(told.calls)} note=${Number(told.failedCalls) ? `${count(told.failedCalls)} failed` : "none failed"} tone=${Number(told.failedCalls) ? "warn" : ""} />
      <${Figure} name="Memory" value=${size(told.residentBytes)} />
      <${Figure} name="Processor" value=${span((told.cpuSeconds ?? 0) * 1000)} note="since the start" />
    </section>
    <${Rate} />
    <section class="panel" aria-label="Stores">
      <div class="panel-head"><h2>Stores</h2><span class="faint">${plural(stores.length, "store")}</span></div>
      <div class="cards">${stores.map((store) => html`<${Store} key=${store.name} store=${store} />`)}</div>
    </section>
    <${Application} app=${told.app} />
    ${(told.sidecars ?? []).length > 0 && html`<${Others} sidecars=${told.sidecars} />`}
  `;
}

export const Health = ({ ready, why }) =>
  ready ? html`<${Badge} tone="good" icon="check">ready<//>` : html`<${Badge} tone="warn" icon="alert" title=${why.join(", ")}>not ready${why.length ? `: ${why.join(", ")}` : ""}<//>`;

const Figure = ({ name, value, note, tone, title }) =>
  html`<div class="figure" title=${title}><div class="figure-name">${name}</div><div class="figure-value">${value}</div><div class=${`figure-note ${tone ?? ""}`}>${note ?? "\u00a0"}</div></div>`;

const WIDE = 600;
const HIGH = 96;
const SHORTEST = 60_000; // milliseconds that the line is of at least, and at most
const LONGEST = 5 * 60_000;

/** Calls a second, of five minutes. */
function Rate() {
  const seen = useCell(rates);
  const end = seen.at(-1)?.at ?? Date.now();
  const shownSpan = Math.min(LONGEST, Math.max(SHORTEST, end - (seen[0]?.at ?? end)));
  const most = Math.max(1, ...seen.map((each) => each.calls));
  const x = (at) => (WIDE * (1 - (end - at) / shownSpan)).toFixed(1);
  const y = (value) => (HIGH - 4 - (HIGH - 12) * (value / most)).toFixed(1);
  const line = (of) => seen.map((each, at) => `${at ? "L" : "M"}${x(each.at)} ${y(each[of])}`).join("");
  const last = seen.at(-1);
  const shown = (value) => (value >= 100 ? count(Math.round(value)) : value.toFixed(1));
  return html`<section class="panel" aria-label="Calls a second">
    <div class="panel-head"><h2>Calls a second</h2><span class="faint">${last ? `${shown(last.calls)} now · ${shown(most)} at most · the last ${span(shownSpan)}` : "looking …"}</span></div>
    <svg class="chart" viewBox="0 0 ${WIDE} ${HIGH}" preserveAspectRatio="none" role="img" aria-label=${last ? `${shown(last.calls)} calls a second now, at most ${shown(most)}` : "no calls seen yet"}>
      <path class="grid" d="M0 ${HIGH - 4}H${WIDE}M0 ${HIGH / 2}H${WIDE}" />
      ${seen.length > 1 && html`<path class="area" d="${line("calls")}L${x(end)} ${HIGH - 4}L${x(seen[0].at)} ${HIGH - 4}Z" /><path class="calls" d=${line("calls")} /><path class="failed" d=${line("failed")} />`}
    </svg>
  </section>`;
}

export const Store = ({ store }) =>
  html`<a class="card" href=${to(["state", store.name])} data-row>
    <div class="card-head"><${Dot} tone=${store.healthy ? "good" : "bad"} /><strong>${store.name}</strong><span class="faint">${store.type}</span></div>
    <div class="card-facts">
      <span>${store.healthy ? "healthy" : "failing"}</span>
      ${store.actorStore && html`<span>keeps actors</span>`}
      ${store.encrypted && html`<span><${Icon} of="lock" size=${12} /> encrypted</span>`}
      ${store.p99Ms > 0 && html`<span title="Half and 99 of 100 calls of the last minute were done within">${ms(store.p50Ms)} / ${ms(store.p99Ms)}</span>`}
      ${Number(store.errors) > 0 && html`<span class="warn">${plural(store.errors, "error")}</span>`}
    </div>
    ${store.lastError && html`<p class="card-error"><${When} at=${store.lastErrorAt} />: ${store.lastError}</p>`}
  </a>`;

export const ms = (value) => `${value < 10 ? Number(value ?? 0).toFixed(1) : Math.round(value)} ms`;

function Application({ app }) {
  const reload = async () => {
    try {
      const { actorTypes = [] } = await reloadApp();
      say(actorTypes.length ? `It hosts ${actorTypes.join(", ")}` : "It hosts no actors");
    } catch (error) {
      complain(error);
    }
  };
  return html`<section class="panel" aria-label="Application">
    <div class="panel-head"><h2>Application</h2>${app?.port && canWrite() ? html`<${Button} icon="refresh" onClick=${reload}>Ask it again<//>` : null}</div>
    ${app?.port
      ? html`<dl class="facts">
          <div><dt>Port</dt><dd>${app.port}, ${app.protocol}</dd></div>
          <div><dt>State</dt><dd>${app.healthy ? html`<${Badge} tone="good" icon="check">healthy<//>` : html`<${Badge} tone="warn" icon="alert">${app.discovered ? "not well" : "not answering yet"}<//>`}</dd></div>
          <div><dt>Since</dt><dd><${When} at=${app.since} /></dd></div>
          <div><dt>Actor types</dt><dd>${(app.actorTypes ?? []).map((type, at) => html`${at > 0 && ", "}<a key=${type} href=${to(["actors", type])}>${type}</a>`)}${!app.actorTypes?.length && "none"}</dd></div>
        </dl>`
      : html`<p class="faint">None: start the sidecar with <code>--app-port</code>, or with <code>dapr-state run --app-port 8000 -- command</code>, to host actors.</p>`}
  </section>`;
}

const Others = ({ sidecars }) =>
  html`<section class="panel" aria-label="Other sidecars">
    <div class="panel-head"><h2>Other sidecars of yours</h2></div>
    <ul class="plain">${sidecars.map((each) => html`<li key=${each.pid}><a href=${`${location.protocol}//${location.hostname}:${each.httpPort}/dapr-state/`} rel="noreferrer">${each.appId}</a> <span class="faint">port ${each.httpPort}, process ${each.pid}</span></li>`)}</ul>
  </section>`;
