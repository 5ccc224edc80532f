// How numbers, sizes, times and octets are written.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function size(octets) {
  let value = Number(octets ?? 0);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const count = (number) => Number(number ?? 0).toLocaleString("en-US").replaceAll(",", "\u202f");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : many}`;

/** A length of time in its two largest units: "2 d 4 h", "58 s". */
export function span(milliseconds) {
  const left = Math.max(0, milliseconds);
  if (left < 1000) return `${Math.round(left)} ms`;
  const seconds = Math.floor(left / 1000);
  if (left < MINUTE) return `${seconds} s`;
  if (left < HOUR) return two(Math.floor(left / MINUTE), "min", seconds % 60, "s");
  if (left < DAY) return two(Math.floor(left / HOUR), "h", Math.floor((left % HOUR) / MINUTE), "min");
  return two(Math.floor(left / DAY), "d", Math.floor((left % DAY) / HOUR), "h");
}

const two = (large, unit, small, below) => (small ? `${large} ${unit} ${small} ${below}` : `${large} ${unit}`);

/** "1.200s" as milliseconds: durations as protobuf writes them. */
export const milliseconds = (duration) => (duration ? Number.parseFloat(duration) * 1000 : 0);
export const seconds = (duration) => `${duration / 1000}s`;

/** "@every 24h0m0s" as "every 24h": Go writes all units below the largest. */
export const period = (text) => (text ? text.replace(/^@every /, "every ").replace(/(\d[hm])0s$/, "$1").replace(/(\dh)0m$/, "$1") : "once");

export function took(duration) {
  const value = milliseconds(duration);
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  return value < 100 ? `${value.toFixed(1)} ms` : span(value);
}

export function ago(at, now) {
  const gone = now - at;
  if (gone < 0) return `in ${span(-gone)}`;
  return gone < 1000 ? "now" : `${span(gone)} ago`;
}

/** Local and UTC, for whoever hovers. */
export function absolute(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : `${date.toLocaleString()} · ${date.toISOString()}`;
}

export const clock = (at) => new Date(at).toTimeString().slice(0, 8);

export function octets(base64) {
  return Uint8Array.from(atob(base64 ?? ""), (character) => character.charCodeAt(0));
}

export function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** The text that these octets are, or null if they are none. */
export function text(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Sixteen octets a line: offset, hexadecimal, characters. */
export function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const digits = [...row].map((each) => each.toString(16).padStart(2, "0"));
    const shown = [...row].map((each) => (each > 31 && each < 127 ? String.fromCharCode(each) : "·")).join("");
    lines.push({ at: at.toString(16).padStart(6, "0"), digits: `${digits.slice(0, 8).join(" ")}  ${digits.slice(8).join(" ")}`.padEnd(48), shown });
  }
  return lines;
}

const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** A key as it can be read: what has no picture, or turns its neighbours around, is shown as its number. */
export const visible = (key) =>
  key.replace(INVISIBLE, (each) => ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[each] ?? `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
