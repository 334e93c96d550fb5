// The line of what guards the pipeline: circuit breakers, and what the organisation's limits have left.
import { el } from "./dom.js";
import { readsPause } from "./limits.js";

/** Words for a breaker's state, and how it is to be seen. */
const STATES = {
  closed: ["closed", "good"],
  half_open: ["half open", "warn"],
  open: ["open", "bad"],
  forced_closed: ["forced closed", "warn"],
  forced_open: ["forced open", "bad"],
};
/** Breakers shown while the partitions are not; those that are not closed come first. */
const FEW = 6;
const COUNTDOWN_MS = 1000;

const number = (value) => value.toLocaleString("en");

/** Draws into `root` from overview's breakers and the limits of limits.js. */
export class GuardsView {
  #root;
  #breakers = el("ul", { class: "breakers", "aria-label": "Circuit breakers" });
  #limits = el("ul", { class: "limits", "aria-label": "Limits of the organisation" });
  #shown = [];
  #all = false;
  #standing = null;
  #timer = 0;

  constructor(root) {
    this.#root = root;
    root.append(this.#breakers, this.#limits);
  }

  /** Shows breakers, as `[{dependency, state, because}]`. */
  updateBreakers(breakers) {
    this.#shown = breakers;
    this.#drawBreakers();
  }

  /** Shows all breakers, or only the first few. */
  showAll(all) {
    this.#all = all;
    this.#root.classList.toggle("all", all);
    this.#drawBreakers();
  }

  /** Shows limits, as `{write, read}`, and counts down while reading pauses. */
  updateLimits(standing) {
    this.#standing = standing;
    clearTimeout(this.#timer);
    const pause = readsPause();
    if (pause) this.#timer = setTimeout(() => this.updateLimits(this.#standing), COUNTDOWN_MS);
    const lines = [
      standing.write && limitLine("write", "events", standing.write),
      standing.read && limitLine("read", "requests", standing.read),
      pause > 0 && el("li", { data: { tone: "warn" } }, el("span", { class: "state" }, `reading pauses and goes on in ${pause} s`)),
    ].filter(Boolean);
    replace(this.#limits, lines.length ? [el("li", { class: "guards-name", role: "presentation" }, "Limits"), ...lines] : []);
  }

  #drawBreakers() {
    const sorted = this.#shown.toSorted((a, b) => (a.state === "closed") - (b.state === "closed"));
    const lines = (this.#all ? sorted : sorted.slice(0, FEW)).map(breakerLine);
    const more = sorted.length - lines.length;
    if (more) lines.push(el("li", { class: "hint" }, `and ${more} more`));
    replace(this.#breakers, lines.length ? [el("li", { class: "guards-name", role: "presentation" }, "Breakers"), ...lines] : []);
  }
}

/** Leaves what is the same in place, so that polling disturbs no selection. */
function replace(list, lines) {
  list.hidden = !lines.length;
  const text = lines.map((line) => line.outerHTML).join("");
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...lines);
}

function breakerLine({ dependency, state, because }) {
  const [words, tone] = STATES[state] ?? [state, "warn"];
  return el("li", { class: "breaker", data: { state, tone } },
    el("span", { class: "mark", "aria-hidden": "true" }), el("span", { class: "dependency" }, dependency), " ",
    el("span", { class: "state" }, words),
    state !== "closed" && because && el("span", { class: "because" }, ` – ${because}`));
}

function limitLine(kind, unit, { remaining, burst, perSecond, by }) {
  const decided = by === "redis" ? "kept for all gateways together" : "kept by this gateway for its part";
  return el("li", { class: "limit", data: { kind, tone: remaining ? "good" : "warn" }, title: `${number(perSecond)} ${unit} a second, ${number(burst)} at once; ${decided}` },
    `${kind} `, el("strong", { class: "state" }, number(remaining)), ` of ${number(burst)} ${unit} left, ${number(perSecond)}/s`);
}
