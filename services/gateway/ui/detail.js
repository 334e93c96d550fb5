// The panel with one event: everything it holds, and what one does next with it.
import { announce, button, copy, el, icon } from "./dom.js";
import { jsonNodes } from "./json.js";
import { setMarked } from "./row.js";
import { ago, full } from "./time.js";

const AROUND_MS = 30_000;

/**
 * Handlers: `onClose()`, `onService(name)`, `onValue(text)` to search for a value, `onAround(fromMs, toMs)`,
 * `linkOf(id)` the address that shows this event.
 */
export class Detail {
  #root;
  #handlers;
  /** The id of the event shown, or "". */
  id = "";

  constructor(root, handlers) {
    this.#root = root;
    this.#handlers = handlers;
  }

  /** Shows an event; words that `pattern` finds are marked. */
  show(log, pattern) {
    const ms = Date.parse(log.timestamp);
    this.#open(log.id,
      el("header", { class: "detail-head" },
        el("span", { class: "badge", data: { level: log.level } }, log.level),
        el("h2", {}, log.service), this.#closeButton()),
      el("div", { class: "detail-body" },
        el("div", { class: "actions" },
          button("Filter by this service", () => this.#handlers.onService(log.service)),
          button("Around this time", () => this.#handlers.onAround(ms - AROUND_MS, ms + AROUND_MS), { title: "All events from 30 s before to 30 s after" }),
          button("Copy link", () => copy(this.#handlers.linkOf(log.id), "Link")),
          button("Copy JSON", () => copy(JSON.stringify(log, null, 2), "Event"))),
        this.#message(log, pattern),
        facts(log, ms),
        this.#attributes(log)));
    announce(`${log.level}, ${log.service}: ${log.message.slice(0, 200)}`);
  }

  /** Shows that an event is being fetched. */
  showLoading(id) {
    this.#open(id, el("header", { class: "detail-head" }, el("h2", {}, "Event"), this.#closeButton()),
      el("div", { class: "detail-body" }, el("p", { class: "hint loading-late" }, "Loading…")));
  }

  /** Shows why an event cannot be shown. */
  showProblem(id, problem, onRetry) {
    const text = problem.status === 404 ? "There is no such event: not stored yet, older than the retention, or of another organisation." : problem.detail;
    this.#open(id, el("header", { class: "detail-head" }, el("h2", {}, "Event"), this.#closeButton()),
      el("div", { class: "detail-body" }, el("p", { class: "error-text", role: "alert" }, text),
        el("p", { class: "hint mono" }, id), button("Try again", onRetry)));
  }

  /** Moves the keyboard into the panel. */
  focus() {
    this.#root.querySelector("button")?.focus();
  }

  /** Takes the panel away. Returns false when it was not there. */
  close() {
    if (this.#root.hidden) return false;
    this.#root.hidden = true;
    this.#root.replaceChildren();
    this.id = "";
    return true;
  }

  #open(id, ...content) {
    const keepFocus = this.#root.contains(document.activeElement);
    this.id = id;
    this.#root.hidden = false;
    this.#root.replaceChildren(...content);
    if (keepFocus) this.focus();
  }

  #closeButton() {
    return el("button", {
      type: "button", class: "button quiet square", "aria-label": "Close", title: "Close (Esc)", on: { click: () => this.#handlers.onClose() },
    }, icon("close"));
  }

  #message(log, pattern) {
    const text = el("pre", { class: "message-text", tabindex: "0" });
    setMarked(text, log.message, pattern, 500);
    return el("section", {}, el("div", { class: "section-head" }, el("h3", {}, "Message"),
      button("Copy", () => copy(log.message, "Message"), { class: "button quiet" })), text);
  }

  #attributes(log) {
    if (!log.attributes || !Object.keys(log.attributes).length) return null;
    return el("section", {}, el("div", { class: "section-head" }, el("h3", {}, "Attributes"),
      button("Copy", () => copy(JSON.stringify(log.attributes, null, 2), "Attributes"), { class: "button quiet" })),
    el("pre", { class: "json" }, ...jsonNodes(log.attributes, this.#handlers.onValue)));
  }
}

function facts(log, ms) {
  const rows = [
    ["Time", full(ms, false), el("span", { class: "hint" }, ` ${ago(ms)}`)],
    ["UTC", log.timestamp],
    ["Service", log.service],
    ["Organisation", log.organizationId],
    ["Trace id", log.traceId],
    ["Span id", log.spanId],
    ["Id", log.id],
  ];
  return el("dl", { class: "facts-list" }, rows.filter(([, value]) => value).flatMap(([name, ...value]) => [el("dt", {}, name), el("dd", {}, ...value)]));
}
