// Everything shown is in the address, behind the hash: a copied address shows the same, and back is back.
import { cell, useCell } from "./ui.js";

/** "#/state/store/key/a%2Fb?prefix=x" is the path ["state", "store", "key", "a/b"] and its query. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const parts = path ? path.split("/").map(decoded) : [];
  return { path: parts, query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody typed it
  }
}

/** The hash of a path and a query; what is empty in the query is left out. */
export function to(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== null && value !== false);
  const search = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return `#/${path.map((part) => encodeURIComponent(part.toWellFormed?.() ?? part)).join("/")}${search ? `?${search}` : ""}`;
}

const route = cell(parse(location.hash));
addEventListener("hashchange", () => route.set(parse(location.hash)));

export const useRoute = () => useCell(route);

export function go(path, query = {}, { replace = false, state = null } = {}) {
  const hash = to(path, query);
  if (hash === location.hash) return;
  if (replace) history.replaceState(history.state, "", hash);
  else history.pushState(state, "", hash);
  route.set(parse(hash));
}
