// The state of the pipeline: asks every 2 s (not while the tab is hidden) and hands the picture what it needs.
import { get, getAnswer } from "./api.js";
import { adoptLimits } from "./limits.js";

const EVERY_MS = 2000;
/** Reads of a look, and the part of the organisation's limit for reads that all looks may take. */
const READS = 2;
const SHARE = 0.25;
const NO_LEDGER = { body: null, asOf: null };

/**
 * A source of `{overview, ledger, ledgerAsOf, ledgerProblem, problem, seenAt, rates}`; `onChange(state)` after each answer.
 * The ledger is asked for only when the overview says that the token may see figures.
 */
export class PipelineState {
  state = { overview: null, ledger: null, ledgerAsOf: null, ledgerProblem: null, problem: null, seenAt: 0, rates: {} };
  #onChange;
  #timer = 0;
  #running = false;
  #before = null;
  #limits = null;

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
    const [overview, limits] = await Promise.allSettled([get("overview"), get("limits", {}, { limited: false })]);
    if (!this.#running) return;
    if (overview.status === "fulfilled") this.#adopt(overview.value);
    const [ledger] = await Promise.allSettled([this.state.overview?.figures ? getAnswer("ledger") : NO_LEDGER]);
    if (!this.#running) return;
    if (ledger.status === "fulfilled") Object.assign(this.state, { ledger: ledger.value.body, ledgerAsOf: ledger.value.asOf });
    if (limits.status === "fulfilled") adoptLimits((this.#limits = limits.value));
    // A limit that is used up says nothing about the pipeline: what was seen last stays.
    if (!overview.reason?.limited) this.state.problem = overview.reason ?? null;
    if (!ledger.reason?.limited) this.state.ledgerProblem = ledger.reason ?? null;
    this.#onChange(this.state);
    clearTimeout(this.#timer);
    const pause = overview.reason?.retryAfter ?? 0;
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), Math.max(1000 * pause, lookEvery(this.#limits?.read)));
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

/** Milliseconds between looks, so that a small limit for reads is left to people. */
export const lookEvery = (read) => Math.max(EVERY_MS, read ? (1000 * READS) / (SHARE * read.perSecond) : 0);

/** A calm rate: half the new measurement, half what was known; null when the counter went back (a restart) or is missing. */
export function ratePerSecond(before, difference, seconds) {
  if (!(difference >= 0)) return null;
  const rate = difference / seconds;
  if (difference === 0 && (before ?? 0) < 1) return 0;
  return before == null ? rate : (before + rate) / 2;
}
