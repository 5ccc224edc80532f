// Dark, light, or as the system has it.
import { cell } from "./ui.js";

const KEY = "dapr-state theme";
const ORDER = ["system", "light", "dark"];

export const theme = cell(localStorage.getItem(KEY) ?? "system");

export function apply(chosen = theme.get()) {
  theme.set(chosen);
  if (chosen === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, chosen);
  document.documentElement.dataset.theme = chosen;
}

export const next = () => apply(ORDER[(ORDER.indexOf(theme.get()) + 1) % ORDER.length]);
