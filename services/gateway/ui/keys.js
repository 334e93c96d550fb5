// The keyboard, and the dialog that explains it.
import { byId, button, el, icon } from "./dom.js";

const HELP = [
  [["/"], "search"],
  [["j", "↓"], "next event"],
  [["k", "↑"], "previous event"],
  [["g", "G"], "newest, oldest loaded"],
  [["Enter"], "open the event; again: into the panel"],
  [["Esc"], "close, leave a field"],
  [["l"], "live tail on or off"],
  [["r"], "refresh"],
  [["u"], "local time or UTC"],
  [["t"], "theme: auto, light, dark"],
  [["?"], "this help"],
];

/** Calls `actions[name]()` for the page's keys; keys typed into fields stay there. Actions are named in KEYS. */
export function listenToKeys(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (byId("app").hidden || byId("help").open) return;
    if (event.key === "Escape") return void actions.escape(event);
    if (event.target.closest("input, textarea, select")) return;
    const name = KEYS[event.key];
    if (!name || (event.target.closest("button, a") && event.key === "Enter")) return;
    if (NEEDS_LIST.has(event.key) && event.target !== document.body && event.target !== byId("list")) return;
    event.preventDefault();
    actions[name]();
  });
}

const KEYS = {
  "/": "search", j: "next", ArrowDown: "next", k: "previous", ArrowUp: "previous", g: "first", Home: "first", G: "last", End: "last",
  PageDown: "nextPage", PageUp: "previousPage", Enter: "open", l: "live", r: "refresh", u: "zone", t: "theme", "?": "help",
};
/** These scroll or act elsewhere, so they are the list's only when nothing else has the focus. */
const NEEDS_LIST = new Set(["ArrowDown", "ArrowUp", "Home", "End", "PageDown", "PageUp", "Enter"]);

/** Opens the dialog; `onSignOut()` when another token is wanted. */
export function showHelp(onSignOut) {
  const dialog = byId("help");
  const close = () => dialog.close();
  dialog.replaceChildren(
    el("header", { class: "detail-head" }, el("h2", { id: "help-title" }, "Keyboard and help"),
      el("button", { type: "button", class: "button quiet square", "aria-label": "Close", on: { click: close } }, icon("close"))),
    el("dl", { class: "keys" }, HELP.flatMap(([keys, text]) => [el("dt", {}, keys.map((key) => el("kbd", {}, key))), el("dd", {}, text)])),
    el("p", { class: "hint" }, "All words of a search have to occur in an event's message or attributes. Drag over the histogram to zoom in. " +
      "The address of this page holds the search, so it can be shared; the token is not part of it."),
    el("div", { class: "actions" }, button("Use another token", () => (close(), onSignOut()))));
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  dialog.showModal();
}
