import { grouped, precision } from "../data/decimal.js";
import { element, say } from "./dom.js";
import { Sparkline } from "./sparkline.js";
import { change, duration } from "./words.js";

/** All pairs with their last price, change and sparkline; each a link to its chart. */
export class Overview {
  #list;
  #cards = new Map();
  #choose;

  /** `choose(exchange, pair)` is called instead of following a link. */
  constructor(list, choose) {
    this.#list = list;
    this.#choose = choose;
  }

  /** Have a card for a pair; `marks`: {isSimulated, isFollowed}, which are written on it. */
  add(exchange, pair, marks) {
    const card = new Card(exchange, pair, marks, () => this.#choose(exchange, pair));
    this.#cards.set(`${exchange}:${pair}`, card);
    this.#list.append(card.item);
  }

  show(exchange, pair, day) {
    this.#cards.get(`${exchange}:${pair}`)?.show(day);
  }

  /** Mark what the chart shows, and let every link keep the rest of the selection; `hrefOf(exchange, pair)`. */
  select(exchange, pair, hrefOf) {
    for (const card of this.#cards.values()) {
      card.select(card.exchange === exchange && card.pair === pair, hrefOf(card.exchange, card.pair));
    }
  }
}

class Card {
  #price = element("span", { class: "last" }, "–");
  #change = element("span", { class: "change" });
  #age = element("span", { class: "age" });
  #isFollowed;
  #sparkline = new Sparkline();
  #link;

  constructor(exchange, pair, { isSimulated, isFollowed }, choose) {
    this.exchange = exchange;
    this.pair = pair;
    this.#isFollowed = isFollowed;
    this.#mark("");
    const where = element("span", { class: "where" }, isSimulated ? `${exchange} · simulated` : exchange);
    this.#link = element(
      "a",
      { "data-pair": pair, "data-exchange": exchange },
      element("span", { class: "name" }, element("strong", {}, pair), where),
      this.#sparkline.node,
      element("span", { class: "figures" }, this.#price, this.#change, this.#age),
    );
    this.#link.addEventListener("click", (event) => {
      // With a modifier the browser opens a tab or window, as with any link.
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      choose();
    });
    this.item = element("li", {}, this.#link);
  }

  select(isSelected, href) {
    this.#link.href = href;
    if (isSelected) this.#link.setAttribute("aria-current", "true");
    else this.#link.removeAttribute("aria-current");
  }

  show({ price, first, closes, prices, spanMs, ageMs, isOld }) {
    say(this.#price, grouped(price, precision(prices)));
    this.#showChange(first === null ? null : { first: Number(first), last: Number(price), spanMs });
    this.#sparkline.show(closes);
    this.#mark(isOld ? `${duration(ageMs)} old` : "");
    this.#link.toggleAttribute("data-old", isOld);
  }

  #showChange(day) {
    if (!day) {
      say(this.#change, "");
      delete this.#link.dataset.direction;
      return;
    }
    const direction = day.last >= day.first ? "up" : "down";
    say(this.#change, `${direction === "up" ? "▲" : "▼"} ${change(day.first, day.last) ?? ""}`);
    this.#change.title = `in the last ${duration(day.spanMs)}`;
    this.#link.dataset.direction = direction;
  }

  /** Say beside the price why it is not that of now. */
  #mark(age) {
    say(this.#age, [this.#isFollowed ? "" : "not followed", age].filter(Boolean).join(", "));
    this.#age.hidden = this.#age.textContent === "";
  }
}
