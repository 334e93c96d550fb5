// Times: shown in the local zone or in UTC, sent as RFC 3339 in UTC.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const KEY = "logpipeline.zone";

let utc = false;
try {
  utc = localStorage.getItem(KEY) === "utc";
} catch {
  // Storage may be forbidden; then the local zone.
}

export const isUtc = () => utc;

/** Switches between the local zone and UTC; kept in this browser. */
export function toggleZone() {
  utc = !utc;
  try {
    localStorage.setItem(KEY, utc ? "utc" : "local");
  } catch {
    // The choice then lasts as long as the page.
  }
}

/** The name of the local zone, as "Europe/Berlin". */
export const localZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "local";

/** "UTC" or the local zone's offset at that moment, as "UTC+02:00". */
export function zoneLabel(ms = Date.now(), inUtc = utc) {
  const minutes = inUtc ? 0 : -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

const pad = (number, width = 2) => String(number).padStart(width, "0");

/** Calendar fields of a moment in the zone shown. */
function fields(ms, inUtc = utc) {
  const d = new Date(ms);
  return inUtc
    ? { y: d.getUTCFullYear(), mo: d.getUTCMonth(), d: d.getUTCDate(), h: d.getUTCHours(), mi: d.getUTCMinutes(), s: d.getUTCSeconds(), ms: d.getUTCMilliseconds() }
    : { y: d.getFullYear(), mo: d.getMonth(), d: d.getDate(), h: d.getHours(), mi: d.getMinutes(), s: d.getSeconds(), ms: d.getMilliseconds() };
}

/** "14:03:04.123" */
export function clock(ms) {
  const f = fields(ms);
  return `${pad(f.h)}:${pad(f.mi)}:${pad(f.s)}.${pad(f.ms, 3)}`;
}

/** "12 May"; with the year when it is not this one. */
export function day(ms) {
  const f = fields(ms);
  const year = f.y === fields(Date.now()).y ? "" : ` ${f.y}`;
  return `${pad(f.d)} ${MONTHS[f.mo]}${year}`;
}

/** "2026-05-12 14:03:04 UTC+02:00" */
export function full(ms, inUtc = utc) {
  const f = fields(ms, inUtc);
  return `${f.y}-${pad(f.mo + 1)}-${pad(f.d)} ${pad(f.h)}:${pad(f.mi)}:${pad(f.s)} ${zoneLabel(ms, inUtc)}`;
}

/** A short label for an axis or a range: seconds only when the step is below a minute, the day when it is a day or more. */
export function axisLabel(ms, stepSeconds, withDay) {
  const f = fields(ms);
  if (stepSeconds >= 86400) return `${f.d} ${MONTHS[f.mo]}${stepSeconds >= 86400 * 60 ? ` ${f.y}` : ""}`;
  const seconds = stepSeconds < 60 ? `:${pad(f.s)}` : "";
  return `${withDay ? `${f.d} ${MONTHS[f.mo]} ` : ""}${pad(f.h)}:${pad(f.mi)}${seconds}`;
}

/** "12 May 14:03:04 – 14:08:04": a range, the second day only when it differs. */
export function rangeLabel(fromMs, toMs) {
  const a = fields(fromMs);
  const b = fields(toMs);
  const sameDay = a.y === b.y && a.mo === b.mo && a.d === b.d;
  const time = (f) => `${pad(f.h)}:${pad(f.mi)}${a.s || b.s ? `:${pad(f.s)}` : ""}`;
  return `${day(fromMs)} ${time(a)} – ${sameDay ? "" : `${day(toMs)} `}${time(b)}`;
}

/** How long ago, in one unit: "just now", "3 min ago", "2 days ago". */
export function ago(ms, now = Date.now()) {
  const seconds = Math.round((now - ms) / 1000);
  if (seconds < -1) return "in the future";
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

/** "3 d 4 h", "12 min", "8 s": a duration in at most two units. */
export function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** A moment as the value of a datetime-local input, in the zone shown. */
export function toInput(ms) {
  const f = fields(ms);
  return `${pad(f.y, 4)}-${pad(f.mo + 1)}-${pad(f.d)}T${pad(f.h)}:${pad(f.mi)}:${pad(f.s)}`;
}

/** The moment of a datetime-local input read in the zone shown; NaN when empty or broken. */
export const fromInput = (value) => (value ? Date.parse(utc ? `${value}Z` : value) : NaN);

/** RFC 3339 in UTC, without needless milliseconds. */
export const toWire = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
