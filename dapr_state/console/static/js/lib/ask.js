// What a part shows of an answer: what there is stays until there is something newer.
import { returns } from "./api.js";
import { useCell, useEffect, useRef, useState } from "./ui.js";

/** `ask(signal)` again whenever `deps` change, the sidecar has come back, or somebody calls `reload`. */
export function useAsk(ask, deps, { every = 0 } = {}) {
  const back = useCell(returns);
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState({ data: null, error: null, isLoading: true });
  const key = JSON.stringify(deps);
  const shown = useRef(key); // what the data is of: of something else, it goes where there is an error instead
  const latest = useRef(ask);
  latest.current = ask;
  const isBusy = useRef(false);
  isBusy.current = state.isLoading;
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    latest.current(stop.signal).then(
      (data) => {
        if (stop.signal.aborted) return;
        shown.current = key;
        setState({ data, error: null, isLoading: false });
      },
      (error) => stop.signal.aborted || setState((before) => ({ data: shown.current === key ? before.data : null, error, isLoading: false })),
    );
    return () => stop.abort();
  }, [key, turn, back]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => document.hidden || isBusy.current || setTurn((count) => count + 1), every);
    return () => clearInterval(timer);
  }, [every]);
  return { ...state, reload: () => setTurn((count) => count + 1) };
}
