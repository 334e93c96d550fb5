// How old an answer is when the gateway gives a kept one because the store is out (Cache-Status, RFC 9211).
import { ago } from "./time.js";

const CACHE = "logpipeline";
const list = new Intl.ListFormat("en-GB");

/** The moment (ms) of which a stale answer is; null for one that is fresh. */
export function staleSince(headers, now = Date.now()) {
  const own = (headers.get("Cache-Status") ?? "").split(",").find((member) => member.trim().split(";")[0] === CACHE);
  const ttl = /;\s*ttl=(-?\d+)/.exec(own ?? "");
  return ttl && Number(ttl[1]) < 0 ? now - 1000 * Number(headers.get("Age") ?? 0) : null;
}

/** The older of two such moments, either of which may be null. */
export const older = (a, b) => (a === null || b === null ? a ?? b : Math.min(a, b));

/** One sentence for what is stale, as `{events: ms or null, counts: …}`; "" when nothing is. */
export function staleWords(parts, now = Date.now()) {
  const byAge = new Map();
  for (const [name, since] of Object.entries(parts)) {
    if (since !== null) byAge.set(ago(since, now), [...(byAge.get(ago(since, now)) ?? []), name]);
  }
  const words = [...byAge].map(([age, names]) => `${list.format(names)} as of ${age}`).join(", ");
  return words && `${words[0].toUpperCase()}${words.slice(1)}: the store is out.`;
}
