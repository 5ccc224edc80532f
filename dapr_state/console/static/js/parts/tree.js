// A JSON value as a tree: folded below the second level and above 200 members; what is copied is the source's own text.
import { count } from "../lib/format.js";
import { html, useMemo, useState } from "../lib/ui.js";
import { Copy, Icon } from "./basics.js";

const OPEN_LEVELS = 2;
const SHARE = 200;

export function Tree({ text, root }) {
  return html`<div class="tree"><${Node} text=${text} node=${root} depth=${0} last=${true} /></div>`;
}

const BRACKETS = { object: "{}", array: "[]" };

function Node({ text, node, depth, last }) {
  const source = text.slice(node.start, node.end);
  if (!node.children) {
    return html`<div class="node"><${Name} node=${node} /><span><span class=${node.kind}>${source}</span>${!last && ","}</span><${Copy} text=${source} label="Copy this value" /></div>`;
  }
  return html`<${Branch} text=${text} node=${node} depth=${depth} last=${last} source=${source} />`;
}

const Name = ({ node }) => node.name && html`<span class="name">${node.name}</span><span class="faint">: </span>`;

function Branch({ text, node, depth, last, source }) {
  const total = node.children.length;
  const [isOpen, setOpen] = useState(depth < OPEN_LEVELS && total <= SHARE && total > 0);
  const [shown, setShown] = useState(SHARE);
  const members = useMemo(() => node.children.slice(0, shown), [node, shown]);
  const [open, close] = BRACKETS[node.kind];
  const what = `${count(total)} ${node.kind === "object" ? (total === 1 ? "member" : "members") : total === 1 ? "item" : "items"}`;
  if (!total) return html`<div class="node"><${Name} node=${node} />${open}${close}${!last && ","}</div>`;
  return html`<div class="branch">
    <div class="node">
      <button type="button" class="fold" aria-expanded=${String(isOpen)} aria-label=${`${node.name ?? "value"}, ${what}`} onClick=${() => setOpen(!isOpen)}><${Icon} of="right" size=${12} /></button>
      <${Name} node=${node} />${open}${!isOpen && html`<span class="folded">${what}</span>${close}${!last && ","}`}
      ${isOpen && html`<span class="amount">${what}</span>`}<${Copy} text=${source} label=${`Copy this ${node.kind}`} />
    </div>
    ${isOpen &&
    html`<div class="members">
        ${members.map((each, at) => html`<${Node} key=${at} text=${text} node=${each} depth=${depth + 1} last=${at === total - 1} />`)}
        ${shown < total && html`<button type="button" class="more" onClick=${() => setShown(shown + SHARE)}>${count(total - shown)} more</button>`}
      </div>
      <div class="node">${close}${!last && ","}</div>`}
  </div>`;
}
