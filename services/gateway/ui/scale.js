// The arithmetic of the histogram: from a /stats answer to bars, axes and paths. No document in here.
import { LEVELS } from "./view.js";

/** Severe levels stand on the baseline, so that few errors among many events can be seen and compared. */
const STACK = [...LEVELS].reverse();

/**
 * The bars of an answer: `{start, end, total, parts: [{level, count}]}` in ms, for the chosen levels (none means all), and the span
 * that the axis covers. Null when there is nothing to draw.
 */
export function makeBars(answer, levels, range) {
  if (!answer) return null;
  const step = answer.intervalSeconds * 1000;
  const shown = levels.length ? STACK.filter((name) => levels.includes(name)) : STACK;
  const bars = answer.buckets.map((bucket) => {
    const start = Date.parse(bucket.start);
    const parts = shown.map((level) => ({ level, count: bucket.byLevel[level] ?? 0 })).filter((part) => part.count);
    return { start, end: start + step, parts, total: parts.reduce((sum, part) => sum + part.count, 0) };
  });
  const first = bars[0]?.start ?? Infinity;
  const last = bars.at(-1)?.end ?? -Infinity;
  // For all time the answer's own span may be open: the data decides.
  const from = range === "all" ? first : Math.min(floorTo(Date.parse(answer.from), step), first);
  const to = range === "all" ? last : Math.max(floorTo(Date.parse(answer.to) + step - 1, step), last);
  if (!(from < to)) return null;
  return { bars: bars.filter((bar) => bar.total), from, to, step };
}

const floorTo = (ms, step) => Math.floor(ms / step) * step;

/** A round whole number at or above `value`. */
export function niceCeiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value && Number.isInteger(factor * power));
}

/**
 * One SVG path a level. A part that has events is at least `least` pixels high, so that a single error stays visible.
 */
export function levelPaths(chart, width, height, top, least = 2) {
  const paths = Object.fromEntries(LEVELS.map((name) => [name, ""]));
  const pixels = width / (chart.to - chart.from);
  const barWidth = Math.max(1, chart.step * pixels - (chart.step * pixels > 4 ? 1.5 : 0));
  for (const bar of chart.bars) {
    const x = (bar.start - chart.from) * pixels;
    let y = height;
    for (const { level, count } of bar.parts) {
      const size = Math.max(least, (count / top) * height);
      y -= size;
      paths[level] += `M${x.toFixed(1)} ${y.toFixed(1)}h${barWidth.toFixed(1)}v${size.toFixed(1)}h${(-barWidth).toFixed(1)}z`;
    }
  }
  return paths;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/**
 * Where the time axis has ticks (ms), at round local times, with at least `room` pixels for each.
 * `offsetMs` is the zone's distance from UTC. Returns `{ticks, stepSeconds}`.
 */
export function timeTicks(from, to, width, room, offsetMs) {
  const most = Math.max(1, Math.floor(width / room));
  const seconds = (to - from) / 1000 / most;
  const stepSeconds = STEPS.find((step) => step >= seconds) ?? Math.ceil(seconds / 86400) * 86400;
  const step = stepSeconds * 1000;
  const ticks = [];
  for (let at = Math.ceil((from + offsetMs) / step) * step - offsetMs; at <= to; at += step) ticks.push(at);
  return { ticks, stepSeconds };
}
