// Whose logs are shown: a name, or for a token of any organisation a field to choose one.
import { byId, el } from "./dom.js";
import * as session from "./session.js";

/** Draws it into the header. `onChange()` after another organisation was chosen. */
export function drawOrganisation(onChange) {
  const root = byId("organisation");
  if (!session.readsAny()) {
    root.replaceChildren(el("span", { class: "hint" }, "Organisation"), el("strong", {}, session.organisation() || "unknown"));
    return;
  }
  const field = el("input", { id: "organisation-name", autocomplete: "off", spellcheck: "false", maxlength: "256", required: true });
  field.value = session.organisation();
  field.addEventListener("change", () => {
    const name = field.value.trim();
    if (!name || name === session.organisation()) {
      field.value = session.organisation();
      return;
    }
    session.setOrganisation(name);
    onChange();
  });
  root.replaceChildren(el("label", { class: "hint", for: "organisation-name" }, "Organisation"), field);
}
