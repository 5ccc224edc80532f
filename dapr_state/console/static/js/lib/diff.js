// What changed between two texts, line by line (Myers).

const MOST = 2000; // differences that are looked for: beyond, all is said to be new

/** [{kind: "same" | "gone" | "new", text}] */
export function diff(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const same = (lines) => lines.map((text) => ({ kind: "same", text }));
  const middle = changed(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [...same(a.slice(0, start)), ...middle, ...same(end ? a.slice(-end) : [])];
}

function changed(a, b) {
  const trace = path(a, b);
  if (!trace) return [...a.map((text) => ({ kind: "gone", text })), ...b.map((text) => ({ kind: "new", text }))];
  const found = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const reached = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (reached.get(k - 1) ?? -1) < (reached.get(k + 1) ?? -1));
    const from = down ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : reached.get(from) ?? 0;
    const fromY = d === 0 ? 0 : fromX - from;
    while (x > fromX && y > fromY && x > 0 && y > 0 && a[x - 1] === b[y - 1]) {
      x -= 1;
      y -= 1;
      found.push({ kind: "same", text: a[x] });
    }
    if (d === 0) break;
    if (down) {
      y -= 1;
      found.push({ kind: "new", text: b[y] });
    } else {
      x -= 1;
      found.push({ kind: "gone", text: a[x] });
    }
  }
  return found.reverse();
}

/** How far each diagonal was reached before each step, or null if there are too many differences. */
function path(a, b) {
  const trace = [];
  const reached = new Map([[1, 0]]);
  for (let d = 0; d <= Math.min(MOST, a.length + b.length); d += 1) {
    trace.push(new Map(reached));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reached.get(k - 1) ?? -1) < (reached.get(k + 1) ?? -1));
      let x = down ? reached.get(k + 1) ?? 0 : reached.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reached.set(k, x);
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

/** Changes with `around` lines beside them; what is left out between is one entry with its number of lines. */
export function hunks(lines, around = 3) {
  const near = new Set();
  lines.forEach((line, at) => {
    if (line.kind !== "same") for (let each = at - around; each <= at + around; each += 1) near.add(each);
  });
  const shown = [];
  lines.forEach((line, at) => {
    if (near.has(at)) shown.push(line);
    else if (shown.at(-1)?.kind === "left out") shown.at(-1).count += 1;
    else shown.push({ kind: "left out", count: 1 });
  });
  return shown;
}
