// The live tail: one stream, opened again with growing pauses, its events handed over in batches a frame.
import { get, isAbort, openStream, readScope } from "./api.js";
import { readEvents } from "./sse.js";

const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 15_000;
/** Heartbeats come every 15 s; three missing means that the connection is dead. */
const SILENCE_MS = 45_000;
/** Events kept while nobody takes them (scrolled away, hidden tab). */
const MAX_WAITING = 20_000;
/** At most this often are rows put on top: a calmer list, and time to read. */
const BATCH_MS = 100;
const CATCH_UP = 1000;
const CATCH_UP_MS = 10_000;

/**
 * Handlers: `onState(state, problem)` with "off", "connecting", "open" or "waiting" (then `nextTryAt` is set); `mayShow()`:
 * whether rows may be put on top now; `onRows(logs)` newest first; `onWaiting(count)`; `onMissed(count or null)`;
 * `newestMs()`: from where to catch up after the stream was (re)opened; `isKnown(log)`: whether it is in the list;
 * `onProblem(problem)`: catching up failed.
 */
export class Live {
  state = "off";
  problem = null;
  nextTryAt = 0;

  #handlers;
  #params = {};
  #abort = null;
  #waiting = [];
  #failures = 0;
  #timer = 0;
  #frame = 0;
  #lastShown = 0;

  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** Follows events with these filters (level, service, q) from now on. */
  start(params) {
    this.stop();
    this.#params = params;
    this.#failures = 0;
    this.#connect();
  }

  /** Ends the stream and forgets what waits. */
  stop() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#abort?.abort();
    this.#abort = null;
    this.#waiting = [];
    this.#handlers.onWaiting(0);
    this.#setState("off");
  }

  /** Connects at once instead of waiting for the next try. */
  reconnectNow() {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Hands over what waits, if it may be shown. Called after scrolling back to the top too. */
  flush() {
    if (!this.#waiting.length || !this.#handlers.mayShow()) return;
    const logs = this.#waiting.reverse();
    this.#waiting = [];
    this.#lastShown = performance.now();
    this.#handlers.onWaiting(0);
    this.#handlers.onRows(logs);
  }

  async #connect() {
    const abort = (this.#abort = new AbortController());
    this.#setState("connecting");
    let silence = 0;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(new Error("silence")), SILENCE_MS);
    };
    try {
      alive();
      const response = await openStream("tail", { ...this.#params, ...readScope() }, abort.signal);
      this.#setState("open");
      this.#catchUp(abort.signal);
      for await (const message of readEvents(response.body)) {
        alive();
        this.#failures = 0;
        this.#take(message);
      }
      throw new Error("the stream ended");
    } catch (error) {
      if (this.#abort === abort) this.#pause(error);
    } finally {
      clearTimeout(silence);
    }
  }

  #pause(error) {
    if (error.status === 401) return this.stop();
    this.problem = error;
    this.#failures += 1;
    const growing = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
    const pause = error.retryAfter ? 1000 * error.retryAfter : growing * (0.5 + Math.random() / 2);
    this.nextTryAt = Date.now() + pause;
    this.#timer = setTimeout(() => this.#connect(), pause);
    this.#setState("waiting");
  }

  #take({ event, data }) {
    if (event === "log") {
      this.#waiting.push(JSON.parse(data));
      this.#bound();
      this.#schedule();
    } else if (event === "missed") this.#handlers.onMissed(JSON.parse(data).missed);
  }

  #bound() {
    if (this.#waiting.length <= MAX_WAITING) return;
    const dropped = this.#waiting.splice(0, this.#waiting.length - MAX_WAITING * 0.9);
    this.#handlers.onMissed(dropped.length);
  }

  #schedule() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame((now) => {
      this.#frame = 0;
      if (!this.#handlers.mayShow()) this.#handlers.onWaiting(this.#waiting.length);
      else if (now - this.#lastShown < BATCH_MS) this.#schedule();
      else this.flush();
    });
  }

  /** What was stored between the search (or the break) and the opening of the stream; the feed drops what it has. */
  async #catchUp(signal) {
    const newest = this.#handlers.newestMs();
    const params = { ...this.#params, from: new Date(newest - CATCH_UP_MS).toISOString(), limit: CATCH_UP, ...readScope() };
    try {
      const page = await get("logs", params, { signal });
      const here = new Set(this.#waiting.map((log) => log.id));
      const logs = page.logs.filter((log) => !here.has(log.id) && !this.#handlers.isKnown(log));
      this.#waiting = logs.reverse().concat(this.#waiting);
      if (page.nextCursor && page.logs.length >= CATCH_UP && logs[0] === page.logs.at(-1)) this.#handlers.onMissed(null);
      if (logs.length) this.#schedule();
    } catch (error) {
      if (!isAbort(error)) this.#handlers.onProblem(error);
    }
  }

  #setState(state) {
    this.state = state;
    if (state === "open") this.problem = null;
    this.#handlers.onState(state, this.problem);
  }
}
