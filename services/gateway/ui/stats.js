// The counts behind the histogram and the level chips: one question for all levels, answered anew while following.
import { getAnswer, isAbort, readScope } from "./api.js";

const MAX_RETRY_SECONDS = 30;

/**
 * `answer` is the last /stats body for all levels (or null), `asOf` the moment (ms) of which it is when it is stale, `problem` why there is none newer, `loading` whether one is asked for.
 * The level filter is applied by the readers, so that the chips can show what each level would add.
 */
export class Stats {
  answer = null;
  asOf = null;
  problem = null;
  loading = false;

  #abort = new AbortController();
  #timer = 0;
  #failures = 0;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Asks for these filters; `params()` is called anew on a retry, because relative ranges move on. */
  async load(params) {
    clearTimeout(this.#timer);
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    this.loading = true;
    this.#onChange();
    try {
      const { body, asOf } = await getAnswer("stats", { ...params(), level: null, ...readScope() }, { signal });
      Object.assign(this, { answer: body, asOf, problem: null });
      this.#failures = 0;
    } catch (problem) {
      if (isAbort(problem) || signal.aborted) return;
      this.problem = problem;
      if (problem.passing) this.#retryLater(params, problem.retryAfter);
    }
    this.loading = false;
    this.#onChange();
  }

  #retryLater(params, retryAfter) {
    this.#failures += 1;
    const seconds = retryAfter ?? Math.min(2 ** this.#failures, MAX_RETRY_SECONDS);
    this.#timer = setTimeout(() => this.load(params), 1000 * seconds);
  }
}

/** Events of the given levels in an answer; no levels means all. Returns null without an answer. */
export function countOf(answer, levels) {
  if (!answer) return null;
  if (!levels.length) return answer.total;
  return answer.buckets.reduce((sum, bucket) => sum + levels.reduce((part, name) => part + (bucket.byLevel[name] ?? 0), 0), 0);
}

/** Events by level in an answer. */
export function byLevel(answer) {
  const counts = {};
  for (const bucket of answer?.buckets ?? []) {
    for (const [name, count] of Object.entries(bucket.byLevel)) counts[name] = (counts[name] ?? 0) + count;
  }
  return counts;
}
