// The controls that narrow the search: text, service, levels, time range. They show the view and change it.
import { byId, button, el, setText } from "./dom.js";
import { fromInput, localZone, isUtc, rangeLabel, toInput } from "./time.js";
import { LEVELS, RANGES } from "./view.js";

const TYPING_MS = 250;
const MAX_SERVICES = 500;

/** Wires the controls of index.html to the view state. */
export class Filters {
  #view;
  #chips = new Map();
  #ranges = new Map();
  #services = new Set();
  #typing = 0;
  #typed = false;

  constructor(view) {
    this.#view = view;
    this.#wireText();
    this.#wireService();
    for (const level of LEVELS) byId("levels").append(this.#chip(level));
    for (const [name, range] of Object.entries(RANGES)) byId("ranges").append(this.#rangeButton(name, range.label));
    byId("ranges").append(this.#rangeButton("custom", "Custom"));
    this.#wireCustom();
    this.update(view.now);
  }

  /** Shows a view in the controls. What is being typed is left alone. */
  update(view) {
    const text = byId("q");
    const typing = document.activeElement === text && (this.#typing || text.value.trim() === view.q);
    if (!typing) text.value = view.q;
    if (document.activeElement !== byId("service") || view.service) byId("service").value = view.service;
    byId("service").parentElement.classList.toggle("set", Boolean(view.service));
    for (const [level, { node }] of this.#chips) {
      node.ariaPressed = String(view.levels.includes(level));
      node.classList.toggle("unused", view.levels.length > 0 && !view.levels.includes(level));
    }
    for (const [name, node] of this.#ranges) node.ariaPressed = String(name === view.range);
    setText(this.#ranges.get("custom"), view.range === "custom" ? rangeLabel(view.from, view.to) : "Custom");
  }

  /** Shows how many events each level has; null when it is not known. */
  setCounts(counts) {
    for (const [level, { count }] of this.#chips) setText(count, counts ? compact(counts[level] ?? 0) : "");
  }

  /** Offers these services while typing in the service field. */
  addServices(names) {
    for (const name of names) {
      if (this.#services.has(name) || this.#services.size >= MAX_SERVICES) continue;
      this.#services.add(name);
      byId("services").append(el("option", { value: name }));
    }
  }

  /** Closes the form for a custom range. Returns false when it was not open. */
  closeCustom() {
    if (byId("custom-range").hidden) return false;
    byId("custom-range").hidden = true;
    return true;
  }

  #wireText() {
    const text = byId("q");
    text.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#applyText(), TYPING_MS);
    });
    text.addEventListener("blur", () => (this.#typed = false));
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#applyText();
      byId("list").focus();
    });
  }

  /** One entry in the history for one visit to the field, however often the typing pauses. */
  #applyText() {
    clearTimeout(this.#typing);
    this.#typing = 0;
    this.#view.set({ q: byId("q").value.trim() }, { replace: this.#typed });
    this.#typed = true;
  }

  #wireService() {
    const field = byId("service");
    const apply = () => this.#view.set({ service: field.value.trim() });
    field.addEventListener("change", apply);
    field.addEventListener("input", () => {
      if (field.value === "" || this.#services.has(field.value)) apply();
    });
  }

  #chip(level) {
    const count = el("span", { class: "count" });
    const toggle = () => {
      const { levels } = this.#view.now;
      const next = levels.includes(level) ? levels.filter((name) => name !== level) : [...levels, level];
      this.#view.set({ levels: LEVELS.filter((name) => next.includes(name)) });
    };
    const node = el("button", { type: "button", class: "chip", "aria-pressed": "false", data: { level }, on: { click: toggle } },
      el("span", { class: "name" }, level), count);
    this.#chips.set(level, { node, count });
    return node;
  }

  #rangeButton(name, label) {
    const choose = () => (name === "custom" ? this.#openCustom() : this.#view.set({ range: name }));
    const node = button(label, choose, { class: "segment", "data-range": name, "aria-pressed": "false" });
    this.#ranges.set(name, node);
    return node;
  }

  #openCustom() {
    if (this.closeCustom()) return;
    const { now } = this.#view;
    const to = now.to ?? Date.now();
    byId("custom-from").value = toInput(now.from ?? to - (RANGES[now.range]?.ms ?? 86400e3));
    byId("custom-to").value = toInput(to);
    setText(byId("custom-zone"), isUtc() ? "UTC" : localZone());
    setText(byId("custom-error"), "");
    byId("custom-range").hidden = false;
    byId("custom-from").focus();
  }

  #wireCustom() {
    byId("custom-cancel").addEventListener("click", () => this.closeCustom());
    byId("custom-range").addEventListener("submit", (event) => {
      event.preventDefault();
      const from = fromInput(byId("custom-from").value);
      const to = fromInput(byId("custom-to").value);
      if (!(from < to)) {
        setText(byId("custom-error"), "“From” has to be before “To”.");
        return;
      }
      this.closeCustom();
      this.#view.set({ range: "custom", from, to, live: false });
    });
  }
}

/** 950, 1.2k, 45k, 3.4M */
function compact(count) {
  if (count < 1000) return String(count);
  const [size, unit] = count < 1e6 ? [count / 1e3, "k"] : [count / 1e6, "M"];
  return `${size < 10 ? (Math.floor(size * 10) / 10).toString() : Math.floor(size)}${unit}`;
}
