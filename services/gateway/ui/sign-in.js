// The panel that asks for a token, when there is none or the gateway refuses it.
import { byId, button, copy, el } from "./dom.js";
import * as session from "./session.js";

const COMMAND = ["logpipeline token", "--data-dir DIR", "--organisation ORG"];

/** Shows the panel; `problem` says why, if a token was refused. `onToken()` after one was given. */
export function showSignIn(problem, onToken) {
  const root = byId("sign-in");
  const field = el("input", {
    id: "token", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "eyJ…", required: true, "aria-describedby": "token-help",
  });
  const form = el("form", {
    class: "card",
    on: {
      submit: (event) => {
        event.preventDefault();
        session.setToken(tokenIn(field.value));
        onToken();
      },
    },
  },
  el("div", { class: "brand" }, el("img", { src: "ui/icon.svg", alt: "", width: "28", height: "28" }), el("span", {}, "logpipeline")),
  el("h1", {}, "Sign in with a token"),
  problem && el("p", { class: "error-text", role: "alert" }, problem.status === 401 ? `The token was not accepted: ${problem.detail}` : problem.detail),
  el("label", { for: "token" }, "Token"), field,
  el("button", { type: "submit", class: "button primary" }, "Sign in"),
  el("div", { class: "hint", id: "token-help" },
    el("p", {}, "The line that logpipeline prints when it starts has an address with a token. Or make one:"),
    el("div", { class: "command-line" }, el("code", {}, COMMAND.flatMap((part) => [el("span", {}, part), " "])),
      button("Copy", () => copy(COMMAND.join(" "), "Command"), { class: "button quiet" })),
    el("p", {}, "It stays in this tab and is forgotten when the tab is closed.")));
  root.replaceChildren(form);
  root.hidden = false;
  byId("app").hidden = true;
  field.focus();
}

/** Takes the panel away and shows the page. */
export function hideSignIn() {
  byId("sign-in").hidden = true;
  byId("sign-in").replaceChildren();
  byId("app").hidden = false;
}

/** A pasted token, also when it is a whole address with #token=… or a header line. */
function tokenIn(text) {
  const value = text.trim().replace(/^(Authorization:\s*)?Bearer\s+/i, "");
  return /[#&]token=([^&\s]+)/.exec(value)?.[1] ?? value;
}
