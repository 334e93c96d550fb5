// How old an answer is when the gateway gives a kept one because the store is out (Cache-Status, RFC 9211).
import { ago } from "./time.js";

const CACHE = "logpipeline";

/** The moment (ms) of which a stale answer is; null for one that is fresh. */
export function staleSince(headers, now = Date.now()) {
  const own = (headers.get("Cache-Status") ?? "").split(",").find((member) => member.trim().split(";")[0] === CACHE);
  const ttl = /;\s*ttl=(-?\d+)/.exec(own ?? "");
  return ttl && Number(ttl[1]) < 0 ? now - 1000 * Number(headers.get("Age") ?? 0) : null;
}

/** The older of two such moments, either of which may be null. */
export const older = (a, b) => (a === null || b === null ? a ?? b : Math.min(a, b));

/** One sentence for what is stale, as `{Events: ms or null, Counts: …}`; "" when nothing is. */
export function staleWords(parts, now = Date.now()) {
  const stale = Object.entries(parts).filter(([, since]) => since !== null);
  const words = stale.map(([name, since], index) => `${index ? name.toLowerCase() : name} as of ${ago(since, now)}`);
  return words.length ? `${words.join(", ")}: the store is out.` : "";
}
