// Actor types, the actors of a type, and one actor: its turns, state, reminders and timers.
import { about, actorTypes, callActor, canWrite, deactivate, deleteActor, deleteReminder, fireReminder, getActor, listActors } from "../lib/api.js";
import { useAsk } from "../lib/ask.js";
import { count, milliseconds, period, plural, size, span, visible } from "../lib/format.js";
import { moveAmongRows, useKeys } from "../lib/keys.js";
import { go, to } from "../lib/router.js";
import { invoking } from "../lib/snippets.js";
import { html, useRef, useState } from "../lib/ui.js";
import { Badge, Button, Confirm, Copy, Dialog, Empty, Head, Lines, Pager, Problem, Snippets, Ttl, When } from "../parts/basics.js";
import { complain, say } from "../parts/notices.js";
import { Search } from "../parts/search.js";

const OFTEN = 2000; // milliseconds between two looks at what moves by itself

const moving = { j: () => moveAmongRows(1), k: () => moveAmongRows(-1), ArrowDown: () => moveAmongRows(1), ArrowUp: () => moveAmongRows(-1) };

export async function tried(act, said) {
  try {
    const answer = await act();
    say(typeof said === "function" ? said(answer) : said);
    return answer;
  } catch (error) {
    complain(error);
    return null;
  }
}

export function ActorTypes({ app }) {
  const got = useAsk((signal) => actorTypes(signal), [], { every: OFTEN });
  const [dialog, setDialog] = useState(null);
  useKeys({ ...moving, r: got.reload });
  const types = got.data?.types ?? [];
  return html`
    <${Head} title="Actors" />
    <${Problem} error=${got.error} />
    ${!got.data && got.isLoading && html`<${Lines} />`}
    ${got.data && !types.length && html`<${NoActors} app=${app} />`}
    ${types.length > 0 &&
    html`<div class="scroll"><table class="table">
      <thead><tr><th scope="col">Type</th><th scope="col" class="number">Active</th><th scope="col" class="number">Busy</th><th scope="col" class="number">Waiting</th><th scope="col" class="number">Reminders</th><th scope="col" class="number">Timers</th><th scope="col">Idle after</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${types.map(
        (type) => html`<tr key=${type.name}>
          <th scope="row"><a data-row href=${to(["actors", type.name])}>${type.name}</a> ${!type.hosted && html`<${Badge} title="The application does not host it: it has state or reminders">not hosted<//>`}${type.paused && html`<${Badge} tone="warn" icon="pause">paused<//>`}${type.reentrant && html`<${Badge}>reentrant<//>`}</th>
          <td class="number">${count(type.active)}</td><td class="number">${count(type.busy)}</td><td class="number">${count(type.waitingCalls)}</td>
          <td class="number"><a href=${to(["reminders"], { type: type.name })}>${count(type.reminders)}</a>${Number(type.parkedReminders) > 0 && html` <${Badge} tone="warn">${count(type.parkedReminders)} parked<//>`}</td>
          <td class="number">${count(type.timers)}</td><td>${type.idleTimeout ? span(milliseconds(type.idleTimeout)) : "–"}</td>
          <td class="acts">${canWrite() && Number(type.active) > 0 && html`<${Button} onClick=${() => setDialog(type.name)}>Deactivate all<//>`}</td>
        </tr>`,
      )}</tbody>
    </table></div>`}
    ${dialog && html`<${Confirm} title=${`Deactivate all of ${dialog}?`} action="Deactivate" tone="primary" onClose=${() => setDialog(null)} act=${async () => (say(told(await deactivate(dialog))), got.reload())}><p>Each in its turn, as if it had been idle: its timers go, its state and reminders stay.</p><//>`}
  `;
}

const told = (answer) => `${plural(answer.deactivated ?? 0, "actor")} deactivated${Number(answer.busy) ? `, ${count(answer.busy)} busy` : ""}`;

function NoActors({ app }) {
  if (!app?.port) {
    return html`<${Empty} icon="actors" title="No application"><p>Actors live in your application, and this sidecar was started without one.</p><pre class="code" tabindex="0" aria-label="Command">dapr-state run --app-port 8000 -- uvicorn counter:app --port 8000</pre><//>`;
  }
  if (!app.discovered) {
    return html`<${Empty} icon="actors" title="The application does not answer"><p>Nobody has answered on port ${app.port}${app.since ? html` since <${When} at=${app.since} />` : ""}. As soon as it does, its actor types are here.</p><//>`;
  }
  return html`<${Empty} icon="actors" title="The application hosts no actors"><p>It answers on port ${app.port}, and names no actor types in <code>/dapr/config</code>. There must be a store with <code>actorStateStore: "true"</code> as well.</p><//>`;
}

const WHICH = [["", "All that are known"], ["active", "Active"], ["state", "With state"], ["reminders", "With reminders"]];
const ASKED = { active: "ACTIVE", state: "WITH_STATE", reminders: "WITH_REMINDERS", "": "ANY" };

export function ActorList({ type, query }) {
  const { which = "", id = "", page = "" } = query;
  const show = (changes, options) => go(["actors", type], { which, id, page: "", ...changes }, options);
  const got = useAsk((signal) => listActors(type, { which: ASKED[which], idPrefix: id, pageSize: 200, pageToken: page }, signal), [type, which, id, page]);
  const input = useRef(null);
  useKeys({ ...moving, r: got.reload, "/": () => input.current.focus(), Escape: (event) => (event.target === input.current ? event.target.blur() : go(["actors"])) });
  const actors = got.data?.actors ?? [];
  return html`
    <${Head} title=${type} crumbs=${html`<a href=${to(["actors"])}>Actors</a>`}><${Button} icon="refresh" label="Refresh (r)" onClick=${got.reload} /><//>
    <div class="toolbar">
      <${Search} input=${input} value=${id} label="Ids that begin with" placeholder="Id" mono onChange=${(text) => show({ id: text }, { replace: true })} />
      <select class="select" aria-label="Which actors" value=${which} onChange=${(event) => show({ which: event.target.value })}>${WHICH.map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}</select>
    </div>
    <${Problem} error=${got.error} />
    ${!got.data && got.isLoading && html`<${Lines} />`}
    ${got.data && !actors.length && html`<${Empty} icon="actors" title="No such actor"><p>None is active, has state or has reminders${id ? html` with an id that begins with <code>${visible(id)}</code>` : ""}.</p><//>`}
    ${actors.length > 0 && html`<ul class="rows">${actors.map((each) => html`<li key=${each.actor.id}><a class="row" data-row href=${to(["actors", type, each.actor.id])}><span class="key" dir="auto">${visible(each.actor.id)}</span>${each.waitingCalls > 0 && html`<${Badge} tone="warn">${each.waitingCalls} waiting<//>`}${each.busy ? html`<${Badge} tone="info">busy<//>` : each.active ? html`<${Badge} tone="good">active<//>` : null}</a></li>`)}</ul>`}
    <${Pager} page=${page} next=${got.data?.nextPageToken} goTo=${(token, options) => show({ page: token }, options)} />
  `;
}

export function ActorPage({ type, id, actorStore }) {
  const got = useAsk((signal) => getActor(type, id, signal), [type, id], { every: OFTEN });
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  useKeys({ ...moving, r: got.reload, c: () => setDialog("call"), Escape: () => go(["actors", type]) });
  const actor = got.data;
  return html`
    <${Head} title=${html`<span class="mono" dir="auto">${visible(id)}</span>`} crumbs=${html`<a href=${to(["actors"])}>Actors</a><span class="faint">/</span><a href=${to(["actors", type])}>${type}</a>`}>
      <${Copy} text=${`${type}/${id}`} label="Copy type and id" small=${false} />
      ${about.get()?.sharesPort && html`<${Button} icon="code" onClick=${() => setDialog("call")}>Call a method<//>`}
      ${canWrite() && actor?.active && html`<${Button} onClick=${() => tried(() => deactivate(type, id), told).then(got.reload)}>Deactivate<//>`}
      ${canWrite() && html`<${Button} icon="trash" tone="quiet-danger" onClick=${() => setDialog("delete")}>Delete<//>`}
    <//>
    <${Problem} error=${got.error} />
    ${!actor && got.isLoading && html`<${Lines} />`}
    ${actor &&
    html`<dl class="facts">
        <div><dt>State</dt><dd>${actor.busy ? html`<${Badge} tone="info">busy<//>` : actor.active ? html`<${Badge} tone="good" icon="check">active<//>` : html`<${Badge}>not active<//>`}</dd></div>
        <div><dt>Active since</dt><dd><${When} at=${actor.activeSince} /></dd></div>
        <div data-expires=""><dt>Idle until</dt><dd>${actor.idleDeadline ? html`<${Ttl} at=${actor.idleDeadline} />` : "–"}</dd></div>
        <div><dt>Waiting calls</dt><dd>${count(actor.waitingCalls)}</dd></div>
      </dl>
      <${Part} title="Turns" none="No turn runs and none waits." of=${actor.turns}>
        ${(turns) => html`<table class="table"><thead><tr><th scope="col">Method</th><th scope="col">Kind</th><th scope="col">Began</th><th scope="col">Reentrancy id</th><th scope="col">Trace</th></tr></thead>
          <tbody>${turns.map((turn, at) => html`<tr key=${at}><th scope="row" class="mono">${turn.method}</th><td>${turn.kind} ${turn.waiting ? html`<${Badge} tone="warn">waits<//>` : html`<${Badge} tone="info">runs<//>`}</td><td><${When} at=${turn.beganAt} /></td><td class="mono cut">${turn.reentrancyId}</td><td class="mono cut">${turn.traceId}</td></tr>`)}</tbody></table>`}
      <//>
      <${Part} title="State" none="It keeps nothing." of=${actor.state} note=${actor.stateTruncated ? "the first of more" : ""}>
        ${(state) => html`<table class="table"><thead><tr><th scope="col">Key</th><th scope="col">Expires</th><th scope="col">Etag</th><th scope="col" class="number">Size</th></tr></thead>
          <tbody>${state.map((each) => html`<tr key=${each.key}><th scope="row" class="mono">${actorStore ? html`<a data-row href=${to(["state", actorStore, "key", stored(type, id, each.key)], { space: "actors" })}>${visible(each.key)}</a>` : visible(each.key)}</th><td><${Ttl} at=${each.expiresAt} /></td><td class="mono cut">${each.etag}</td><td class="number">${size(each.size)}</td></tr>`)}</tbody></table>`}
      <//>
      <${Part} title="Reminders" none="It has none." of=${actor.reminders}>${(all) => html`<${ReminderTable} of=${all} reload=${got.reload} />`}<//>
      <${Part} title="Timers" none="It has none." of=${actor.timers}>
        ${(timers) => html`<table class="table"><thead><tr><th scope="col">Name</th><th scope="col">Next</th><th scope="col">Period</th><th scope="col">Callback</th><th scope="col" class="number">Fired</th></tr></thead>
          <tbody>${timers.map((timer) => html`<tr key=${timer.name}><th scope="row" class="mono">${timer.name}</th><td><${When} at=${timer.nextAt} /></td><td>${period(timer.period)}</td><td class="mono">${timer.callback}</td><td class="number">${count(timer.fired)}</td></tr>`)}</tbody></table>`}
      <//>`}
    ${dialog === "call" && html`<${Call} type=${type} id=${id} onClose=${close} />`}
    ${dialog === "delete" && html`<${DeleteActor} type=${type} id=${id} onClose=${close} />`}
  `;
}

function Call({ type, id, onClose }) {
  const [method, setMethod] = useState("");
  const [body, setBody] = useState("");
  const [told, setTold] = useState(null);
  const [busy, setBusy] = useState(false);
  const call = async (event) => {
    event.preventDefault();
    setBusy(true);
    setTold(await callActor(type, id, method, body).then((text) => ({ text }), (error) => ({ error })));
    setBusy(false);
  };
  return html`<${Dialog} title="Call a method" wide onClose=${onClose}>
    <p>A call is a turn of the application's own code: it may change anything, and cannot be taken back here.</p>
    ${canWrite() &&
    html`<form onSubmit=${call}>
      <label class="field"><span>Method</span><input class="input mono" autofocus value=${method} spellcheck=${false} autocomplete="off" onInput=${(event) => setMethod(event.target.value)} /></label>
      <label class="field"><span>Body</span><textarea class="input mono" rows="3" value=${body} spellcheck=${false} onInput=${(event) => setBody(event.target.value)}></textarea></label>
      <${Problem} error=${told?.error} />
      ${told?.text !== undefined && html`<div class="field" role="status"><span>Answer</span><pre class="text key-quote" tabindex="0" aria-label="Answer">${told.text || "(empty)"}</pre></div>`}
      <div class="dialog-foot"><button type="submit" class="button primary" disabled=${!method || busy}>Call</button></div>
    </form>`}
    <${Snippets} of=${invoking(type, id)} />
  <//>`;
}

/** An actor's key as its space names it, without the application before it. */
const stored = (type, id, key) => `${type}||${id}||${key}`;

const Part = ({ title, of, none, note, children }) =>
  html`<section class="panel" aria-label=${title}><div class="panel-head"><h2>${title}</h2>${of?.length > 0 && html`<span class="faint">${count(of.length)} ${note}</span>`}</div>${of?.length ? html`<div class="scroll">${children(of)}</div>` : html`<p class="faint">${none}</p>`}</section>`;

export function ReminderTable({ of, reload, withActor }) {
  const [going, setGoing] = useState(null);
  const fire = (each) => tried(() => fireReminder(each.actor.type, each.actor.id, each.name), (answer) => (answer.error ? `${each.name} failed: ${answer.error}` : `${each.name} fired`)).then(reload);
  return html`<table class="table"><thead><tr>${withActor && html`<th scope="col">Actor</th>`}<th scope="col">Name</th><th scope="col">Next</th><th scope="col">Period</th><th scope="col" class="number">Fired</th><th scope="col">Last</th><th scope="col">State</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
    <tbody>${of.map(
      (each) => html`<tr key=${`${each.actor?.type}\n${each.actor?.id}\n${each.name}`}>
        ${withActor && html`<th scope="row" class="mono"><a data-row href=${to(["actors", each.actor.type, each.actor.id])}>${each.actor.type}/${visible(each.actor.id)}</a></th>`}
        <td class="mono">${visible(each.name)}</td><td><${When} at=${each.nextAt} /></td><td>${period(each.period)}</td><td class="number">${count(each.fired)}</td><td><${When} at=${each.lastAt} /></td>
        <td>${each.firing && html`<${Badge} tone="info">firing<//>`}${each.parked && html`<${Badge} tone="warn">parked<//>`}${each.paused && html`<${Badge} tone="warn" icon="pause">paused<//>`}${(each.failures > 0 || each.lastError) && html`<${Badge} tone="bad" icon="alert" title=${each.lastError}>${each.failures > 1 ? plural(each.failures, "failure") : "failed"}<//>`}${each.lastError && html`<span class="faint cut" title=${each.lastError}>${each.lastError}</span>`}</td>
        <td class="acts">${canWrite() && html`<${Button} icon="play" onClick=${() => fire(each)}>Fire now<//>`}${canWrite() && about.get().sharesPort && html` <${Button} icon="trash" label=${`Delete ${each.name}`} onClick=${() => setGoing(each)} />`}</td>
      </tr>`,
    )}</tbody></table>
    ${going && html`<${Confirm} title="Delete this reminder?" action="Delete" onClose=${() => setGoing(null)} act=${() => deleteReminder(going.actor.type, going.actor.id, going.name).then(reload)}><p>It does not fire any more. The actor may set it again.</p><p class="mono key-quote">${going.actor.type}/${visible(going.actor.id)} ${visible(going.name)}</p><//>`}`;
}

function DeleteActor({ type, id, onClose }) {
  const dry = useAsk(() => deleteActor(type, id, true), [type, id]);
  const act = async () => {
    await deleteActor(type, id, false);
    say(`Deleted ${type}/${visible(id)}`);
    go(["actors", type]);
  };
  return html`<${Confirm} title="Delete this actor?" action="Delete" onClose=${onClose} act=${act}>
    <p>Its state, reminders, timers and activation go, in its turn. This cannot be taken back.</p>
    <${Problem} error=${dry.error} />
    ${dry.data && html`<dl class="facts"><div><dt>State</dt><dd>${plural(dry.data.stateKeys ?? 0, "key")}</dd></div><div><dt>Reminders</dt><dd>${count(dry.data.reminders)}</dd></div><div><dt>Timers</dt><dd>${count(dry.data.timers)}</dd></div></dl>`}
  <//>`;
}
