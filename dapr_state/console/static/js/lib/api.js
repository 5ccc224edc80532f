// What the page asks of its sidecar: the administration API, with the token, its errors, and whether anybody answers.
import { cell } from "./ui.js";

const ROOT = new URL("v1/", new URL(".", document.baseURI));
const REMEMBERED = "dapr-state token"; // in this tab, and only if somebody ticked it
const RETRY = 1000;

export const about = cell(null); // mode, ports, whether a token is needed
export const token = cell(sessionStorage.getItem(REMEMBERED) ?? "");
export const tokenWanted = cell(false);
export const lostSince = cell(null); // when the sidecar was last heard of, while it does not answer
export const returns = cell(0); // how often it has come back: what is shown is asked for again
export const skew = cell(0); // milliseconds by which the sidecar's clock is ahead

/** What the sidecar refused, in its own words. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function giveToken(text, { remember = false } = {}) {
  token.set(text);
  tokenWanted.set(false);
  if (remember) sessionStorage.setItem(REMEMBERED, text);
  else sessionStorage.removeItem(REMEMBERED);
  returns.set(returns.get() + 1);
}

export function url(path, query = {}, verb = "") {
  const asked = new URL(`./${path.map(encodeURIComponent).join("/")}` + (verb && `:${verb}`), ROOT);
  for (const [name, value] of Object.entries(query)) {
    const isGiven = value !== undefined && value !== null && value !== "" && value !== false;
    if (isGiven || (name === "prefix" && value === "")) asked.searchParams.set(name, value);
  }
  return asked;
}

/** The answer to one request, or an ApiError; a sidecar that is away is waited for beside it. */
export async function send(method, address, { body, signal, accept = "application/json", headers = {} } = {}) {
  const sent = { Accept: accept, ...headers };
  if (token.get()) sent["dapr-api-token"] = token.get();
  if (method !== "GET") Object.assign(sent, { "Content-Type": "application/json", "x-dapr-state": "1" });
  let answer;
  try {
    answer = await fetch(address, { method, headers: sent, body, signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new ApiError(0, "", "The sidecar does not answer.");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) tokenWanted.set(true);
  throw await refusal(answer);
}

async function refusal(answer) {
  const text = await answer.text();
  try {
    const told = JSON.parse(text);
    return new ApiError(answer.status, told.errorCode ?? "", told.message ?? text);
  } catch {
    return new ApiError(answer.status, "", text.trim() || `HTTP ${answer.status}`);
  }
}

export async function ask(method, path, { verb, query, body, signal } = {}) {
  const answer = await send(method, url(path, query, verb), { body: body && JSON.stringify(body), signal });
  return answer.status === 204 ? {} : answer.json();
}

export const read = (path, query, signal) => ask("GET", path, { query, signal });

export function lost() {
  if (lostSince.get() !== null) return;
  lostSince.set(Date.now());
  setTimeout(knock, RETRY);
}

async function knock() {
  try {
    await loadAbout();
  } catch {
    setTimeout(knock, RETRY);
    return;
  }
  lostSince.set(null);
  returns.set(returns.get() + 1);
}

export async function loadAbout() {
  const answer = await fetch(new URL("about.json", document.baseURI), { cache: "no-store", credentials: "omit" });
  if (!answer.ok) throw new ApiError(answer.status, "", answer.statusText);
  about.set(await answer.json());
}

export const canWrite = () => about.get()?.mode === "write";

// The administration's calls, one line each

const stores = (store, ...rest) => ["state", store, ...rest];
const space = (of) => (of && of !== "application" ? of.toUpperCase() : undefined);

export const overview = (signal) => read(["overview"], {}, signal);
export const configuration = (signal) => read(["configuration"], {}, signal);
export const reloadApp = () => ask("POST", ["app"], { verb: "reload", body: {} });

export const listKeys = (store, query, signal) =>
  read(stores(store, "keys"), { ...query, space: space(query.space), withSizes: true }, signal);
export const countKeys = (store, query, signal) => read(stores(store, "count"), { ...query, space: space(query.space) }, signal);
const PART = 3 * 2 ** 18; // octets that are asked for together; of threes, so that parts in base64 are one text

/** An entry with the first `maxBytes` of its value, in parts: the API gives no more than a megabyte at once. */
export async function getEntry(store, key, { maxBytes, ...query }, signal) {
  const part = (offset) =>
    read(stores(store, "entry"), { key, ...query, space: space(query.space), offset, maxBytes: Math.min(maxBytes - offset, PART) }, signal);
  const got = await part(0);
  const end = Math.min(maxBytes, Number(got.totalSize ?? 0));
  for (let at = PART; at < end; at += PART) {
    const more = await part(at);
    if (more.entry.etag !== got.entry.etag) throw changed();
    got.entry.value += more.entry.value;
    got.entry.valueTruncated = end < Number(got.totalSize);
  }
  return got;
}

const changed = () => new ApiError(409, "", "The value was changed while it was read: begin anew.");

const written = new Map(); // when this page last wrote a key: what is then told of it is no news
const SOON = 3000;
export const wroteItself = (store, key) => Date.now() - (written.get(`${store}\n${key}`) ?? 0) < SOON;
const writes = (store, key, call) => {
  written.set(`${store}\n${key}`, Infinity);
  return call.finally(() => written.set(`${store}\n${key}`, Date.now()));
};

export const saveEntry = (store, entry) =>
  writes(store, entry.key, ask("POST", stores(store, "entry"), { body: { ...entry, space: space(entry.space) } }));
export const deleteEntry = (store, key, query) =>
  writes(store, key, ask("DELETE", stores(store, "entry"), { query: { key, ...query, space: space(query.space) } }));
export const touch = (store, body) =>
  writes(store, body.key, ask("POST", stores(store), { verb: "touch", body: { ...body, space: space(body.space) } }));
export const deleteByPrefix = (store, body, signal) =>
  ask("POST", stores(store), { verb: "deleteByPrefix", body: { ...body, space: space(body.space) }, signal });

export async function download(store, key, of) {
  const parts = [];
  let [size, etag, part] = [0, null, null];
  do {
    const query = { key, space: space(of), offset: size, maxBytes: PART };
    const answer = await send("GET", url(stores(store, "entry"), query), { accept: "application/octet-stream" });
    part = await answer.blob();
    if (etag !== null && answer.headers.get("etag") !== etag) throw changed();
    etag = answer.headers.get("etag");
    size += part.size;
    parts.push(part);
  } while (part.size === PART);
  return new Blob(parts, { type: "application/octet-stream" });
}

export const actorTypes = (signal) => read(["actors"], {}, signal);
// The names of actors stand in queries and bodies: a browser changes a path in which one is called ".." or "."
const named = (type, id) => ({ "actor.type": type, "actor.id": id });
export const listActors = (type, query, signal) => ask("GET", ["actors"], { verb: "list", query: { type, ...query }, signal });
export const getActor = (type, id, signal) => read(["actor"], named(type, id), signal);
export const deactivate = (type, id) =>
  ask("POST", ["actors"], { verb: "deactivate", body: id === undefined ? { type } : { actor: { type, id } } });
export const deleteActor = (type, id, dryRun) => ask("DELETE", ["actor"], { query: { ...named(type, id), dryRun }, body: {} });
export const reminders = (query, signal) => read(["reminders"], query, signal);
export const timers = (query, signal) => read(["timers"], query, signal);
export const fireReminder = (type, id, name) =>
  ask("POST", ["reminders"], { verb: "trigger", body: { actor: { type, id }, name, wait: true } });
export const pauseReminders = (type, paused) => ask("POST", ["reminders"], { verb: "pause", body: { type, paused } });

// Dapr's own calls, which are there where the page is on the port of the API

function ofActor(...names) {
  const dots = names.find((name) => name === "." || name === "..");
  if (dots) throw new ApiError(0, "", `No browser can ask Dapr's API for “${dots}”, as it stands in a path there: curl --path-as-is can.`);
  return new URL(`/v1.0/actors/${names.map(encodeURIComponent).join("/")}`, document.baseURI);
}
export const callActor = async (type, id, method, body) => send("POST", ofActor(type, id, "method", method), { body }).then((answer) => answer.text());
export const deleteReminder = async (type, id, name) => send("DELETE", ofActor(type, id, "reminders", name));
