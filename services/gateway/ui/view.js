// What the page shows, as a value; it lives in the address (never the token) so that it can be shared and gone back to.
import { toWire } from "./time.js";

export const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/** Relative time ranges; null is all time. */
export const RANGES = {
  "15m": { label: "15 min", words: "the last 15 minutes", ms: 15 * 60e3 },
  "1h": { label: "1 h", words: "the last hour", ms: 3600e3 },
  "24h": { label: "24 h", words: "the last 24 hours", ms: 86400e3 },
  "7d": { label: "7 d", words: "the last 7 days", ms: 7 * 86400e3 },
  all: { label: "All", words: "all time", ms: null },
};
export const DEFAULT_RANGE = "1h";

/** Reads a view from an address's query; what it does not understand falls back to the default. */
export function parseView(search) {
  const params = new URLSearchParams(search);
  const level = (params.get("level") ?? "").toUpperCase().split(",");
  const from = Date.parse(params.get("from") ?? "");
  const to = Date.parse(params.get("to") ?? "");
  const custom = from < to;
  const range = params.get("range");
  return {
    q: params.get("q") ?? "",
    service: params.get("service") ?? "",
    levels: LEVELS.filter((name) => level.includes(name)),
    range: custom ? "custom" : Object.hasOwn(RANGES, range ?? "") ? range : DEFAULT_RANGE,
    from: custom ? from : null,
    to: custom ? to : null,
    live: params.get("live") === "1" && !custom,
    id: params.get("id") ?? "",
  };
}

/** Writes a view as an address's query; defaults are left out. */
export function formatView(view) {
  const params = new URLSearchParams();
  if (view.q) params.set("q", view.q);
  if (view.service) params.set("service", view.service);
  if (view.levels.length) params.set("level", view.levels.join(","));
  if (view.range === "custom") {
    params.set("from", toWire(view.from));
    params.set("to", toWire(view.to));
  } else if (view.range !== DEFAULT_RANGE) params.set("range", view.range);
  if (view.live) params.set("live", "1");
  if (view.id) params.set("id", view.id);
  const query = params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return query ? `?${query}` : "";
}

/** Relative ranges begin at a multiple of this part of themselves: the same question is asked again, and a kept answer will do. */
const STEPS = 60;

/** The API parameters of a view's filters (from, to, level, service, q). Relative ranges are counted back from `now`. */
export function filterParams(view, now = Date.now()) {
  const back = view.range === "custom" ? null : RANGES[view.range].ms;
  const step = back / STEPS;
  return {
    from: view.range === "custom" ? toWire(view.from) : back === null ? null : toWire(Math.floor((now - back) / step) * step),
    to: view.range === "custom" ? toWire(view.to) : null,
    ...contentParams(view),
  };
}

/** The API parameters that do not concern time: level, service, q. */
export function contentParams(view) {
  return { level: view.levels.join(",") || null, service: view.service || null, q: view.q.trim() || null };
}

/** The words to be marked in messages. */
export const searchWords = (view) => view.q.toLowerCase().split(/\s+/).filter(Boolean);

/**
 * The page's view with its history. `onChange(view, changed)` is called after each change with the Set of names that differ.
 */
export function createViewState(onChange) {
  let view = parseView(location.search);

  function adopt(next) {
    const changed = new Set(Object.keys(next).filter((name) => String(next[name]) !== String(view[name])));
    view = next;
    if (changed.size) onChange(view, changed);
  }

  addEventListener("popstate", () => adopt(parseView(location.search)));

  return {
    get now() {
      return view;
    },
    /** Changes parts of the view. `replace` keeps the history as it is (typing, moving through events). */
    set(patch, { replace = false } = {}) {
      const next = { ...view, ...patch };
      if (next.range !== "custom") next.from = next.to = null;
      const address = location.pathname + formatView(next);
      if (formatView(next) !== formatView(view)) {
        if (replace) history.replaceState(null, "", address);
        else history.pushState(null, "", address);
      }
      adopt(next);
    },
  };
}
