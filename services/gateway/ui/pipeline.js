// The state of the pipeline: asks every 2 s (not while the tab is hidden) and hands the picture what it needs.
import { get } from "./api.js";

const EVERY_MS = 2000;

/** A source of `{overview, ledger, ledgerProblem, problem, seenAt, rates}`; `onChange(state)` after each answer. */
export class PipelineState {
  state = { overview: null, ledger: null, ledgerProblem: null, problem: null, seenAt: 0, rates: {} };
  #onChange;
  #timer = 0;
  #running = false;
  #before = null;

  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  start() {
    this.#running = true;
    this.#ask();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  #wake() {
    if (!this.#running || document.hidden) return;
    clearTimeout(this.#timer);
    this.#ask();
  }

  async #ask() {
    const [overview, ledger] = await Promise.allSettled([get("overview"), get("ledger")]);
    if (!this.#running) return;
    if (overview.status === "fulfilled") this.#adopt(overview.value);
    this.state.problem = overview.reason ?? null;
    if (ledger.status === "fulfilled") this.state.ledger = ledger.value;
    this.state.ledgerProblem = ledger.reason ?? null;
    this.#onChange(this.state);
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), EVERY_MS);
  }

  #adopt(overview) {
    const now = performance.now();
    const counts = { accepted: overview.parts.producer?.accepted, stored: overview.parts.consumer?.stored };
    if (this.#before) {
      const seconds = (now - this.#before.now) / 1000;
      for (const [name, count] of Object.entries(counts)) {
        this.state.rates[name] = ratePerSecond(this.state.rates[name], count - this.#before.counts[name], seconds);
      }
    }
    this.#before = { now, counts };
    this.state.overview = overview;
    this.state.seenAt = Date.now();
  }
}

/** A calm rate: half the new measurement, half what was known; null when the counter went back (a restart) or is missing. */
export function ratePerSecond(before, difference, seconds) {
  if (!(difference >= 0)) return null;
  const rate = difference / seconds;
  if (difference === 0 && (before ?? 0) < 1) return 0;
  return before == null ? rate : (before + rate) / 2;
}
