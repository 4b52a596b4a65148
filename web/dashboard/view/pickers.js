import { element } from "./dom.js";

/** The selects for exchange, pair and interval. */
export class Pickers {
  #selects;

  /** `selects`: name → element; `choose(name, value)` is called when somebody picks. */
  constructor(selects, choose) {
    this.#selects = selects;
    for (const [name, select] of Object.entries(selects)) {
      select.addEventListener("change", () => choose(name, select.value));
    }
  }

  /** Offer these and show which one is chosen; `options`: name → values. */
  show(options, selection) {
    for (const [name, select] of Object.entries(this.#selects)) {
      const values = options[name];
      if (values.join() !== Array.from(select.options, (option) => option.value).join()) {
        select.replaceChildren(...values.map((value) => element("option", { value }, value)));
      }
      select.value = selection[name];
    }
  }
}
