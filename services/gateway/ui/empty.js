// What stands below the rows: loading, the end, an error, or help when there is nothing to show.
import { get, post, readScope } from "./api.js";
import { button, copy, el } from "./dom.js";
import * as session from "./session.js";
import { rangeLabel } from "./time.js";
import { contentParams, RANGES } from "./view.js";

const count = (value, one, many = `${one}s`) => `${value.toLocaleString("en")} ${value === 1 ? one : many}`;

/** The text for a feed that has rows, or is about to have them. */
export function footOf(feed) {
  switch (feed.phase) {
    case "first":
    case "more":
      return [el("p", { class: "hint loading-late" }, feed.rows.length ? "Loading older events…" : "Searching…")];
    case "end":
      return [el("p", { class: "hint" }, `${count(feed.rows.length, "event")}. There are no older ones in this search.`)];
    case "full":
      return [el("p", { class: "hint" }, `${count(feed.rows.length, "row")} are loaded. Choose an earlier time range to see older ones.`)];
    case "failed":
      return [problemBox(feed)];
    default:
      return [];
  }
}

/** An error of the search in words, with what happens next. */
export function problemBox(feed) {
  const seconds = Math.max(1, Math.ceil((feed.retryAt - Date.now()) / 1000));
  const again = feed.retryAt ? ` The page tries again by itself in ${seconds} s.` : "";
  return el("div", { class: "problem", role: "alert", data: { tone: feed.problem.limited ? "warn" : "bad" } }, el("strong", {}, feed.problem.title),
    el("p", {}, `${feed.problem.detail}${again}`), button("Try again", () => feed.retry()));
}

/**
 * Help when a search found nothing: widen it, or send a first event. Looks up what there is without the filters.
 * `set(patch)` changes the view. Resolves to nodes.
 */
export async function emptyState(view, set) {
  const all = await get("stats", readScope());
  if (!all.total) return firstEvent(set);
  const filtered = Boolean(view.q || view.service || view.levels.length);
  const anywhere = filtered ? await get("stats", { ...contentParams(view), ...readScope() }) : all;
  const span = view.range === "custom" ? rangeLabel(view.from, view.to) : RANGES[view.range].words;
  const narrow = view.range !== "all";
  const actions = [
    narrow && anywhere.total && button(`Show ${count(anywhere.total, "event")} of all time`, () => set({ range: "all" }), { class: "button primary" }),
    filtered && button("Clear the filters", () => set({ q: "", service: "", levels: [] })),
  ];
  return [el("div", { class: "empty" },
    el("h2", {}, filtered ? "Nothing matches" : "Nothing here"),
    el("p", {}, `No events in ${span}${filtered ? ` with ${filterWords(view)}` : ""}.`),
    el("p", { class: "hint" }, anywhere.total ? "There are some at other times." : `The organisation has ${count(all.total, "event")} in all.`),
    el("div", { class: "actions" }, ...actions.filter(Boolean)))];
}

function filterWords(view) {
  return [
    view.q && `“${view.q}” in them`,
    view.service && `service ${view.service}`,
    view.levels.length && `level ${view.levels.join(" or ")}`,
  ].filter(Boolean).join(", ");
}

const FIRST_EVENT = { service: "hello", level: "INFO", message: "my first event", attributes: { answer: 42 } };

/** Help for an organisation without a single event. */
function firstEvent(set) {
  const event = session.readsAny() ? { organizationId: session.organisation(), ...FIRST_EVENT } : FIRST_EVENT;
  const command = (token) => [
    `curl ${new URL("api/v1/logs", document.baseURI)} \\`,
    `  -H "Authorization: Bearer ${token}" -H "Content-Type: application/json" \\`,
    `  -d '${JSON.stringify(event)}'`,
  ].join("\n");
  const answer = el("p", { class: "hint", role: "status" });
  const send = async () => {
    try {
      const { accepted } = await post("logs", event);
      answer.textContent = `${count(accepted, "event")} accepted.`;
      set({ live: true, range: "1h" });
    } catch (problem) {
      answer.textContent = `Not accepted: ${problem.detail}`;
    }
  };
  return [el("div", { class: "empty" },
    el("h2", {}, "No events yet"),
    el("p", {}, `Organisation ${session.organisation()} has no events. Send a first one:`),
    session.readsAny() && el("p", { class: "hint" }, "Your token reads any organisation: choose another one at the top of the page."),
    el("pre", { class: "command" }, command("$TOKEN")),
    el("div", { class: "actions" },
      button("Copy with my token", () => copy(command(session.token()), "Command"), { class: "button primary" }),
      button("Send it from here", send)),
    answer)];
}
