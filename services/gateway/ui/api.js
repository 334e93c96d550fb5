// Calls to the gateway. Every failure becomes a Problem with a sentence for people.
import { staleSince } from "./freshness.js";
import { adoptFields, pauseReads, readsPause } from "./limits.js";
import * as session from "./session.js";

const DEADLINE_MS = 30_000;

/** A failed call: `status` (0 when the gateway did not answer), `title`, `detail`, `retryAfter` in seconds or null. */
export class Problem extends Error {
  constructor({ status, title, detail, retryAfter = null }) {
    super(detail || title);
    Object.assign(this, { status, title, detail: detail || title, retryAfter });
  }

  /** True when the same call may succeed later without a change. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.limited || this.status >= 500;
  }

  /** True when nothing is wrong but the organisation's limit is used up for a moment. */
  get limited() {
    return this.status === 429;
  }
}

/** True for a call that was ended on purpose. */
export const isAbort = (error) => error?.name === "AbortError";

let onUnauthorised = () => {};

/** Called with the Problem when the gateway refuses the token (401). */
export function whenUnauthorised(handler) {
  onUnauthorised = handler;
}

/** The address of an API path with parameters; empty ones are left out. */
export function apiUrl(path, params = {}) {
  const url = new URL(`api/v1/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined) url.searchParams.set(name, value);
  return url;
}

/** The `organization` parameter of reads, needed only by a token for any organisation. */
export const readScope = () => (session.readsAny() ? { organization: session.organisation() } : {});

/** GET; resolves to the JSON body, rejects with a Problem or an abort. */
export async function get(path, params = {}, options = {}) {
  return (await getAnswer(path, params, options)).body;
}

/** As `get`, and resolves to `{body, asOf}`: the moment (ms) of which the body is when it is stale, else null. */
export async function getAnswer(path, params = {}, { signal, limited = true } = {}) {
  if (limited) await mayRead();
  const response = await send(apiUrl(path, params), { signal }, DEADLINE_MS);
  return { body: await read(response), asOf: staleSince(response.headers) };
}

/** POST of a JSON body; resolves to the JSON answer. */
export async function post(path, body) {
  const init = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return read(await send(apiUrl(path), init, DEADLINE_MS));
}

/** Opens an event stream; resolves to the Response once the gateway has accepted. */
export async function openStream(path, params, signal) {
  await mayRead();
  return send(apiUrl(path, params), { signal, headers: { Accept: "text/event-stream" }, cache: "no-store" }, null);
}

/** While the limit for reads is used up none is sent, whoever asks: it would be refused, and be one more. */
async function mayRead() {
  const seconds = readsPause();
  if (seconds) throw limitedProblem(seconds);
}

function limitedProblem(retryAfter) {
  return new Problem({ status: 429, title: "Reading pauses", detail: "The organisation has used up what it may read for the moment.", retryAfter });
}

async function send(url, init, deadlineMs) {
  const signals = [init.signal, deadlineMs && AbortSignal.timeout(deadlineMs)].filter(Boolean);
  const headers = { ...init.headers, Authorization: `Bearer ${session.token() ?? ""}` };
  let response;
  try {
    response = await fetch(url, { ...init, headers, signal: signals.length ? AbortSignal.any(signals) : undefined });
  } catch (error) {
    throw transportProblem(error);
  }
  adoptFields(response.headers);
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.limited && init.method !== "POST") {
    const seconds = problem.retryAfter ?? 1;
    pauseReads(seconds);
    throw limitedProblem(seconds);
  }
  if (problem.status === 401) onUnauthorised(problem);
  throw problem;
}

async function read(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Problem({ status: response.status, title: "Unreadable answer", detail: `The gateway's answer is not JSON: ${error.message}` });
    }
    throw transportProblem(error);
  }
}

/** An abort stays an abort; anything else that kept the answer away is a Problem with status 0. */
function transportProblem(error) {
  if (isAbort(error)) return error;
  const late = error?.name === "TimeoutError";
  return new Problem({
    status: 0,
    title: late ? "No answer in time" : "The gateway does not answer",
    detail: late
      ? `The gateway did not answer within ${DEADLINE_MS / 1000} s. A narrower time range is faster.`
      : `The gateway at ${location.host} does not answer. Is it running?`,
  });
}

async function problemOf(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  const title = response.statusText || `Status ${response.status}`;
  try {
    const body = JSON.parse(await response.text());
    return new Problem({ status: response.status, title: body.title ?? title, detail: body.detail, retryAfter });
  } catch {
    return new Problem({ status: response.status, title, detail: `${title} (status ${response.status})`, retryAfter });
  }
}
