// The list of events: the feed fills it, the live tail adds on top, the foot says what is going on.
import { byId, setText } from "./dom.js";
import { emptyState, footOf, problemBox } from "./empty.js";
import { Feed } from "./feed.js";
import { List } from "./list.js";
import { Live } from "./live.js";
import { clearNotice, notice } from "./notices.js";
import { wordPattern } from "./row.js";
import { contentParams, filterParams, searchWords } from "./view.js";

/** Rows below the last one in sight when the next page is fetched. */
const AHEAD_ROWS = 600;
/** When the help for an empty list is asked for again after it failed. */
const EMPTY_AGAIN_SECONDS = 5;

/** Handlers: `onOpen(row)`, `onSelect(row)`, `onRows()` after rows came, `onLive(live)` after its state changed. */
export class Results {
  #view;
  #handlers;
  #foot = "";
  #missed = 0;
  #patternDue = true;
  #emptyFor = null;
  #emptyTimer = 0;

  constructor(view, handlers) {
    this.#view = view;
    this.#handlers = handlers;
    this.feed = new Feed(() => this.#fed());
    this.list = new List(byId("list"), () => this.feed.rows, {
      onOpen: handlers.onOpen,
      onSelect: handlers.onSelect,
      onScroll: () => this.#scrolled(),
    });
    this.live = new Live({
      mayShow: () => this.list.atTop && !this.feed.stale,
      onState: () => this.#liveChanged(),
      onRows: (logs) => this.#arrived(logs),
      onWaiting: (count) => this.#showJump(count),
      onMissed: (count) => this.#missedSome(count),
      onProblem: (problem) => notice("catch-up", "warn", `Some events may be missing above: ${problem.detail}`),
      newestMs: () => (this.feed.stale ? null : this.feed.newestMs()) ?? Date.now(),
      isKnown: (log) => this.feed.has(log),
    });
    byId("jump").addEventListener("click", () => this.toTop());
  }

  /** The pattern of searched words, for marking. */
  get pattern() {
    return wordPattern(searchWords(this.#view.now));
  }

  /** Searches anew with the view's filters; follows when the view is live. */
  load() {
    clearNotice("missed");
    clearNotice("catch-up");
    this.#missed = 0;
    this.#emptyFor = null;
    clearTimeout(this.#emptyTimer);
    this.#patternDue = true;
    this.feed.load(filterParams(this.#view.now));
    this.list.toTop();
    this.follow();
  }

  /** Searches anew for rows that are stale, unless somebody reads further down or it is under way. */
  replaceStale() {
    if (this.feed.asOf !== null && this.feed.phase !== "first" && this.list.atTop) this.feed.load(filterParams(this.#view.now));
  }

  /** Starts or stops the live tail as the view says. */
  follow() {
    if (this.#view.now.live) this.live.start(contentParams(this.#view.now));
    else this.live.stop();
  }

  /** Ends everything that runs (signing out). */
  stop() {
    clearTimeout(this.#emptyTimer);
    this.feed.stop();
    this.live.stop();
  }

  /** Brings the newest rows into sight, and those that wait. */
  toTop() {
    this.list.toTop();
    this.live.flush();
    byId("list").focus({ preventScroll: true });
  }

  /** The row of an event, when it is loaded. */
  find(id) {
    return this.feed.rows.find((row) => row.log.id === id) ?? null;
  }

  #fed() {
    const { feed, list } = this;
    byId("results").classList.toggle("stale", feed.stale && feed.rows.length > 0);
    if (this.#patternDue && !feed.stale) {
      this.#patternDue = false;
      list.refill(this.pattern);
    } else list.render();
    this.#drawFoot();
    if (feed.phase === "ready") this.#scrolled();
    this.#handlers.onRows();
    this.live.flush();
  }

  #scrolled() {
    if (this.list?.rowsBelow < AHEAD_ROWS) this.feed.more();
    if (this.list?.atTop) this.live?.flush();
  }

  #arrived(logs) {
    if (!this.feed.prepend(logs)) return;
    this.list.render();
    this.#drawFoot();
    this.#handlers.onRows();
  }

  #drawFoot() {
    const { feed, list } = this;
    const state = `${feed.phase} ${feed.rows.length} ${feed.problem?.detail}`;
    if (state === this.#foot) return;
    this.#foot = state;
    byId("search-problem").replaceChildren(...(feed.phase === "failed" && feed.stale ? [problemBox(feed)] : []));
    if (feed.phase === "end" && !feed.rows.length) this.#drawEmpty();
    else list.foot.replaceChildren(...(feed.phase === "failed" && feed.stale ? [] : footOf(feed)));
  }

  async #drawEmpty() {
    const view = this.#view.now;
    if (this.#emptyFor === view || this.feed.rows.length) return;
    this.#emptyFor = view;
    this.list.foot.replaceChildren();
    try {
      const nodes = await emptyState(view, (patch) => this.#view.set(patch));
      if (this.#emptyFor === view && !this.feed.rows.length) this.list.foot.replaceChildren(...nodes);
    } catch (problem) {
      if (this.#emptyFor !== view || this.feed.rows.length) return;
      this.list.foot.replaceChildren(`No events found. ${problem.detail}`);
      this.#emptyFor = null;
      if (problem.passing) this.#emptyTimer = setTimeout(() => this.#drawEmpty(), 1000 * (problem.retryAfter ?? EMPTY_AGAIN_SECONDS));
    }
  }

  #liveChanged() {
    const { state, problem } = this.live;
    if (state === "waiting") notice("live", "warn", `Live tail interrupted: ${problem.detail ?? problem.message}. Connecting again…`);
    else if (state !== "connecting") clearNotice("live");
    this.#handlers.onLive(this.live);
  }

  #missedSome(count) {
    this.#missed += count ?? 0;
    const what = this.#missed ? `Missed ${this.#missed.toLocaleString("en")} events` : "Missed some events";
    notice("missed", "warn", `${what} in the live tail: they came faster than they could be shown. They are stored; refresh (r) to see them.`);
  }

  #showJump(count) {
    const jump = byId("jump");
    jump.hidden = count === 0;
    setText(jump, `↑ ${count.toLocaleString("en")} new`);
  }
}
