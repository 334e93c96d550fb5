// The rows of the list: a page by a page from the search, and what the live tail puts on top.
import { getAnswer, isAbort, readScope } from "./api.js";
import { older } from "./freshness.js";
import { makeRow } from "./row.js";

const FIRST_PAGE = 200;
const PAGE = 1000;
const SMALL_PAGE = 100;
const BIG_PAGE_CHARS = 4_000_000;
/** Rows kept while paging back; more than anyone reads. */
const MAX_ROWS = 100_000;
/** Rows kept while following the live tail. */
const MAX_LIVE_ROWS = 20_000;
const MAX_RETRY_SECONDS = 30;

/**
 * `phase`: "first" (the rows shown are the previous search's), "ready" (there is more), "more" (it is being fetched),
 * "end", "full" (MAX_ROWS), "failed" (`problem` says why; tried again at `retryAt` when that may help).
 */
export class Feed {
  rows = [];
  phase = "ready";
  problem = null;
  retryAt = 0;
  /** The moment (ms) of which the rows are, when a page of them was stale; else null. */
  asOf = null;

  #ids = new Set();
  #params = {};
  #cursor = null;
  #limit = PAGE;
  #failures = 0;
  #failedFirst = false;
  #abort = new AbortController();
  #timer = 0;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Starts a new search; the former rows stay in sight until its first page is there. */
  load(params) {
    this.stop();
    this.#params = params;
    this.#cursor = null;
    this.#failures = 0;
    this.#limit = PAGE;
    this.#setPhase("first");
    return this.#fetch(true);
  }

  /** Gives up what is on its way. */
  stop() {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  /** Fetches the next page, if there is one and none is on its way. */
  more() {
    if (this.phase !== "ready") return;
    this.#setPhase("more");
    this.#fetch(false);
  }

  /** Tries a failed fetch again now. */
  retry() {
    if (this.phase !== "failed") return;
    clearTimeout(this.#timer);
    this.#setPhase(this.#failedFirst ? "first" : "more");
    this.#fetch(this.#failedFirst);
  }

  /** True when the rows shown belong to an earlier search than the one asked for. */
  get stale() {
    return this.phase === "first" || (this.phase === "failed" && this.#failedFirst);
  }

  /** Puts new records on top (given newest first), without those that are there already. Returns how many were new. */
  prepend(logs) {
    const fresh = this.#unknown(logs);
    if (!fresh.length) return 0;
    this.rows = fresh.map((log) => makeRow(log, true)).concat(this.rows);
    this.#trim();
    return fresh.length;
  }

  /** The moment of the newest row, or null. Only the top is looked at: live rows come nearly in order. */
  newestMs() {
    const top = this.rows.slice(0, 200).map((row) => row.ms);
    return top.length ? Math.max(...top) : null;
  }

  /** True when the record is in the list. */
  has(log) {
    return this.#ids.has(log.id);
  }

  /** The records that are not in the list yet; they count as known from now on. */
  #unknown(logs) {
    return logs.filter((log) => !this.#ids.has(log.id) && this.#ids.add(log.id));
  }

  /** Keeps memory bounded while following; what is cut off is fetched again when someone scrolls down to it. */
  #trim() {
    if (this.rows.length <= MAX_LIVE_ROWS || this.phase === "more") return;
    for (const row of this.rows.splice(MAX_LIVE_ROWS)) this.#ids.delete(row.log.id);
    this.#params = { ...this.#params, to: justAfter(this.rows.at(-1).log.timestamp) };
    this.#cursor = null;
    if (this.phase === "end" || this.phase === "full") this.#setPhase("ready");
  }

  async #fetch(first) {
    const { signal } = this.#abort;
    try {
      let gained = 0;
      do {
        const { body, asOf } = await this.#page(first, signal);
        if (signal.aborted) return;
        this.asOf = first && gained === 0 ? asOf : older(this.asOf, asOf);
        gained += this.#adopt(body, first && gained === 0);
      } while (gained < SMALL_PAGE && this.#cursor !== null);
      this.#failures = 0;
      this.#setPhase(this.#cursor === null ? "end" : this.rows.length >= MAX_ROWS ? "full" : "ready");
    } catch (problem) {
      if (isAbort(problem) || signal.aborted) return;
      this.#fail(problem, first && this.phase === "first");
    }
  }

  async #page(first, signal) {
    const limit = first ? FIRST_PAGE : this.#limit;
    const answer = await getAnswer("logs", { ...this.#params, limit, cursor: this.#cursor, ...readScope() }, { signal });
    const chars = answer.body.logs.reduce((sum, log) => sum + log.message.length, 0);
    this.#limit = chars > BIG_PAGE_CHARS ? SMALL_PAGE : PAGE;
    return answer;
  }

  #adopt(page, replace) {
    if (replace) {
      this.rows = [];
      this.#ids.clear();
    }
    const fresh = this.#unknown(page.logs);
    for (const log of fresh) this.rows.push(makeRow(log));
    this.#cursor = page.nextCursor ?? null;
    if (fresh.length) this.#setPhase("more");
    return fresh.length;
  }

  #fail(problem, first) {
    this.problem = problem;
    this.#failedFirst = first;
    this.retryAt = 0;
    if (problem.passing) {
      this.#failures += 1;
      const seconds = problem.retryAfter ?? Math.min(2 ** this.#failures, MAX_RETRY_SECONDS);
      this.retryAt = Date.now() + 1000 * seconds;
      this.#timer = setTimeout(() => this.retry(), 1000 * seconds);
    }
    this.#setPhase("failed");
  }

  #setPhase(phase) {
    this.phase = phase;
    this.#onChange(phase);
  }
}

/** The first moment after an RFC 3339 time in UTC, to the nanosecond: as an exclusive end it includes the time itself. */
export function justAfter(timestamp) {
  const [, seconds, fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(timestamp) ?? [null, timestamp.replace(/Z$/, "")];
  const nanos = Number(fraction.padEnd(9, "0").slice(0, 9)) + 1;
  if (nanos < 1e9) return `${seconds}.${String(nanos).padStart(9, "0")}Z`;
  return new Date(Date.parse(`${seconds}Z`) + 1000).toISOString();
}
