// What a part shows of an answer: what there is stays until there is something newer.
import { returns } from "./api.js";
import { useCell, useEffect, useRef, useState } from "./ui.js";

/** `ask(signal)` again whenever `deps` change, the sidecar has come back, or somebody calls `reload`. */
export function useAsk(ask, deps, { every = 0 } = {}) {
  const back = useCell(returns);
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState({ data: null, error: null, isLoading: true, of: null });
  const key = JSON.stringify(deps);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, data: before.of === key ? before.data : null, error: null, isLoading: true, of: key }));
    latest.current(stop.signal).then(
      (data) => stop.signal.aborted || setState({ data, error: null, isLoading: false, of: key }),
      (error) => stop.signal.aborted || setState((before) => ({ ...before, error, isLoading: false })),
    );
    return () => stop.abort();
  }, [key, turn, back]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => document.hidden || setTurn((count) => count + 1), every);
    return () => clearInterval(timer);
  }, [every]);
  const fits = state.of === key;
  return { ...state, data: fits ? state.data : null, error: fits ? state.error : null, reload: () => setTurn((count) => count + 1) };
}
