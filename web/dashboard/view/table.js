import { grouped, precision } from "../data/decimal.js";
import { element, say } from "./dom.js";
import { minutesOf, openTime, stateInWords } from "./words.js";

const ROWS = 100;
const COLUMNS = ["Time (UTC)", "Open", "High", "Low", "Close", "Volume", "Minutes", "State"];

/** The newest candles as a table, newest first; rows are changed in place. */
export class TableView {
  #caption = element("span");
  #body = element("tbody");

  constructor(table) {
    const heads = COLUMNS.map((name) => element("th", { scope: "col" }, name));
    table.replaceChildren(
      element("caption", {}, this.#caption),
      element("thead", {}, element("tr", {}, ...heads)),
      this.#body,
    );
  }

  /** `title`: what the candles are of; `interval` in milliseconds, `places` of prices behind the point. */
  show(title, book, interval, places) {
    const candles = book.newest(ROWS);
    say(this.#caption, `${title}: the newest ${candles.length} candles, newest first`);
    while (this.#body.rows.length > candles.length) this.#body.lastElementChild.remove();
    while (this.#body.rows.length < candles.length) this.#body.append(emptyRow());
    const volumePlaces = precision(candles.map((candle) => candle.volume));
    candles.forEach((candle, number) => {
      const row = this.#body.rows[number];
      const prices = [candle.open, candle.high, candle.low, candle.close].map((text) => grouped(text, places));
      const texts = [
        openTime(candle.timestamp, interval),
        ...prices,
        grouped(candle.volume, volumePlaces),
        minutesOf(candle, interval),
        candle.state,
      ];
      texts.forEach((text, column) => say(row.cells[column], text));
      row.dataset.state = candle.state;
      row.cells[COLUMNS.length - 1].title = stateInWords(candle.state);
    });
  }
}

function emptyRow() {
  return element("tr", {}, element("th", { scope: "row" }), ...COLUMNS.slice(1).map(() => element("td")));
}
