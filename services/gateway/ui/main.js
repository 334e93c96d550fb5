// The page: puts the parts together. What is shown follows from the view (the address) and the session (the token).
import { get, readScope, whenUnauthorised } from "./api.js";
import { byId, icon, setText } from "./dom.js";
import { Detail } from "./detail.js";
import { Filters } from "./filters.js";
import { Histogram } from "./histogram.js";
import { listenToKeys, showHelp } from "./keys.js";
import { clearNotice } from "./notices.js";
import { forgetLimits, limits, whenLimitsChange } from "./limits.js";
import { drawOrganisation } from "./organisation.js";
import { PipelineView } from "./pipeline-view.js";
import { PipelineState } from "./pipeline.js";
import { Results } from "./results.js";
import * as session from "./session.js";
import { hideSignIn, showSignIn } from "./sign-in.js";
import { StaleView } from "./stale-view.js";
import { byLevel, countOf, Stats } from "./stats.js";
import * as time from "./time.js";
import { createViewState, filterParams, formatView, RANGES } from "./view.js";

const FILTER_NAMES = ["q", "service", "levels", "range", "from", "to"];
const STATS_EVERY_MS = 5000;

const view = createViewState((now, changed) => viewChanged(now, changed));
const filters = new Filters(view);
const stats = new Stats(() => statsChanged());
const histogram = new Histogram(byId("histogram"), {
  onZoom: (from, to) => zoomIn(from, to),
  onZoomOut: () => zoomOut(),
  onRetry: () => loadStats(),
});
const results = new Results(view, {
  onOpen: (row) => openEvent(row.log.id),
  onSelect: (row) => detail.id && openEvent(row.log.id, true),
  onRows: () => rowsChanged(),
  onLive: (live) => drawLive(live),
});
const detail = new Detail(byId("detail"), {
  onClose: () => closeEvent(),
  onService: (service) => view.set({ service }),
  onValue: (text) => view.set({ q: text }),
  onAround: (from, to) => zoomIn(from, to, { q: "", service: "", levels: [] }),
  linkOf: (id) => new URL(formatView({ ...view.now, q: "", service: "", levels: [], range: "1h", live: false, id }), document.baseURI).href,
});
const pipelineView = new PipelineView(byId("pipeline"));
const staleView = new StaleView(byId("stale"), () => reload());
const pipeline = new PipelineState((state) => pipelineChanged(state));
const zooms = [];
let statsWanted = false;

function loadStats() {
  stats.load(() => filterParams(view.now));
}

function reload() {
  results.load();
  loadStats();
}

function viewChanged(now, changed) {
  filters.update(now);
  const filtersChanged = FILTER_NAMES.some((name) => changed.has(name));
  const contentChanged = ["q", "service", "levels"].some((name) => changed.has(name));
  if (filtersChanged) {
    results.load();
    if (contentChanged || changed.has("range") || changed.has("from") || changed.has("to")) loadStats();
  } else if (changed.has("live")) results.follow();
  if (changed.has("id")) showEvent(now.id);
}

function pipelineChanged(state) {
  pipelineView.update(state);
  staleView.update({ ledger: state.ledgerAsOf });
  if (state.overview?.parts.store?.status === "ok" && !state.problem) replaceStale();
  if (session.reportOrganisation(state.overview?.organization)) enter();
}

/** The store is back: what is shown from before is asked for anew. */
function replaceStale() {
  results.replaceStale();
  if (stats.asOf !== null && !stats.loading) loadStats();
}

function statsChanged() {
  const { answer } = stats;
  staleView.update({ counts: stats.asOf });
  histogram.update(stats, view.now);
  filters.setCounts(answer && byLevel(answer));
  const total = countOf(answer, view.now.levels);
  const span = view.now.range === "custom" ? "in this range" : `in ${RANGES[view.now.range].words}`;
  const atLeast = answer?.partial ? "at least " : "";
  if (total !== null) setText(byId("summary"), `${atLeast}${total.toLocaleString("en")} ${total === 1 ? "event" : "events"}`);
  byId("summary").title = answer?.partial ? `Counted ${span} until the time for it was used up` : `Counted ${span}`;
  byId("summary").classList.toggle("loading", stats.loading);
}

function rowsChanged() {
  staleView.update({ events: results.feed.asOf });
  filters.addServices(results.feed.rows.slice(0, 1000).map((row) => row.log.service));
  if (view.now.live) statsWanted = true;
  if (detail.id && results.list.selected?.log.id !== detail.id) results.list.select(results.find(detail.id));
}

function zoomIn(from, to, patch = {}) {
  const { range, from: oldFrom, to: oldTo } = view.now;
  if (oldFrom === from && oldTo === to) return;
  zooms.push({ range, from: oldFrom, to: oldTo });
  view.set({ range: "custom", from, to, live: false, ...patch });
}

/** Back to the range before the last zoom; without one (an address that was opened) four times as wide. */
function zoomOut() {
  const { from, to } = view.now;
  const more = (to - from) * 1.5;
  view.set(zooms.pop() ?? { range: "custom", from: from - more, to: to + more });
}

function openEvent(id, replace = Boolean(detail.id)) {
  if (view.now.id === id) detail.focus();
  else view.set({ id }, { replace });
  if (matchMedia("(max-width: 720px)").matches) detail.focus();
}

function closeEvent() {
  view.set({ id: "" }, { replace: true });
  byId("list").focus({ preventScroll: true });
}

async function showEvent(id) {
  if (!id) {
    detail.close();
    results.list.select(null);
    return;
  }
  const row = results.find(id);
  results.list.select(row);
  if (row) return detail.show(row.log, results.pattern);
  detail.showLoading(id);
  try {
    const log = await get(`logs/${encodeURIComponent(id)}`, readScope());
    if (view.now.id === id) detail.show(log, results.pattern);
  } catch (problem) {
    if (view.now.id === id) detail.showProblem(id, problem, () => showEvent(id));
  }
}

function drawLive(live) {
  const node = byId("live");
  node.ariaPressed = String(live.state !== "off");
  node.dataset.state = live.state;
  byId("summary").setAttribute("aria-live", live.state === "off" ? "polite" : "off");
  setText(byId("live-label"), { off: "Live", connecting: "Connecting", open: "Live", waiting: "Reconnecting" }[live.state]);
}

function drawZone() {
  const label = time.isUtc() ? "UTC" : "Local";
  const node = byId("zone");
  setText(node, label);
  node.title = `Times are shown in ${time.isUtc() ? "UTC" : `${time.localZone()} (${time.zoneLabel()})`}. Switch (u)`;
  setText(byId("time-head"), `Time (${time.zoneLabel()})`);
}

function drawTheme() {
  const choice = window.logpipelineTheme.current();
  byId("theme").replaceChildren(icon(choice));
  byId("theme").setAttribute("aria-label", `Theme: ${choice}`);
  byId("theme").title = `Theme: ${choice} (t)`;
}

const actions = {
  search: () => (byId("q").focus(), byId("q").select()),
  next: () => move(1),
  previous: () => move(-1),
  first: () => move(-Infinity),
  last: () => move(Infinity),
  nextPage: () => move("page"),
  previousPage: () => move("-page"),
  open: () => results.list.selected && openEvent(results.list.selected.log.id),
  live: toggleLive,
  refresh: reload,
  zone: toggleZone,
  theme: () => (window.logpipelineTheme.next(), drawTheme()),
  help: () => showHelp(() => signOut(null)),
  escape: (event) => {
    if (filters.closeCustom()) return;
    if (event.target.closest("input")) event.target.blur();
    else if (detail.id) closeEvent();
  },
};

/** The list takes the keyboard, so that Enter opens the event and not what had the focus before. */
function move(step) {
  if (!byId("detail").contains(document.activeElement)) byId("list").focus({ preventScroll: true });
  results.list.move(step);
}

/** A tail has no end: a range that has one gives way to the last hour. */
function toggleLive() {
  const live = !view.now.live;
  view.set({ live, ...(live && view.now.range === "custom" ? { range: "1h" } : {}) });
}

function toggleZone() {
  time.toggleZone();
  drawZone();
  filters.update(view.now);
  results.list.refill();
  histogram.update(stats, view.now);
  if (detail.id) showEvent(detail.id);
}

/** Shows the page for the token there is, or asks for one. */
function enter() {
  if (!session.token()) return signOut(null);
  hideSignIn();
  forgetLimits();
  drawOrganisation(() => enter());
  document.title = `${session.organisation() || "logs"} – logpipeline`;
  pipeline.stop();
  pipeline.start();
  closeStale();
  reload();
  if (view.now.id) showEvent(view.now.id);
}

function closeStale() {
  for (const key of ["live", "missed", "catch-up"]) clearNotice(key);
}

/** Forgets the token and asks for another; `problem` when the gateway refused it. */
function signOut(problem) {
  session.setToken(null);
  pipeline.stop();
  results.stop();
  showSignIn(problem, enter);
}

function wire() {
  byId("live").addEventListener("click", toggleLive);
  byId("refresh").addEventListener("click", reload);
  byId("zone").addEventListener("click", toggleZone);
  byId("theme").addEventListener("click", actions.theme);
  byId("help-open").addEventListener("click", actions.help);
  addEventListener("hashchange", () => session.takeTokenFromAddress() && enter());
  whenUnauthorised((problem) => byId("sign-in").hidden && signOut(problem));
  whenLimitsChange(() => pipelineView.updateLimits(limits()));
  listenToKeys(actions);
  setInterval(() => {
    if (!statsWanted || stats.loading || document.hidden) return;
    statsWanted = false;
    loadStats();
  }, STATS_EVERY_MS);
}

wire();
drawZone();
drawTheme();
drawLive(results.live);
session.takeTokenFromAddress();
enter();
