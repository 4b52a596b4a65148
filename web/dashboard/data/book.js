import { isHigher, madeAt } from "./rev.js";

/**
 * The candles of one series by open time, of each the version with the highest rev.
 *
 * History, snapshots, live frames and repairs all come in here, in any order and any number of times: what is valid
 * does not depend on either.
 */
export class Book {
  #byTime = new Map();
  #times = [];
  #newestVersionAt = 0;

  /** Take versions of candles; returns the open times (ascending) whose candle is another one now. */
  apply(candles) {
    const changed = new Set();
    let sorted = true;
    for (const candle of candles) {
      const held = this.#byTime.get(candle.timestamp);
      if (held && !isHigher(candle.rev, held.rev)) continue;
      if (!held) {
        sorted &&= this.#times.length === 0 || candle.timestamp > this.#times[this.#times.length - 1];
        this.#times.push(candle.timestamp);
      }
      this.#byTime.set(candle.timestamp, candle);
      this.#newestVersionAt = Math.max(this.#newestVersionAt, madeAt(candle.rev));
      changed.add(candle.timestamp);
    }
    if (!sorted) this.#times.sort((a, b) => a - b);
    return [...changed].sort((a, b) => a - b);
  }

  get size() {
    return this.#times.length;
  }

  /** Open times, ascending. */
  get times() {
    return this.#times;
  }

  get(timestamp) {
    return this.#byTime.get(timestamp);
  }

  /** Counted from the newest: 0 is the newest candle, 1 the one before. */
  fromNewest(number) {
    return this.#byTime.get(this.#times[this.#times.length - 1 - number]);
  }

  get oldest() {
    return this.#byTime.get(this.#times[0]);
  }

  /** All candles, ascending. */
  all() {
    return this.#times.map((time) => this.#byTime.get(time));
  }

  /** Up to so many of the newest candles, newest first. */
  newest(count) {
    return this.#times
      .slice(-count)
      .reverse()
      .map((time) => this.#byTime.get(time));
  }

  /** When the newest version of any candle was made (Unix milliseconds, 0 while empty). */
  get newestVersionAt() {
    return this.#newestVersionAt;
  }
}
