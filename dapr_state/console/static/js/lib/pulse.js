// How the sidecar is, asked while somebody looks: the overview, and what it says of five minutes.
import { overview, skew } from "./api.js";
import { cell, useCell } from "./ui.js";

const KEPT = 5 * 60_000;
export const latest = cell(null);
export const rates = cell([]); // {at, calls, failed}: a second, from one look to the next
let before = null;

/** Whether this sidecar answers such a call: what it cannot do is not asked for. */
export const useCan = (call) => (useCell(latest)?.capabilities ?? []).includes(call);

/** One look; measures the sidecar's clock beside the browser's by the way. */
export async function look(signal) {
  const began = Date.now();
  const told = await overview(signal);
  const at = (began + Date.now()) / 2;
  const theirs = Date.parse(told.now);
  if (!Number.isNaN(theirs)) skew.set(Math.abs(theirs - at) < 250 ? 0 : theirs - at);
  const now = { at, calls: Number(told.calls ?? 0), failed: Number(told.failedCalls ?? 0) };
  if (before && now.calls >= before.calls && at - before.at < 15_000) {
    const seconds = Math.max(0.1, (at - before.at) / 1000);
    const rate = { at, calls: (now.calls - before.calls) / seconds, failed: (now.failed - before.failed) / seconds };
    rates.set([...rates.get().filter((each) => at - each.at < KEPT), rate]);
  }
  before = now;
  latest.set(told);
  return told;
}
