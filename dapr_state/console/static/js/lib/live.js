// Events as they happen: server-sent, read by fetch, as an EventSource cannot show a token. A hidden tab listens to nothing.
import { send, url } from "./api.js";
import { useEffect, useRef } from "./ui.js";

const NEVER = new Set([400, 403, 404, 501]);
const AGAIN = 1000; // milliseconds before a stream that has ended is asked for again

/** Calls `on` with each message until `signal` is aborted; resumes behind the last one. */
export async function listen(path, query, on, signal) {
  let last = "";
  while (!signal.aborted) {
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await send("GET", url(path, query), { accept: "text/event-stream", headers, signal });
      for await (const event of events(answer.body)) {
        last = event.id || last;
        if (event.data && event.name !== "error") on(JSON.parse(event.data)); // after an error it ends, and is asked for again
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      if (NEVER.has(error.status)) return; // it will not be there later either
    }
    await new Promise((done) => setTimeout(done, AGAIN));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      yield event(rest.slice(0, end));
      rest = rest.slice(end + 2);
    }
  }
}

/** One event of its lines; comments keep a connection open and say nothing. */
export function event(text) {
  const found = { id: "", name: "message", data: "" };
  for (const line of text.split("\n")) {
    const [, field, value] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
    if (field === "id") found.id = value;
    if (field === "event") found.name = value;
    if (field === "data") found.data += (found.data ? "\n" : "") + value;
  }
  return found;
}

/** Listens while the part is shown and the tab is looked at. No path: not at all. */
export function useLive(path, query, on) {
  const latest = useRef(on);
  latest.current = on;
  const key = JSON.stringify([path, query]);
  useEffect(() => {
    if (!path) return undefined;
    let stop = null;
    const turn = () => {
      stop?.abort();
      stop = null;
      if (document.hidden) return;
      stop = new AbortController();
      listen(path, query, (...told) => latest.current(...told), stop.signal);
    };
    turn();
    document.addEventListener("visibilitychange", turn);
    return () => {
      document.removeEventListener("visibilitychange", turn);
      stop?.abort();
    };
  }, [key]);
}
