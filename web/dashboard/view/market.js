import { grouped } from "../data/decimal.js";
import { say } from "./dom.js";
import { change, duration } from "./words.js";

/** The head of the chart: which market it is, its price in large, and which way that went. */
export class Market {
  #nodes;
  #before = null;

  /** `nodes`: the elements `market`, `title`, `where`, `price` and `change`. */
  constructor(nodes) {
    this.#nodes = nodes;
  }

  /** Begin with another market, whose price is not known yet. */
  begin(pair, where) {
    this.#before = null;
    say(this.#nodes.title, pair);
    say(this.#nodes.where, where);
    say(this.#nodes.price, "–");
    say(this.#nodes.change, "");
    delete this.#nodes.market.dataset.direction;
  }

  /**
   * Show the price, as text.
   *
   * `before`: that of the candle before, which the first one is compared with; `day`: {first, spanMs}, or undefined;
   * `first` is null if nobody traded that day.
   */
  show(price, before, places, day) {
    const { market, price: shown, change: since } = this.#nodes;
    const step = Number(price) - Number(this.#before ?? before ?? price);
    if (step !== 0) market.dataset.direction = step > 0 ? "up" : "down";
    this.#before = price;
    say(shown, grouped(price, places));
    if (!day) return;
    if (day.first === null) {
      say(since, "");
      return;
    }
    say(since, `${change(Number(day.first), Number(price))} in ${duration(day.spanMs)}`);
    since.dataset.direction = Number(price) < Number(day.first) ? "down" : "up";
  }
}
