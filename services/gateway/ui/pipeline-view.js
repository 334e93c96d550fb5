// The picture of the pipeline: producer → topic → consumer → store, with the ledger; opened, a row a partition.
import { el, icon, setText } from "./dom.js";
import { GuardsView } from "./guards-view.js";
import { ago, duration } from "./time.js";

/** Words for a part's status, and how it is to be seen: "good", "warn" or "bad". */
const STATUS = {
  ok: ["ok", "good"],
  consuming: ["consuming", "good"],
  holding: ["holding", "warn"],
  unavailable: ["unavailable", "bad"],
};
const PARTS = ["producer", "topic", "consumer", "store", "ledger"];
const COLUMNS = ["Partition", "Read from", "Read to", "Written to", "Lag", "Stored", "Repeated", "Dead-lettered", "Skipped", "Lost", "Balanced"];
/** A lag that fills its bar. The alert of the operator is at the same number. */
const FULL_LAG = 1000;

const number = (value) => (value == null ? "–" : value.toLocaleString("en"));
const plural = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

/** Draws into `root` from the states of PipelineState. */
export class PipelineView {
  #boxes = new Map();
  #bars = el("span", { class: "lag-bars", role: "img" });
  #problems = el("ul", { class: "part-problems", role: "status" });
  #table = el("table", { "aria-label": "Partitions" });
  #unseen = el("p", { class: "hint unseen", hidden: true },
    "What all organisations together have written, and the ledger of it, are for tokens with the scope pipeline:read. " +
    "Yours shows the state of the pipeline; your own events are below.");
  #ledger = el("div", {},
    el("p", { class: "hint" }, "Every event that was read is accounted for: read to − read from = stored + dead-lettered + skipped + lost."),
    el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Partitions" }, this.#table));
  #foot = el("p", { class: "pipeline-foot" });
  #guards;
  #more;

  constructor(root) {
    const path = el("ol", { class: "path" });
    for (const name of PARTS) path.append(this.#box(name));
    const details = el("div", { class: "partitions", id: "partitions", hidden: true }, this.#unseen, this.#ledger, this.#foot);
    this.#more = el("button", {
      type: "button", class: "button quiet square expand", "aria-expanded": "false", "aria-controls": "partitions",
      "aria-label": "Partitions and ledger", title: "Partitions and ledger",
      on: { click: () => this.#toggle(details) },
    }, icon("chevron"));
    const guards = el("div", { class: "guards" });
    this.#guards = new GuardsView(guards);
    root.append(el("div", { class: "strip" }, path, this.#more), guards, this.#problems, details);
  }

  /** Shows a state. */
  update(state) {
    const parts = state.overview?.parts ?? {};
    for (const name of PARTS) this.#updateBox(name, parts[name], state);
    this.#updateBars(state.ledger?.partitions ?? [], seesFigures(state) ? parts.topic : null);
    this.#updateProblems(state, parts);
    this.#updateTable(state);
    this.#guards.updateBreakers(state.overview?.breakers ?? []);
  }

  /** Shows what the organisation's limits have left. */
  updateLimits(limits) {
    this.#guards.updateLimits(limits);
  }

  #box(name) {
    const status = el("span", { class: "status" });
    const facts = el("span", { class: "facts" });
    const title = el("span", { class: "part-name" }, name[0].toUpperCase() + name.slice(1));
    const box = el("li", { class: `part ${name}`, data: { part: name, tone: "unknown" } },
      el("span", { class: "part-head" }, el("span", { class: "dot", "aria-hidden": "true" }), title, status,
        name === "topic" && this.#bars), facts);
    this.#boxes.set(name, { box, status, facts });
    return box;
  }

  #toggle(details) {
    details.hidden = !details.hidden;
    this.#more.setAttribute("aria-expanded", String(!details.hidden));
    this.#guards.showAll(!details.hidden);
  }

  #updateBox(name, part, state) {
    const { box, status, facts } = this.#boxes.get(name);
    const [words, tone] = statusOf(name, part, state);
    box.dataset.tone = tone;
    setText(status, words);
    const [main, unit, side] = part ? factsOf(name, part, state) : ["", "", ""];
    const text = `${main}|${unit}|${side}`;
    if (facts.dataset.text === text) return;
    facts.dataset.text = text;
    facts.replaceChildren(el("strong", {}, main), el("span", { class: "unit" }, ` ${unit}`), side ? el("span", { class: "side" }, side) : "");
  }

  #updateBars(partitions, topic) {
    // Earlier epochs, and a topic that was made anew since, have rows and no lag.
    partitions = partitions.filter((row) => row.lag != null);
    const lags = partitions.length ? partitions.map((row) => row.lag) : new Array(topic?.partitions ?? 0).fill(0);
    const label = lags.map((lag, index) => `partition ${partitions[index]?.partition ?? index}: lag ${lag}`).join("\n");
    if (this.#bars.title === label) return;
    this.#bars.title = label;
    this.#bars.setAttribute("aria-label", `Lag by partition. ${label.replaceAll("\n", ", ")}`);
    this.#bars.replaceChildren(...lags.map((lag) => {
      const bar = el("i", { class: lag ? "lagging" : "" });
      bar.style.height = `${2 + 12 * Math.min(1, Math.log1p(lag) / Math.log1p(FULL_LAG))}px`;
      return bar;
    }));
  }

  #updateProblems(state, parts) {
    const lines = [];
    if (state.problem) {
      const last = state.seenAt ? ` Last seen ${ago(state.seenAt)}.` : "";
      lines.push(["bad", `State unknown: ${state.problem.detail}${last}`]);
    }
    // Parts with the same trouble share a line.
    const troubles = new Map();
    for (const name of PARTS) {
      const [words, tone] = statusOf(name, parts[name], state);
      if (tone !== "bad" && tone !== "warn") continue;
      const line = `${words}${parts[name]?.detail ? ` – ${parts[name].detail}` : ""}`;
      troubles.set(line, { tone, names: [...(troubles.get(line)?.names ?? []), name] });
    }
    for (const [line, { tone, names }] of troubles) lines.push([tone, `${names.join(", ")}: ${line}`]);
    if (state.ledgerProblem && !state.problem) lines.push(["warn", `ledger: not readable – ${state.ledgerProblem.detail}`]);
    const text = lines.flat().join("|");
    if (this.#problems.dataset.text === text) return;
    this.#problems.dataset.text = text;
    this.#problems.replaceChildren(...lines.map(([tone, line]) => el("li", { data: { tone } }, line)));
  }

  #updateTable({ ledger, overview }) {
    const rows = ledger?.partitions ?? [];
    const sees = seesFigures({ overview });
    this.#unseen.hidden = sees;
    this.#ledger.hidden = !sees;
    this.#table.replaceChildren(
      el("thead", {}, el("tr", {}, COLUMNS.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map(partitionRow)));
    const counts = sees ? " Counts in the boxes are since it started; those of the partitions since the topic was made." : "";
    setText(this.#foot, overview ? `logpipeline ${overview.version}, running for ${duration(overview.uptimeSeconds)}.${counts}` : "");
  }
}

/** False when the token may see states only. */
const seesFigures = ({ overview }) => overview?.figures !== false;

function partitionRow(row) {
  const counts = [row.startOffset, row.nextOffset, row.endOffset, row.lag, row.stored, row.duplicates, row.deadLettered, row.skipped, row.lost];
  return el("tr", { data: { tone: row.balanced ? "good" : "bad" } },
    el("th", { scope: "row" }, row.epoch ? `${row.partition} (epoch ${row.epoch})` : String(row.partition)), counts.map((count) => el("td", {}, number(count))),
    el("td", {}, row.balanced ? "yes" : "no"));
}

function statusOf(name, part, { problem, overview }) {
  if (problem || !overview) return [problem ? "unknown" : "…", "unknown"];
  if (!part) return ["unknown", "warn"];
  const [words, tone] = STATUS[part.status] ?? [part.status, "warn"];
  if (name !== "ledger" || tone === "bad" || part.balanced == null) return [words, tone];
  return part.balanced ? ["balanced", "good"] : ["not balanced", "bad"];
}

/** What a box says: a number, its unit, and what stands beside it. */
function factsOf(name, part, { rates, overview, ledger }) {
  const rate = (value) => (value >= 0.5 ? `${number(Math.round(value))}/s` : "");
  const list = (...texts) => texts.filter(Boolean).join(" · ");
  if (!overview.figures) return stateFactsOf(name, part);
  switch (name) {
    case "producer":
      return [number(part.accepted), "accepted", list(rate(rates.accepted), part.rejected && `${number(part.rejected)} rejected`)];
    case "topic":
      return [number(part.lag), "lag", plural(part.partitions, "partition")];
    case "consumer":
      return [number(part.stored), "stored", list(rate(rates.stored), part.deadLettered && `${number(part.deadLettered)} dead-lettered`)];
    case "store":
      return [number(part.logs), part.logs === 1 ? "event" : "events", part.latencyMs == null ? "" : latency(part.latencyMs)];
    default: {
      const dead = overview.parts.store?.deadLettered ?? overview.parts.consumer?.deadLettered ?? 0;
      const lost = (ledger?.partitions ?? []).reduce((sum, row) => sum + row.lost, 0);
      return [number(dead), dead === 1 ? "dead letter" : "dead letters", ledger ? `${number(lost)} lost` : ""];
    }
  }
}

/** The same for a token that sees no figures. */
function stateFactsOf(name, part) {
  switch (name) {
    case "topic":
      return [number(part.lag), "lag", plural(part.partitions, "partition")];
    case "store":
      return part.latencyMs == null ? ["", "", ""] : [latency(part.latencyMs), "to answer", ""];
    default:
      return ["", "", ""];
  }
}

const latency = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
