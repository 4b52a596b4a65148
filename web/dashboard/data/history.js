import { backoff, pause } from "./backoff.js";
import { candlePage } from "./rest.js";

/** The most pages that a hole is filled with at once: what lies further back comes when somebody scrolls there. */
const MOST_PAGES = 20;

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

  /** Whether the oldest candle there is has been read. */
  get complete() {
    return this.#complete;
  }

  /** Read the page before the oldest candle read so far; nothing while one is on its way, or where none is left. */
  async older() {
    if (this.#loading || this.#complete) return;
    this.#loading = true;
    try {
      const { candles, next } = await this.#persist({ limit: this.#page, page: this.#next });
      this.#next = next;
      this.#complete = next === null;
      this.#take(candles);
    } finally {
      this.#loading = false;
    }
  }

  /** Read what may have changed from open time `from` to `to`, past every cache. */
  async repair(from, to) {
    let page = null;
    for (let number = 0; number < MOST_PAGES; number += 1) {
      const { candles, next } = await this.#persist({ limit: this.#page, page, from, to, fresh: true });
      this.#take(candles);
      if (next === null) return;
      page = next;
    }
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
