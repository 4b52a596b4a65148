import { Book } from "./book.js";
import { History } from "./history.js";

/** What sparklines are made of: a day of five-minute candles. */
export const INTERVAL = "5m";
const SPAN_MS = 86_400_000;
const CANDLES = 288;
/** Enough candles to overlap history, which is at most seconds behind; and no more updates than eyes follow. */
const SUBSCRIPTION = { interval: INTERVAL, snapshot: 3, maxRate: 1 };

/** The last day of one pair, kept up to date: last price, change, and closes for a sparkline. */
export class Summary {
  subscription;
  #book = new Book();
  #history;
  #changed;

  constructor(exchange, pair, changed) {
    this.subscription = { exchange, pair, ...SUBSCRIPTION };
    this.#changed = changed;
    this.#history = new History(this.subscription, {
      signal: new AbortController().signal,
      take: (candles) => this.receive(candles),
      // The chart's own history says what is wrong with REST.
      trouble: () => {},
      page: CANDLES,
    });
  }

  /** Read the day; resolves when that is done or refused. */
  async start() {
    await this.#history.older().catch(() => {});
  }

  receive(candles) {
    if (this.#book.apply(candles).length > 0) this.#changed(this);
  }

  repair(from, to) {
    this.#history.repair(Math.max(from, to - SPAN_MS)).catch(() => {});
  }

  /**
   * {price, first, closes, prices, spanMs}, or null: the last price and the first of the day as texts, the line of its
   * closes, prices to take the precision from, and how long that day is.
   */
  get day() {
    const newest = this.#book.fromNewest(0);
    if (!newest) return null;
    const candles = this.#book
      .newest(CANDLES)
      .filter((each) => each.timestamp > newest.timestamp - SPAN_MS)
      .reverse();
    return {
      price: newest.close,
      first: candles[0].open,
      closes: [candles[0].open, ...candles.map((candle) => candle.close)].map(Number),
      prices: candles.slice(-60).flatMap(({ open, high, low, close }) => [open, high, low, close]),
      spanMs: newest.timestamp - candles[0].timestamp + 300_000,
    };
  }
}
