// How the sidecar is, and how it is set up: probes, components, features, flags.
import { about, configuration, returns } from "../lib/api.js";
import { useAsk } from "../lib/ask.js";
import { useKeys } from "../lib/keys.js";
import { html, useCell } from "../lib/ui.js";
import { Badge, Empty, Head, Lines, Problem, When } from "../parts/basics.js";
import { Health, ms } from "./overview.js";

const OFTEN = 5000;
const PROBES = [["Ready", "v1.0/healthz", "The sidecar and its application"], ["Outbound", "v1.0/healthz/outbound", "The sidecar by itself"]];

export function HealthPage({ told, error }) {
  const isNear = about.get()?.sharesPort;
  const probes = useAsk((signal) => Promise.all((isNear ? PROBES : []).map(([, path]) => fetch(new URL(`/${path}`, location), { signal, cache: "no-store" }).then((answer) => answer.status))), [isNear], { every: OFTEN });
  useKeys({ r: probes.reload });
  return html`
    <${Head} title="Health">${told && html`<${Health} ready=${told.ready} why=${told.notReady ?? []} />`}<//>
    <${Problem} error=${error} />
    ${!told && !error && html`<${Lines} />`}
    ${isNear && html`<section class="panel" aria-label="Probes"><div class="panel-head"><h2>Probes</h2></div><div class="scroll"><table class="table"><thead><tr><th scope="col">Probe</th><th scope="col">Path</th><th scope="col">Answer</th></tr></thead>
      <tbody>${PROBES.map(([name, path, what], at) => html`<tr key=${path}><th scope="row">${name} <span class="faint">${what}</span></th><td class="mono">/${path}</td><td>${probes.data ? html`<${Badge} tone=${probes.data[at] < 300 ? "good" : "bad"} icon=${probes.data[at] < 300 ? "check" : "alert"}>${probes.data[at]}<//>` : "…"}</td></tr>`)}</tbody></table></div></section>`}
    ${told && html`<section class="panel" aria-label="Stores"><div class="panel-head"><h2>Stores</h2></div><div class="scroll"><table class="table"><thead><tr><th scope="col">Store</th><th scope="col">State</th><th scope="col" class="number">Half within</th><th scope="col" class="number">99 % within</th><th scope="col" class="number">Errors</th><th scope="col">Last error</th></tr></thead>
      <tbody>${(told.stores ?? []).map((store) => html`<tr key=${store.name}><th scope="row">${store.name} <span class="faint">${store.type}</span></th><td>${store.healthy ? html`<${Badge} tone="good" icon="check">healthy<//>` : html`<${Badge} tone="bad" icon="alert">failing<//>`}</td><td class="number">${store.p50Ms ? ms(store.p50Ms) : "–"}</td><td class="number">${store.p99Ms ? ms(store.p99Ms) : "–"}</td><td class="number">${store.errors ?? 0}</td><td>${store.lastError ? html`<${When} at=${store.lastErrorAt} />: ${store.lastError}` : html`<span class="faint">none</span>`}</td></tr>`)}</tbody></table></div></section>`}
  `;
}

export function ConfigurationPage() {
  useCell(returns);
  const got = useAsk((signal) => configuration(signal), []);
  useKeys({ r: got.reload });
  const { components = [], flags = [], features = [] } = got.data ?? {};
  return html`
    <${Head} title="Configuration" />
    <${Problem} error=${got.error} />
    ${!got.data && got.isLoading && html`<${Lines} />`}
    ${got.data &&
    html`${!components.length && html`<${Empty} icon="configuration" title="No components" />`}
      ${components.map(
        (each) => html`<section class="panel" key=${each.name} aria-label=${each.name}>
          <div class="panel-head"><h2>${each.name}</h2><span class="faint">${each.type} ${each.version}</span></div>
          ${each.file && html`<p class="mono faint wrap">${each.file}</p>`}
          ${each.capabilities?.length > 0 && html`<p class="badges">${each.capabilities.map((name) => html`<${Badge} key=${name}>${name}<//>`)}</p>`}
          <${Settings} of=${each.metadata} />
        </section>`,
      )}
      <section class="panel" aria-label="Flags"><div class="panel-head"><h2>Flags</h2><span class="faint">that differ from their default</span></div>${flags.length ? html`<${Settings} of=${flags} />` : html`<p class="faint">All are as they come.</p>`}</section>
      <section class="panel" aria-label="Features"><div class="panel-head"><h2>Features</h2></div>${features.length ? html`<p class="badges">${features.map((name) => html`<${Badge} key=${name}>${name}<//>`)}</p>` : html`<p class="faint">None is switched on.</p>`}</section>`}
  `;
}

const Settings = ({ of }) =>
  of?.length > 0 && html`<div class="scroll"><table class="table settings"><thead class="unseen"><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead><tbody>${of.map((each) => html`<tr key=${each.name}><th scope="row">${each.name}</th><td class="mono wrap">${each.secret ? html`<span title="Secret: not shown">•••</span>` : each.value}</td></tr>`)}</tbody></table></div>`;
