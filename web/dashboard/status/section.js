import { element } from "../view/dom.js";

/**
 * One section of the status page: a heading, and a body that is made anew with each answer.
 *
 * A section is declared as {id, title, seconds, read, render}: `read()` asks the server every so many seconds,
 * `render(answer, now)` returns what to show, as nodes, with `now` in Unix milliseconds of the server. See main.js for
 * the list of sections.
 */
export class Section {
  #declared;
  #body = element("div", { class: "body" }, element("p", { class: "quiet" }, "Asking …"));
  #timer = 0;
  #asking = false;
  node;

  constructor(declared) {
    this.#declared = declared;
    const heading = `${declared.id}-title`;
    this.node = element(
      "section",
      { id: declared.id, class: "panel", "aria-labelledby": heading },
      element("h2", { id: heading }, declared.title),
      this.#body,
    );
  }

  /** Ask now and from then on, while the page is looked at; `told(now)` is called with each answer. */
  async run(told) {
    if (this.#asking) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    const { read, render, seconds } = this.#declared;
    try {
      const { body, serverTime } = await read();
      const now = Number.isNaN(serverTime) ? Date.now() : serverTime;
      this.#body.replaceChildren(...render(body, now));
      told(now);
    } catch (error) {
      this.#body.replaceChildren(element("p", { class: "note" }, error.message));
    }
    this.#asking = false;
    this.#timer = setTimeout(() => document.visibilityState === "visible" && this.run(told), seconds * 1000);
  }
}

/** A badge: `state` is one of "ok", "stale", "down" and "none", and the text says it, too. */
export function badge(state, text) {
  return element("span", { class: "badge", "data-state": state }, text);
}

/** A table; on narrow screens each row becomes a block whose cells carry the column's name. */
export function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...cells]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, first),
      ...cells.map((cell, number) => element("td", { "data-name": heads[number + 1] }, cell)),
    ),
  );
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}
