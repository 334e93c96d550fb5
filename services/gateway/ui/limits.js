// What the organisation may write and read and has left, as /limits and the fields of answers say
// (draft-ietf-httpapi-ratelimit-headers-11), and how long reading pauses when that is used up.

let standing = { write: null, read: null };
let pausedUntil = 0;
let onChange = () => {};

/** Called after each change; there is one listener. */
export function whenLimitsChange(handler) {
  onChange = handler;
}

/** `{write, read}`, each `{perSecond, burst, remaining, by}` or null when there is no limit. */
export const limits = () => standing;

/** Seconds until reads are sent again, 0 when nothing holds them. */
export const readsPause = (now = Date.now()) => Math.max(0, Math.ceil((pausedUntil - now) / 1000));

/** Takes an answer of /limits. */
export function adoptLimits({ write = null, read = null }) {
  standing = { write, read };
  onChange();
}

/** Takes what the fields of an answer say: fresher than the last /limits. */
export function adoptFields(headers) {
  for (const kind of ["write", "read"]) {
    const remaining = remainingOf(headers.get("RateLimit"), kind);
    if (remaining === null || !standing[kind]) continue;
    standing = { ...standing, [kind]: { ...standing[kind], remaining } };
    onChange();
  }
}

/** What a `RateLimit` field says is left of a quota; null when it does not name it. */
export function remainingOf(field, name) {
  const item = (field ?? "").split(",").find((one) => one.trim().startsWith(`"${name}";`));
  const left = /;\s*r=(\d+)/.exec(item ?? "");
  return left && Number(left[1]);
}

/** No reads for so many seconds: the limit is used up. */
export function pauseReads(seconds, now = Date.now()) {
  pausedUntil = Math.max(pausedUntil, now + 1000 * seconds);
  onChange();
}

/** Another token has other limits. */
export function forgetLimits() {
  pausedUntil = 0;
  adoptLimits({});
}
