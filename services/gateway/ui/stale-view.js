// The line that says what is shown from before the store went out, and since when.
import { announce, button, el, setText } from "./dom.js";
import { staleWords } from "./freshness.js";

const EVERY_MS = 1000;

/** Draws into `root`, which is hidden while nothing is stale. `onRefresh()` when somebody wants to ask again. */
export class StaleView {
  #root;
  #words = el("span");
  #parts = {};
  #stale = "";

  constructor(root, onRefresh) {
    this.#root = root;
    root.append(this.#words, button("Ask again", onRefresh, { title: "Ask again (r)" }));
    setInterval(() => this.#draw(), EVERY_MS);
  }

  /** Shows the age of each part: `{events: ms or null, …}`. */
  update(parts) {
    this.#parts = { ...this.#parts, ...parts };
    this.#draw();
  }

  #draw() {
    const words = staleWords(this.#parts);
    this.#root.hidden = !words;
    setText(this.#words, words);
    // Told once, and not again as the seconds pass.
    const stale = Object.keys(this.#parts).filter((name) => this.#parts[name] !== null).join();
    if (stale && stale !== this.#stale) announce(words);
    this.#stale = stale;
  }
}
