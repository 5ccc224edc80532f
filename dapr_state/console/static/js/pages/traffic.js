// Calls as they end: sampled, with keys and sizes, never with values. Nothing is collected while nobody looks.
import { clock, plural, size, took, visible } from "../lib/format.js";
import { moveAmongRows, useKeys } from "../lib/keys.js";
import { useLive } from "../lib/live.js";
import { useCan } from "../lib/pulse.js";
import { go, to } from "../lib/router.js";
import { repeating } from "../lib/snippets.js";
import { html, names, useEffect, useRef, useState } from "../lib/ui.js";
import { Badge, Button, Dialog, Empty, Head, Kbd, Snippets } from "../parts/basics.js";
import { Search } from "../parts/search.js";

const KEPT = 500;

export function TrafficPage({ query, stores }) {
  const { failures = "", text = "", slower = "" } = query;
  const show = (changes, options) => go(["traffic"], { failures, text, slower, ...changes }, options);
  const [events, setEvents] = useState([]);
  const [dropped, setDropped] = useState(0);
  const [held, setHeld] = useState(null); // what has come while it stands still
  const [copied, setCopied] = useState(null);
  const input = useRef(null);
  const waiting = useRef([]);
  const flush = () => {
    const come = waiting.current;
    if (!come.length) return;
    waiting.current = [];
    setDropped((count) => count + come.reduce((sum, each) => sum + Number(each.dropped ?? 0), 0));
    const add = (before) => [...come.reverse(), ...before].slice(0, KEPT);
    if (held) setHeld(add);
    else setEvents(add);
  };
  const latest = useRef(flush);
  latest.current = flush;
  useEffect(() => {
    const timer = setInterval(() => latest.current(), 250);
    return () => clearInterval(timer);
  }, []);
  useLive(useCan("Traffic") && ["traffic"], { failuresOnly: failures && "true", slowerThan: slower && `${slower / 1000}s` }, (event) => isOurs(event) || waiting.current.push(event));
  const toggle = () => {
    if (held) {
      setEvents((before) => [...held, ...before].slice(0, KEPT));
      setHeld(null);
    } else setHeld([]);
  };
  const move = (step) => {
    if (!held) setHeld([]); // who goes through the rows does not want them to move
    return moveAmongRows(step);
  };
  useKeys({ p: toggle, "/": () => input.current.focus(), Escape: (event) => (event.target === input.current ? event.target.blur() : false), j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1) });
  const typed = text.toLowerCase();
  const shown = events.filter((each) => !typed || `${each.operation} ${each.target} ${each.code} ${each.transport} ${each.caller}`.toLowerCase().includes(typed));
  return html`
    <${Head} title="Traffic">
      ${dropped > 0 && html`<span class="faint page-note">${plural(dropped, "call")} left out</span>`}
      <${Button} icon=${held ? "play" : "pause"} onClick=${toggle}>${held ? "Go on" : "Pause"} <${Kbd}>p<//><//>
    <//>
    <div class="toolbar">
      <${Search} input=${input} value=${text} label="Calls with" placeholder="Operation, key, code" onChange=${(typed) => show({ text: typed }, { replace: true })} />
      <select class="select" aria-label="How long they took" value=${slower} onChange=${(event) => show({ slower: event.target.value })}><option value="">However long</option><option value="10">Over 10 ms</option><option value="100">Over 100 ms</option><option value="1000">Over 1 s</option></select>
      <label class="check"><input type="checkbox" checked=${Boolean(failures)} onChange=${(event) => show({ failures: event.target.checked ? "1" : "" })} /> Failures</label>
      ${held && html`<button type="button" class="news" onClick=${toggle}>${plural(held.length, "call")} waiting: show</button>`}
    </div>
    ${!shown.length && html`<${Empty} icon="traffic" title=${events.length ? "No call fits" : "Listening …"}><p>${events.length ? "Change what is chosen above." : "Calls of applications show here as they end, 20 a second of them at most; their values never do."}</p><//>`}
    ${shown.length > 0 &&
    html`<div class="scroll"><table class="table traffic"><thead><tr><th scope="col">Time</th><th scope="col">Operation</th><th scope="col">Target</th><th scope="col">Code</th><th scope="col" class="number">Took</th><th scope="col" class="number">In</th><th scope="col" class="number">Out</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${shown.map(
        (each) => html`<tr key=${each.id} class=${names(isFailure(each) && "is-failed")}>
          <td class="mono faint" title=${`${each.at} ${each.caller ?? ""}`}>${clock(each.at)}</td><td>${each.operation} <span class="faint">${each.transport}</span></td>
          <th scope="row" class="mono cut">${linked(each, stores) ? html`<a data-row href=${linked(each, stores)}>${visible(each.target ?? "")}</a>` : visible(each.target ?? "")}</th>
          <td>${isFailure(each) ? html`<${Badge} tone="bad" icon="alert" title=${each.error}>${each.code}<//>` : html`<${Badge} tone="good">${each.code || "OK"}<//>`}</td>
          <td class="number">${took(each.took)}</td><td class="number">${size(each.requestBytes)}</td><td class="number">${size(each.responseBytes)}</td>
          <td class="acts"><${Button} icon="code" label="Copy this call as" onClick=${() => setCopied(each)} /></td>
        </tr>`,
      )}</tbody></table></div>`}
    ${copied && html`<${Dialog} title="Copy as" wide onClose=${() => setCopied(null)}><p>Values are not kept, so they are not here.</p><${Snippets} of=${repeating(copied)} /><//>`}
  `;
}

/** What pages like this one ask for is not what somebody looks for. */
const isOurs = ({ api = "" }) => api.startsWith("admin");
const isFailure = ({ code = "" }) => !(code === "" || code === "OK" || /^[123]\d\d$/.test(code));

/** The key or actor that the call was for. */
function linked({ target = "", api = "", operation = "" }, stores) {
  const [first, rest] = target.split(/\/(.*)/s);
  if (!rest) return null;
  if (stores.some((store) => store.name === first)) return to(["state", first, "key", rest]);
  if (api.startsWith("actors") || operation.includes("Actor")) return to(["actors", first, rest.split("/")[0]]);
  return null;
}
