// Reminders and timers of all actors: what fires when, what fails, and what is held back.
import { actorTypes, canWrite, pauseReminders, reminders, timers } from "../lib/api.js";
import { useAsk } from "../lib/ask.js";
import { count, period, plural, visible } from "../lib/format.js";
import { moveAmongRows, useKeys } from "../lib/keys.js";
import { go, to } from "../lib/router.js";
import { html } from "../lib/ui.js";
import { Button, Empty, Head, Lines, Pager, Problem, Tabs, When, now } from "../parts/basics.js";
import { ReminderTable, tried } from "./actors.js";

const OFTEN = 2000;
const DUE = [["", "Whenever due"], ["60", "Within a minute"], ["3600", "Within an hour"], ["86400", "Within a day"]];

export function RemindersPage({ query }) {
  const { type = "", due = "", failing = "", what = "reminders", page = "" } = query;
  const show = (changes, options) => go(["reminders"], { type, due, failing, what: what === "reminders" ? "" : what, page: "", ...changes }, options);
  const before = due && new Date(now() + due * 1000).toISOString();
  const got = useAsk(
    (signal) => (what === "timers" ? timers({ type, pageSize: 200, pageToken: page }, signal) : reminders({ type, dueBefore: before, failing: failing && "true", pageSize: 200, pageToken: page }, signal)),
    [type, due, failing, what, page],
    { every: OFTEN },
  );
  const types = useAsk((signal) => actorTypes(signal), [], { every: OFTEN });
  useKeys({ r: got.reload, j: () => moveAmongRows(1), k: () => moveAmongRows(-1), ArrowDown: () => moveAmongRows(1), ArrowUp: () => moveAmongRows(-1) });
  const found = got.data?.[what] ?? [];
  const chosen = (types.data?.types ?? []).find((each) => each.name === type);
  const pause = () => tried(() => pauseReminders(type, !chosen.paused), (answer) => `${plural(answer.affected ?? 0, "reminder")} ${chosen.paused ? "resumed" : "paused"}`).then(() => (types.reload(), got.reload()));
  return html`
    <${Head} title="Reminders">
      ${canWrite() && chosen && html`<${Button} icon=${chosen.paused ? "play" : "pause"} onClick=${pause}>${chosen.paused ? "Resume" : "Pause"} ${type}<//>`}
      <${Button} icon="refresh" label="Refresh (r)" onClick=${got.reload} />
    <//>
    <div class="toolbar">
      <${Tabs} label="What is shown" of=${[["reminders", "Reminders"], ["timers", "Timers"]]} chosen=${what} onChoose=${(next) => show({ what: next === "reminders" ? "" : next })} />
      <select class="select" aria-label="Actor type" value=${type} onChange=${(event) => show({ type: event.target.value })}><option value="">All types</option>${(types.data?.types ?? []).map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select>
      ${what === "reminders" && html`<select class="select" aria-label="Due" value=${due} onChange=${(event) => show({ due: event.target.value })}>${DUE.map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}</select>
        <label class="check"><input type="checkbox" checked=${Boolean(failing)} onChange=${(event) => show({ failing: event.target.checked ? "1" : "" })} /> Failing</label>`}
      ${got.data?.total !== undefined && html`<span class="tally">${plural(got.data.total, "reminder")}</span>`}
    </div>
    <${Problem} error=${got.error} />
    ${!got.data && got.isLoading && html`<${Lines} />`}
    ${got.data && !found.length && html`<${None} what=${what} isFiltered=${Boolean(type || due || failing)} />`}
    ${found.length > 0 && html`<div class="scroll">${what === "reminders" ? html`<${ReminderTable} of=${found} reload=${got.reload} withActor />` : html`<${TimerTable} of=${found} />`}</div>`}
    <${Pager} page=${page} next=${got.data?.nextPageToken} goTo=${(token, options) => show({ page: token }, options)} />
  `;
}

const None = ({ what, isFiltered }) =>
  isFiltered
    ? html`<${Empty} icon="reminders" title="None of these"><p>No ${what === "timers" ? "timer" : "reminder"} fits what is chosen above.</p><//>`
    : html`<${Empty} icon="reminders" title=${what === "timers" ? "No timer runs" : "No reminder is set"}><p>${what === "timers" ? "Timers live as long as their actor is active." : "Actors set them; they survive restarts, and fire when they are due, even if the actor has to be activated for it."}</p>${what !== "timers" && html`<pre class="code" tabindex="0" aria-label="Example">await self.register_reminder("daily", b"", timedelta(), timedelta(days=1))</pre>`}<//>`;

const TimerTable = ({ of }) =>
  html`<table class="table"><thead><tr><th scope="col">Actor</th><th scope="col">Name</th><th scope="col">Next</th><th scope="col">Period</th><th scope="col">Callback</th><th scope="col" class="number">Fired</th></tr></thead>
    <tbody>${of.map((each) => html`<tr key=${`${each.actor?.type}\n${each.actor?.id}\n${each.name}`}><th scope="row" class="mono"><a data-row href=${to(["actors", each.actor.type, each.actor.id])}>${each.actor.type}/${visible(each.actor.id)}</a></th><td class="mono">${visible(each.name)}</td><td><${When} at=${each.nextAt} /></td><td>${period(each.period)}</td><td class="mono">${each.callback}</td><td class="number">${count(each.fired)}</td></tr>`)}</tbody></table>`;
