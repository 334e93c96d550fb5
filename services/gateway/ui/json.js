// JSON for reading: indented, coloured by kind, its values clickable. Built from text nodes only.
import { el } from "./dom.js";

const MAX_COLOURED_CHARS = 60_000;
const MAX_CLICKABLE_CHARS = 200;

/** The value as elements for a <pre>. `onValue(text)` when a string or number is clicked. */
export function jsonNodes(value, onValue) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  if (text.length > MAX_COLOURED_CHARS) return [text];
  const nodes = [];
  write(value, "", nodes, onValue);
  return nodes;
}

function write(value, indent, nodes, onValue) {
  if (value === null || typeof value !== "object") nodes.push(scalar(value, onValue));
  else {
    const list = Array.isArray(value);
    const entries = Object.entries(value);
    const inner = `${indent}  `;
    if (!entries.length) return nodes.push(list ? "[]" : "{}");
    nodes.push(list ? "[" : "{");
    entries.forEach(([name, item], index) => {
      nodes.push(`${index ? "," : ""}\n${inner}`);
      if (!list) nodes.push(el("span", { class: "json-name" }, JSON.stringify(name)), ": ");
      write(item, inner, nodes, onValue);
    });
    nodes.push(`\n${indent}${list ? "]" : "}"}`);
  }
}

function scalar(value, onValue) {
  const kind = value === null ? "null" : typeof value;
  const text = kind === "string" ? value : String(value);
  const clickable = (kind === "string" || kind === "number") && text && text.length <= MAX_CLICKABLE_CHARS;
  if (!clickable) return el("span", { class: `json-${kind}` }, JSON.stringify(value));
  return el("button", { type: "button", class: `json-value json-${kind}`, title: "Search for this value", on: { click: () => onValue(text) } },
    JSON.stringify(value));
}
