import { Book } from "./book.js";
import { History } from "./history.js";

/** What sparklines are made of: a day of five-minute candles. */
export const INTERVAL = "5m";
const INTERVAL_MS = 300_000;
const SPAN_MS = 86_400_000;
const CANDLES = 288;
/** A price whose candle has been over for longer than three intervals is an old one. */
const OLD_MS = 3 * INTERVAL_MS;
/** So many of the newest candles say with how many places prices are shown. */
const PRECISION_CANDLES = 60;
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

  /** Whether the day has been read; not while nothing is stored. */
  get begun() {
    return this.#history.begun;
  }

  /** Read the day; resolves when that is done or refused. */
  async start() {
    await this.#history.older().catch(() => {});
  }

  /** Read what has come since the newest candle, a day at most; resolves when that is done or refused. */
  async refresh(now) {
    const known = this.#book.fromNewest(0)?.timestamp ?? 0;
    await this.#history.repair(Math.max(known, now - SPAN_MS)).catch(() => {});
  }

  receive(candles) {
    if (this.#book.apply(candles).length > 0) this.#changed(this);
  }

  repair(from, to) {
    this.#history.repair(Math.max(from, to - SPAN_MS)).catch(() => {});
  }

  /**
   * The day that ends now (Unix milliseconds of the server), or null while no candle is known.
   *
   * {price, first, closes, prices, spanMs, ageMs, isOld}: the last price there is and the first of the day as texts,
   * null if nobody traded that day; the line of its closes; prices to take the precision from; since when the day has
   * candles; for how long the newest candle has been over, 0 while it runs, and whether that is long.
   */
  day(now) {
    const newest = this.#book.fromNewest(0);
    if (!newest) return null;
    const candles = this.#book
      .newest(CANDLES)
      .filter((each) => each.timestamp > now - SPAN_MS)
      .reverse();
    const oldest = candles[0];
    const ageMs = Math.max(0, now - newest.timestamp - INTERVAL_MS);
    return {
      price: newest.close,
      first: oldest?.open ?? null,
      closes: oldest ? [oldest.open, ...candles.map((candle) => candle.close)].map(Number) : [],
      prices: this.#book.newest(PRECISION_CANDLES).flatMap(({ open, high, low, close }) => [open, high, low, close]),
      spanMs: oldest ? now - oldest.timestamp : 0,
      ageMs,
      isOld: ageMs > OLD_MS,
    };
  }
}
