// One line of the list: from a log record to elements. Text is only ever set as text.
import { el } from "./dom.js";
import { clock, day, full } from "./time.js";

const MESSAGE_CHARS = 600;
const ATTRIBUTE_CHARS = 240;

/** What the list keeps of a record: the record itself, its moment in ms, and whether it arrived live. */
export function makeRow(log, fresh = false) {
  return { log, ms: Date.parse(log.timestamp), fresh };
}

/** The message's first line, shortened, and how many lines follow it. */
export function firstLine(message) {
  const end = message.indexOf("\n");
  const line = (end < 0 ? message : message.slice(0, end)).slice(0, MESSAGE_CHARS);
  let more = 0;
  for (let at = end; at >= 0 && at < message.length - 1; at = message.indexOf("\n", at + 1)) more += 1;
  return { line, more };
}

/** Attributes in one line: "status=500 path=/pay", objects as JSON. */
export function attributesLine(attributes) {
  let text = "";
  for (const [name, value] of Object.entries(attributes ?? {})) {
    text += `${text ? "  " : ""}${name}=${typeof value === "object" ? JSON.stringify(value) : value}`;
    if (text.length > ATTRIBUTE_CHARS) return `${text.slice(0, ATTRIBUTE_CHARS)}…`;
  }
  return text;
}

/** A pattern that finds any of the words, or null when there are none. */
export function wordPattern(words) {
  if (!words.length) return null;
  return new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "gi");
}

/** Puts the text into the node, with <mark> around what the pattern finds. */
export function setMarked(node, text, pattern, limit = 20) {
  if (!pattern) {
    node.textContent = text;
    return;
  }
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (parts.length >= 2 * limit) break;
    parts.push(text.slice(at, match.index), el("mark", {}, match[0]));
    at = match.index + match[0].length;
  }
  node.replaceChildren(...parts, text.slice(at));
}

let serial = 0;

/** An empty line; `fillRow` gives it content, again and again. */
export function emptyRow() {
  const cell = (name) => el("span", { class: name, role: "gridcell" });
  const node = el("div", { class: "row", role: "row", id: `row-${(serial += 1)}` },
    cell("time"), cell("level"), cell("origin"), cell("message"));
  node.cells = [...node.children];
  node.cells[0].append(el("span", { class: "day" }), el("span", { class: "clock" }));
  node.cells[3].append(el("span", { class: "text" }), el("span", { class: "more" }), el("span", { class: "attributes" }));
  return node;
}

/** Shows a row in a line. */
export function fillRow(node, row, pattern) {
  const { log, ms } = row;
  const [time, level, origin, message] = node.cells;
  const { line, more } = firstLine(log.message);
  node.dataset.level = log.level;
  node.dataset.id = log.id;
  time.firstChild.textContent = day(ms);
  time.lastChild.textContent = clock(ms);
  time.title = `${full(ms, false)}\n${full(ms, true)}`;
  level.textContent = log.level;
  origin.textContent = log.service;
  origin.title = log.service;
  const [text, moreLines, attributes] = message.children;
  setMarked(text, line, pattern);
  moreLines.textContent = more ? `+${more} ${more === 1 ? "line" : "lines"}` : "";
  setMarked(attributes, attributesLine(log.attributes), pattern);
  node.classList.toggle("fresh", row.fresh);
  row.fresh = false;
}
