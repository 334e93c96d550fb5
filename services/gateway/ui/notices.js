// Messages between the header and the logs: each has a key, so that it is replaced or taken away by who put it there.
import { byId, el, icon } from "./dom.js";

const shown = new Map();

/** Shows a message; `tone` is "info", "warn" or "bad", `actions` are buttons. The same key replaces the former message. */
export function notice(key, tone, text, ...actions) {
  const old = shown.get(key);
  if (old?.dataset.text === text) return;
  const close = el("button", { type: "button", class: "button quiet square", "aria-label": "Dismiss", on: { click: () => clearNotice(key) } }, icon("close"));
  const node = el("div", { class: "notice", data: { tone, text, key } }, el("span", {}, text), ...actions, close);
  if (old) old.replaceWith(node);
  else byId("notices").append(node);
  shown.set(key, node);
}

/** Takes a message away. */
export function clearNotice(key) {
  shown.get(key)?.remove();
  shown.delete(key);
}
