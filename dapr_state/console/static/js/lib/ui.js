// What every part draws with: templates without a compiler, hooks, and small values that parts may watch.
import { Fragment, h, render } from "../../vendor/preact.js";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../vendor/hooks.js";
import htm from "../../vendor/htm.js";

export { Fragment, h, render, useEffect, useLayoutEffect, useMemo, useRef, useState };
export const html = htm.bind(h);

/** A value that parts watch: `get`, `set`, and `use` within a part. */
export function cell(value) {
  const watching = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const each of [...watching]) each(value);
    },
    watch(each) {
      watching.add(each);
      return () => watching.delete(each);
    },
  };
}

export function useCell(watched) {
  const [, again] = useState(0);
  useLayoutEffect(() => watched.watch(() => again((count) => count + 1)), [watched]);
  return watched.get();
}

/** As a `ref`: what comes into a dialog later takes the focus, as `autofocus` would have at its opening. */
export const focused = (node) => node?.focus();

/** Class names, of those that are asked for. */
export const names = (...given) => given.filter(Boolean).join(" ");
