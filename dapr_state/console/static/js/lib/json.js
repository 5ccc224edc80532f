// JSON as a tree over its own text: every number, string and member is a place in the source, so that what is shown and
// copied is what is stored, digit by digit. Nothing here ever becomes a JavaScript number.

const BLANK = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const DEEPEST = 900; // as the sidecar's own limit

/** Why a text is no JSON, and where. */
export class NotJson extends Error {
  constructor(message, text, at) {
    const before = text.slice(0, at).split("\n");
    super(`${message} (line ${before.length}, column ${before.at(-1).length + 1})`);
    this.at = at;
  }
}

/**
 * The tree: `kind` is object, array, string, number or word; `start` and `end` are places in the text.
 * Members of objects have `name`, as written; double names stay two members.
 */
export function parse(text) {
  const reader = new Reader(text);
  const root = reader.value(0);
  reader.blank();
  if (reader.at < text.length) throw new NotJson("More text behind the value", text, reader.at);
  return root;
}

export function problem(text) {
  try {
    parse(text);
    return null;
  } catch (error) {
    if (error instanceof NotJson) return error.message;
    throw error;
  }
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (!found) return null;
    this.at = pattern.lastIndex;
    return found[0];
  }

  blank() {
    this.take(BLANK);
  }

  fail(message) {
    throw new NotJson(this.at >= this.text.length ? "The text ends too early" : message, this.text, this.at);
  }

  value(depth) {
    if (depth > DEEPEST) this.fail(`Nested deeper than ${DEEPEST}`);
    this.blank();
    const start = this.at;
    const first = this.text[start];
    if (first === "{") return this.members(start, "object", "}", depth);
    if (first === "[") return this.members(start, "array", "]", depth);
    if (first === '"') return this.string(start);
    const kind = this.take(WORD) ? "word" : this.take(NUMBER) ? "number" : this.fail("A value is expected");
    return { kind, start, end: this.at };
  }

  string(start) {
    if (!this.take(STRING)) this.fail("A string is expected, its quotes and escapes right");
    return { kind: "string", start, end: this.at };
  }

  members(start, kind, close, depth) {
    this.at += 1;
    const children = [];
    this.blank();
    if (this.text[this.at] === close) {
      this.at += 1;
      return { kind, start, end: this.at, children };
    }
    for (;;) {
      children.push(kind === "object" ? this.member(depth) : this.value(depth + 1));
      this.blank();
      const next = this.text[this.at];
      if (next !== "," && next !== close) this.fail(`"," or "${close}" is expected`);
      this.at += 1;
      if (next === close) return { kind, start, end: this.at, children };
    }
  }

  member(depth) {
    this.blank();
    const name = this.string(this.at);
    this.blank();
    if (this.text[this.at] !== ":") this.fail('":" is expected');
    this.at += 1;
    return { ...this.value(depth + 1), name: this.text.slice(name.start, name.end) };
  }
}

/** The text with members on lines of their own; numbers and strings as they were. */
export function indented(text, node = parse(text), before = "") {
  if (!node.children?.length) return node.children ? text[node.start] + text[node.end - 1] : text.slice(node.start, node.end);
  const inner = `${before}  `;
  const lines = node.children.map((each) => `${inner}${each.name ? `${each.name}: ` : ""}${indented(text, each, inner)}`);
  return `${text[node.start]}\n${lines.join(",\n")}\n${before}${text[node.end - 1]}`;
}

/** The same without blanks between. */
export function compact(text, node = parse(text)) {
  if (!node.children) return text.slice(node.start, node.end);
  const inside = node.children.map((each) => `${each.name ? `${each.name}:` : ""}${compact(text, each)}`);
  return text[node.start] + inside.join(",") + text[node.end - 1];
}
