import { backoff, pause } from "./backoff.js";
import { candlePage } from "./rest.js";

/**
 * What REST knows of one series, asked for again until it answers; `signal` of the constructor ends everything.
 *
 * `take(candles)` gets every page; `trouble(message)` a sentence while REST does not answer, and null once it does.
 */
export class History {
  #series;
  #signal;
  #take;
  #trouble;
  #page;
  #next = null;
  #begun = false;
  #complete = false;
  #loading = false;

  /** `page`: how many candles are asked for at once. */
  constructor(series, { signal, take, trouble, page = 600 }) {
    this.#series = series;
    this.#signal = signal;
    this.#take = take;
    this.#trouble = trouble;
    this.#page = page;
  }

  /** Whether any candle has been read as the newest one: not while nothing is stored. */
  get begun() {
    return this.#begun;
  }

  /**
   * Read the page before the oldest candle read so far, and return its candles; none while one is on its way, or where
   * none is left.
   */
  async older() {
    if (this.#loading || this.#complete) return [];
    this.#loading = true;
    try {
      const { candles, next } = await this.#persist({ limit: this.#page, page: this.#next });
      this.#next = next;
      // A store that has nothing yet may have the same page later.
      this.#begun ||= candles.length > 0;
      this.#complete = this.#begun && next === null;
      this.#take(candles);
      return candles;
    } finally {
      this.#loading = false;
    }
  }

  /**
   * Read all from open time `from` to the newest again, past every cache; returns the newest open time, 0 if there is
   * none: history may be behind.
   */
  async repair(from) {
    let newest = 0;
    let page = null;
    do {
      const { candles, next } = await this.#persist({ limit: this.#page, page, from, fresh: true });
      newest ||= candles[0]?.timestamp ?? 0;
      this.#take(candles);
      page = next;
    } while (page !== null);
    return newest;
  }

  /** The newest two candles as history knows them; raises a RestError if it does not answer. */
  async newest() {
    const { candles } = await candlePage(this.#series, { limit: 2, fresh: true, signal: this.#signal });
    return candles;
  }

  async #persist(options) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const page = await candlePage(this.#series, { ...options, signal: this.#signal });
        this.#trouble(null);
        return page;
      } catch (error) {
        this.#signal.throwIfAborted();
        this.#trouble(error.message);
        if (error.isFinal) throw error;
        await pause(backoff(attempt), this.#signal);
      }
    }
  }
}
