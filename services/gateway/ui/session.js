// Who is looking: the bearer token (this tab only) and the organisation that is read.

const TOKEN = "logpipeline.token";
const ORGANISATION = "logpipeline.organisation";
const FIRST_ORGANISATION = "demo";

const memory = new Map();

function read(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return memory.get(key) ?? null;
  }
}

function write(storage, key, value) {
  memory.set(key, value);
  try {
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // Storage may be forbidden; memory then lasts as long as the page.
  }
}

export const token = () => read(sessionStorage, TOKEN);
let reported = null;

export function setToken(value) {
  reported = null;
  write(sessionStorage, TOKEN, value);
}

/** What the gateway says the token's organisation is; returns whether that is news. */
export function reportOrganisation(name) {
  if (!name || name === organisationOfToken()) return false;
  reported = name;
  return true;
}

/** Takes the token out of the address (#token=…), keeps it for this tab, and returns whether there was one. */
export function takeTokenFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return false;
  setToken(found);
  history.replaceState(history.state, "", location.pathname + location.search);
  return true;
}

/** The organisation the token names ("*" is any). Until the gateway has said it, read from the token: that saves a round trip. */
export function organisationOfToken() {
  if (reported !== null) return reported;
  try {
    const claims = token().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).organization ?? null;
  } catch {
    return null;
  }
}

/** True when the token may read any organisation, so that one has to be named. */
export const readsAny = () => organisationOfToken() === "*";

/** The organisation that is read. */
export function organisation() {
  if (!readsAny()) return organisationOfToken() ?? "";
  return read(localStorage, ORGANISATION) ?? FIRST_ORGANISATION;
}

/** Remembers which organisation a "*" token reads. */
export const setOrganisation = (name) => write(localStorage, ORGANISATION, name);
