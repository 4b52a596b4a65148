import { Book } from "./book.js";
import { History } from "./history.js";

const LOOK_MS = 5000;
/** After so long without a frame, history is asked whether it knows more. */
const UNHEARD_MS = 15000;

/**
 * One series as a page follows it: history and live candles in one book, and what was missed is read again.
 *
 * Handlers: `changed(times, receivedAt)`: these candles are others now (`receivedAt`: 0 if they did not come live);
 * `trouble(message)`: what is wrong with history, null once nothing is.
 */
export class Series {
  book = new Book();
  history;
  #interval;
  #liveWindow;
  #stopping = new AbortController();
  #handlers;
  #heardAt = 0;
  #behindSince = 0;

  /** `series`: {exchange, pair, interval}; `interval`: its length in milliseconds; `liveWindow`: a snapshot's candles. */
  constructor(series, interval, liveWindow, handlers) {
    this.#interval = interval;
    this.#liveWindow = liveWindow;
    this.#handlers = handlers;
    this.history = new History(series, {
      signal: this.#stopping.signal,
      take: (candles) => this.#apply(candles, 0),
      trouble: (message) => handlers.trouble(message),
    });
  }

  /** When the live side was last heard of, and since when history knows more than it told (0: it does not). */
  get facts() {
    return { heardAt: this.#heardAt, behindSince: this.#behindSince };
  }

  start() {
    const timer = setInterval(() => this.#look(), LOOK_MS);
    this.#stopping.signal.addEventListener("abort", () => clearInterval(timer));
    this.older();
  }

  stop() {
    this.#stopping.abort();
  }

  /** Read on towards the past. */
  older() {
    this.#ignoringStop(this.history.older());
  }

  /** Take candles of the live side; none is a sign of life as well. */
  receive(candles, receivedAt) {
    const before = this.book.fromNewest(0);
    this.#heardAt = Date.now();
    this.#behindSince = 0;
    this.#apply(candles, receivedAt);
    const oldest = candles[0]?.timestamp;
    // A snapshot that does not overlap what is known.
    if (before && oldest > before.timestamp + this.#interval) this.repair(before.timestamp, oldest);
  }

  /** Read from history what the live side may not have told: open times, both ends inclusive, `from` 0: not known. */
  repair(from, to) {
    if (this.book.size === 0) return;
    // What is older than the book will be read when somebody scrolls there.
    const unheard = this.book.fromNewest(0).timestamp - this.#liveWindow * this.#interval;
    const begin = Math.max(from || unheard, this.book.oldest.timestamp);
    this.#ignoringStop(this.history.repair(begin, Math.max(to, begin)));
  }

  async #look() {
    if (Date.now() - this.#heardAt < UNHEARD_MS) return;
    const heardAt = this.#heardAt;
    try {
      const candles = await this.history.newest();
      if (this.#apply(candles, 0) && heardAt === this.#heardAt) this.#behindSince ||= Date.now();
    } catch {
      // Neither side answers, which the badge says already.
    }
  }

  #apply(candles, receivedAt) {
    if (this.#stopping.signal.aborted) return false;
    const times = this.book.apply(candles);
    this.#handlers.changed(times, receivedAt);
    return times.length > 0;
  }

  async #ignoringStop(task) {
    try {
      await task;
    } catch (error) {
      // What REST refuses for good has been told as trouble.
      if (!this.#stopping.signal.aborted && !error.isFinal) throw error;
    }
  }
}
