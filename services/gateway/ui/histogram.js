// The histogram: events over time, stacked by level; hover to read, click or drag to zoom the time range.
import { announce, button, el, setText, svg } from "./dom.js";
import { levelPaths, makeBars, niceCeiling, timeTicks } from "./scale.js";
import { axisLabel, clock, day, isUtc, rangeLabel } from "./time.js";
import { LEVELS } from "./view.js";

const HEIGHT = 72;
const TICK_ROOM = 110;
const DRAG_PIXELS = 4;

/** Draws into `root`. `onZoom(fromMs, toMs)` when a span was chosen, `onZoomOut()` when the range should widen again. */
export class Histogram {
  #root;
  #onZoom;
  #chart = null;
  #width = 0;
  #drag = null;
  #cursor = -1;
  #parts;
  #last = null;

  constructor(root, { onZoom, onZoomOut, onRetry }) {
    this.#root = root;
    this.#onZoom = onZoom;
    this.#build(onZoomOut, onRetry);
    new ResizeObserver(() => this.#resized()).observe(this.#parts.plot);
  }

  /** Shows the state of the statistics for a view. */
  update(stats, view) {
    this.#last = { stats, view };
    const { problem, zoomOut, frame } = this.#parts;
    this.#chart = makeBars(stats.answer, view.levels, view.range);
    zoomOut.hidden = view.range !== "custom";
    frame.classList.toggle("loading", stats.loading);
    frame.classList.toggle("failed", Boolean(stats.problem));
    problem.hidden = !stats.problem;
    const what = stats.answer ? "The histogram is not up to date" : "No histogram";
    if (stats.problem) {
      problem.dataset.tone = stats.problem.limited ? "warn" : "bad";
      setText(problem.firstChild, `${what}: ${stats.problem.detail}`);
    }
    this.#draw();
  }

  #build(onZoomOut, onRetry) {
    const paths = Object.fromEntries(LEVELS.map((name) => [name, svg("path", { class: `bar ${name}` })]));
    const grid = svg("path", { class: "grid" });
    const hover = svg("rect", { class: "hover", y: 0, height: HEIGHT, width: 0 });
    const image = svg("svg", { class: "chart", height: HEIGHT, "aria-hidden": "true" }, grid, hover, ...Object.values(paths));
    const plot = el("div", {
      class: "plot", tabindex: "0", role: "slider", "aria-label": "Events over time: arrow keys read, Enter zooms", "aria-valuemin": "0",
      on: {
        pointermove: (event) => this.#pointed(event), pointerleave: () => this.#leave(), pointerdown: (event) => this.#press(event),
        pointerup: (event) => this.#release(event), pointercancel: () => this.#leave(), keydown: (event) => this.#key(event),
        blur: () => this.#leave(),
      },
    }, image);
    const top = el("span", { class: "top-count" });
    const axis = el("div", { class: "axis", "aria-hidden": "true" });
    const tip = el("div", { class: "tip", hidden: true });
    const zoomOut = button("Zoom out", onZoomOut, { class: "button zoom-out", iconName: "zoom-out", hidden: true });
    const problem = el("p", { class: "chart-problem", role: "alert", hidden: true }, el("span"), button("Try again", onRetry));
    const frame = el("div", { class: "frame" }, top, plot, axis, tip, zoomOut);
    this.#root.append(frame, problem);
    this.#parts = { paths, grid, hover, image, plot, top, axis, tip, zoomOut, problem, frame };
  }

  #resized() {
    const width = Math.floor(this.#parts.plot.clientWidth);
    if (width === this.#width) return;
    this.#width = width;
    this.#draw();
  }

  #draw() {
    const { paths, grid, image, top, plot } = this.#parts;
    const chart = this.#chart;
    this.#cursor = -1;
    this.#showTip();
    const peak = chart?.bars.length ? chart.bars.reduce((a, b) => (b.total > a.total ? b : a)) : null;
    const ceiling = niceCeiling(peak?.total ?? 1);
    image.setAttribute("width", this.#width);
    const shapes = chart ? levelPaths(chart, this.#width, HEIGHT, ceiling) : {};
    for (const name of LEVELS) paths[name].setAttribute("d", shapes[name] ?? "");
    grid.setAttribute("d", `M0 .5h${this.#width}M0 ${HEIGHT / 2}h${this.#width}M0 ${HEIGHT - 0.5}h${this.#width}`);
    setText(top, peak ? ceiling.toLocaleString("en") : "");
    plot.setAttribute("aria-valuemax", String(Math.max(0, (chart?.bars.length ?? 0) - 1)));
    plot.setAttribute("aria-valuetext", summaryOf(chart, peak, this.#last?.stats.answer));
    this.#drawAxis(chart);
  }

  #drawAxis(chart) {
    if (!chart) return this.#parts.axis.replaceChildren();
    const offset = isUtc() ? 0 : -new Date(chart.to).getTimezoneOffset() * 60e3;
    const { ticks, stepSeconds } = timeTicks(chart.from, chart.to, this.#width, TICK_ROOM, offset);
    let lastDay = day(Date.now());
    const labels = ticks.map((at) => {
      const withDay = day(at) !== lastDay;
      lastDay = day(at);
      const label = el("span", {}, axisLabel(at, stepSeconds, withDay));
      const x = this.#x(at);
      label.style.left = `${x}px`;
      if (x < 30) label.className = "at-start";
      else if (x > this.#width - 30) label.className = "at-end";
      return label;
    });
    this.#parts.axis.replaceChildren(...labels);
  }

  #x(ms) {
    return ((ms - this.#chart.from) / (this.#chart.to - this.#chart.from)) * this.#width;
  }

  /** The start of the step under the pointer. */
  #stepAt(event) {
    const { left } = this.#parts.plot.getBoundingClientRect();
    const { from, to, step } = this.#chart;
    const share = Math.min(1, Math.max(0, (event.clientX - left) / this.#width));
    return Math.min(to - step, from + Math.floor((share * (to - from)) / step) * step);
  }

  #pointed(event) {
    if (!this.#chart) return;
    const at = this.#stepAt(event);
    if (this.#drag && Math.abs(event.clientX - this.#drag.x) > DRAG_PIXELS) this.#drag.moved = true;
    const from = this.#drag?.moved ? Math.min(at, this.#drag.at) : at;
    const to = (this.#drag?.moved ? Math.max(at, this.#drag.at) : at) + this.#chart.step;
    this.#showTip(from, to);
  }

  #press(event) {
    if (!this.#chart || event.button !== 0) return;
    this.#parts.plot.setPointerCapture(event.pointerId);
    this.#drag = { at: this.#stepAt(event), x: event.clientX, moved: false };
  }

  #release(event) {
    if (!this.#drag || !this.#chart) return;
    const at = this.#stepAt(event);
    const other = this.#drag.moved ? this.#drag.at : at;
    this.#drag = null;
    this.#zoom(Math.min(at, other), Math.max(at, other) + this.#chart.step);
  }

  #leave() {
    this.#drag = null;
    this.#cursor = -1;
    this.#showTip();
  }

  #zoom(from, to) {
    this.#showTip();
    this.#onZoom(from, to);
  }

  #key(event) {
    const bars = this.#chart?.bars ?? [];
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Enter" && bars[this.#cursor]) this.#zoom(bars[this.#cursor].start, bars[this.#cursor].end);
    else if (step && bars.length) {
      const next = this.#cursor < 0 ? bars.length - 1 : this.#cursor + step;
      this.#cursor = Math.min(bars.length - 1, Math.max(0, next));
      this.#showTip(bars[this.#cursor].start, bars[this.#cursor].end);
      this.#parts.plot.setAttribute("aria-valuenow", String(this.#cursor));
      announce(this.#parts.tip.textContent);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Shows what the span holds, or hides the tip without one. */
  #showTip(from, to) {
    const { tip, hover } = this.#parts;
    tip.hidden = from === undefined;
    hover.setAttribute("width", 0);
    if (tip.hidden) return;
    const x = this.#x(from);
    const width = Math.max(2, this.#x(to) - x);
    hover.setAttribute("x", x);
    hover.setAttribute("width", width);
    tip.replaceChildren(...tipContent(this.#chart, from, to));
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.min(this.#width - half, Math.max(half, x + width / 2))}px`;
  }
}

function tipContent(chart, from, to) {
  const counts = {};
  let total = 0;
  for (const bar of chart.bars.filter((one) => one.start >= from && one.start < to)) {
    total += bar.total;
    for (const { level, count } of bar.parts) counts[level] = (counts[level] ?? 0) + count;
  }
  const levels = LEVELS.filter((name) => counts[name]).reverse();
  return [
    el("strong", {}, `${total.toLocaleString("en")} ${total === 1 ? "event" : "events"} `),
    el("span", { class: "span" }, rangeLabel(from, to)),
    el("span", { class: "counts" }, levels.map((name) =>
      el("span", { data: { level: name } }, `${name} ${counts[name].toLocaleString("en")} `))),
  ];
}

/** The chart in one sentence, for those who do not see it. */
function summaryOf(chart, peak, answer) {
  if (!peak) return answer ? "No events in this time range" : "No data yet";
  const total = chart.bars.reduce((sum, bar) => sum + bar.total, 0);
  const errors = chart.bars.flatMap((bar) => bar.parts).filter((part) => part.level === "ERROR" || part.level === "FATAL");
  const failed = errors.reduce((sum, part) => sum + part.count, 0);
  return `${total} events from ${rangeLabel(chart.from, chart.to)}; most at ${day(peak.start)} ${clock(peak.start).slice(0, 8)}: ` +
    `${peak.total}; ${failed} errors`;
}
