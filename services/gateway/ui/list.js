// The virtualised list: only the lines in sight are in the document, however many rows there are.
import { el } from "./dom.js";
import { emptyRow, fillRow } from "./row.js";

const OVERSCAN = 8;

/**
 * Draws rows into a scrolling element. `rows()` gives the array, newest first. `onOpen(row)` on click or Enter,
 * `onSelect(row)` on each move of the selection, `onScroll()` after each scroll or change of size.
 */
export class List {
  #scroller;
  #canvas = el("div", { class: "canvas", role: "presentation" });
  #rows;
  #handlers;
  #shown = new Map();
  #free = [];
  #height = 0;
  #rowHeight = 26;
  #pattern = null;

  /** The selected row or null. */
  selected = null;
  /** Where messages of the list (loading, empty, end) go. */
  foot = el("div", { class: "list-foot" });

  constructor(scroller, rows, handlers) {
    this.#scroller = scroller;
    this.#rows = rows;
    this.#handlers = handlers;
    scroller.append(this.#canvas, this.foot);
    scroller.addEventListener("scroll", () => this.#moved(), { passive: true });
    this.#canvas.addEventListener("click", (event) => this.#clicked(event));
    this.#canvas.addEventListener("animationend", (event) => event.target.classList.remove("fresh"));
    new ResizeObserver(() => this.#measure()).observe(scroller);
    this.#measure();
  }

  /** True when the newest row is in sight. */
  get atTop() {
    return this.#scroller.scrollTop < this.#rowHeight;
  }

  /** How many rows lie below the last one in sight. */
  get rowsBelow() {
    return this.#rows().length - Math.ceil((this.#scroller.scrollTop + this.#height) / this.#rowHeight);
  }

  /** Brings the newest row into sight. */
  toTop() {
    this.#scroller.scrollTop = 0;
    this.render();
  }

  /** Selects the row `step` away (±Infinity: first or last) and keeps it in sight. */
  move(step) {
    const rows = this.#rows();
    if (!rows.length) return;
    const at = rows.indexOf(this.selected);
    const page = Math.max(1, Math.floor(this.#height / this.#rowHeight) - 1);
    const by = step === "page" ? page : step === "-page" ? -page : step;
    const start = at < 0 ? Math.ceil(this.#scroller.scrollTop / this.#rowHeight) : at + by;
    const index = Math.min(rows.length - 1, Math.max(0, start));
    this.select(rows[index]);
    this.#reveal(index);
    this.#handlers.onSelect(rows[index]);
  }

  /** Marks a row (or none) as selected. */
  select(row) {
    this.selected = row;
    this.render();
  }

  /** Sets the pattern of words to mark and draws every line anew (after a change of filters or time zone). */
  refill(pattern = this.#pattern) {
    this.#pattern = pattern;
    for (const [row, node] of this.#shown) fillRow(node, row, pattern);
    this.render();
  }

  /** Draws the lines in sight; lines that stay keep their elements. */
  render() {
    const rows = this.#rows();
    this.#canvas.style.height = `${rows.length * this.#rowHeight}px`;
    this.#scroller.setAttribute("aria-rowcount", String(rows.length));
    const top = this.#scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / this.#rowHeight) - OVERSCAN);
    const last = Math.min(rows.length, Math.ceil((top + this.#height) / this.#rowHeight) + OVERSCAN);
    this.#release(new Set(rows.slice(first, last)));
    let active = "";
    for (let index = first; index < last; index += 1) {
      const row = rows[index];
      const node = this.#shown.get(row) ?? this.#show(row);
      this.#place(node, index, row === this.selected);
      if (row === this.selected) active = node.id;
    }
    for (const node of this.#free) node.remove();
    this.#free.length = Math.min(this.#free.length, 2 * OVERSCAN);
    if (active) this.#scroller.setAttribute("aria-activedescendant", active);
    else this.#scroller.removeAttribute("aria-activedescendant");
  }

  #release(wanted) {
    for (const [row, node] of this.#shown) {
      if (wanted.has(row)) continue;
      this.#shown.delete(row);
      this.#free.push(node);
    }
  }

  #show(row) {
    const node = this.#free.pop() ?? emptyRow();
    fillRow(node, row, this.#pattern);
    if (!node.isConnected) this.#canvas.append(node);
    this.#shown.set(row, node);
    return node;
  }

  #place(node, index, selected) {
    if (node.index !== index) {
      node.index = index;
      node.style.transform = `translateY(${index * this.#rowHeight}px)`;
      node.setAttribute("aria-rowindex", String(index + 1));
    }
    if (node.ariaSelected !== String(selected)) node.ariaSelected = String(selected);
  }

  #reveal(index) {
    const top = index * this.#rowHeight;
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#rowHeight > this.#scroller.scrollTop + this.#height) {
      this.#scroller.scrollTop = top + this.#rowHeight - this.#height;
    }
    this.render();
  }

  #measure() {
    this.#height = this.#scroller.clientHeight;
    const rowHeight = parseFloat(getComputedStyle(this.#scroller).getPropertyValue("--row-height")) || 26;
    if (rowHeight !== this.#rowHeight) {
      this.#rowHeight = rowHeight;
      for (const node of this.#shown.values()) node.index = -1;
    }
    this.#moved();
  }

  #moved() {
    this.render();
    this.#handlers.onScroll();
  }

  #clicked(event) {
    if (getSelection()?.type === "Range") return;
    const node = event.target.closest(".row");
    const row = node && this.#rows()[node.index];
    if (!row) return;
    this.select(row);
    this.#handlers.onOpen(row);
  }
}
