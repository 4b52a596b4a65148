import { grouped } from "../data/decimal.js";
import { element, say } from "./dom.js";
import { change, minutesOf, openTime, stateInWords } from "./words.js";

const FIELDS = ["Open", "High", "Low", "Close", "Change", "Volume", "Minutes"];

/** What one candle is, in words and numbers: the one under the crosshair, else the newest. */
export class Legend {
  #time = element("dd");
  #state = element("dd");
  #values = new Map(FIELDS.map((name) => [name, element("dd")]));

  constructor(list) {
    const group = (name, value) => element("div", { "data-field": name }, element("dt", {}, name), value);
    list.replaceChildren(
      group("Time (UTC)", this.#time),
      ...Array.from(this.#values, ([name, value]) => group(name, value)),
      group("State", this.#state),
    );
  }

  /** Nothing is known: `candle` is null or undefined. */
  #clear() {
    for (const value of [this.#time, this.#state, ...this.#values.values()]) say(value, "–");
    delete this.#state.dataset.state;
  }

  /** `interval` in milliseconds, `places` of prices behind the point. */
  show(candle, interval, places) {
    const shown = (name, text) => say(this.#values.get(name), text);
    if (!candle) return this.#clear();
    say(this.#time, openTime(candle.timestamp, interval));
    for (const name of ["Open", "High", "Low", "Close"]) shown(name, grouped(candle[name.toLowerCase()], places));
    shown("Change", change(Number(candle.open), Number(candle.close)) ?? "");
    shown("Volume", grouped(candle.volume));
    shown("Minutes", minutesOf(candle, interval));
    say(this.#state, candle.state);
    this.#state.dataset.state = candle.state;
    this.#state.title = stateInWords(candle.state);
    this.#values.get("Change").dataset.direction = Number(candle.close) >= Number(candle.open) ? "up" : "down";
  }
}

/** The same as one sentence, for who moves the crosshair by keys and does not see it. */
export function candleInWords(candle, interval, places) {
  const price = (text) => grouped(text, places);
  return (
    `${openTime(candle.timestamp, interval)} UTC: open ${price(candle.open)}, high ${price(candle.high)}, ` +
    `low ${price(candle.low)}, close ${price(candle.close)}, volume ${grouped(candle.volume)}, ` +
    stateInWords(candle.state)
  );
}
