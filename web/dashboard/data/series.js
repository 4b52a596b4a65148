import { pause } from "./backoff.js";
import { Book } from "./book.js";
import { History } from "./history.js";

const LOOK_MS = 5000;
/** After so long without a frame, history is asked whether it knows more. */
const UNHEARD_MS = 15000;
/** So many answers in a row without a newer candle, ten minutes, and history is not waited for any longer. */
const MOST_VAIN = 120;

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
  /** The newest open time when the live side was last heard of: what follows may be missing, or be an old version. */
  #heardUntil = 0;
  /** What has to be read again: from which open time, and up to which history must have come; null if nothing has. */
  #missing = null;
  #isMending = false;

  /** `series`: {exchange, pair, interval}; `interval`: its length (ms); `liveWindow`: candles of a snapshot. */
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
    this.#ignoringStop(this.#readOlder());
  }

  /** Take candles of the live side; none is a sign of life as well. */
  receive(candles, receivedAt) {
    this.#heardAt = Date.now();
    this.#behindSince = 0;
    this.#apply(candles, receivedAt);
    if (candles.length === 0) return;
    const heardUntil = this.#heardUntil;
    this.#hear(candles);
    if (heardUntil) this.#join(heardUntil, oldestOf(candles));
  }

  /** Read from history what the live side may not have told: open times, both ends inclusive, `from` 0: not known. */
  repair(from, to) {
    // The first page, which is still to come, will have it.
    if (this.book.size === 0) return;
    const begin = from || this.#heardUntil - this.#liveWindow * this.#interval;
    const { from: first = begin, to: last = to } = this.#missing ?? {};
    this.#missing = { from: Math.min(begin, first), to: Math.max(to, last), reached: 0, vain: 0 };
    if (!this.#isMending) this.#ignoringStop(this.#mend());
  }

  /** Read what is missing again and again: history itself may be behind, and have it later. */
  async #mend() {
    this.#isMending = true;
    try {
      while (this.#missing) {
        const missing = this.#missing;
        // What is older than the book will be read when somebody scrolls there.
        const reached = await this.history.repair(Math.max(missing.from, this.book.oldest.timestamp));
        // More was found missing meanwhile, which the answer may be too old for.
        if (missing !== this.#missing) continue;
        missing.vain = reached > missing.reached ? 0 : missing.vain + 1;
        // Where nobody trades, history will not come further than the live side.
        if (reached >= Math.min(missing.to, this.#heardUntil) || missing.vain > MOST_VAIN) {
          this.#missing = null;
        } else {
          missing.reached = reached;
          missing.from = Math.max(missing.from, reached - this.#liveWindow * this.#interval);
          await pause(LOOK_MS, this.#stopping.signal);
        }
      }
    } finally {
      this.#isMending = false;
    }
  }

  async #readOlder() {
    const isFirst = !this.history.begun;
    const candles = await this.history.older();
    if (!isFirst || candles.length === 0) return;
    // The live side may have been faster, and history may end long before what it told.
    const newest = candles[0].timestamp;
    this.#hear(candles);
    const following = this.book.times.find((time) => time > newest);
    if (following) this.#join(newest, following);
  }

  async #look() {
    if (!this.history.begun) this.older();
    if (Date.now() - this.#heardAt < UNHEARD_MS) return;
    const heardAt = this.#heardAt;
    const known = this.book.fromNewest(0)?.timestamp;
    try {
      const candles = await this.history.newest();
      if (this.#apply(candles, 0) && heardAt === this.#heardAt) this.#behindSince ||= Date.now();
      // This machine may have slept for longer than two candles.
      if (known && candles.length > 0) this.#join(known, oldestOf(candles));
    } catch {
      // Neither side answers, which the badge says already.
    }
  }

  #hear(candles) {
    this.#heardUntil = candles.reduce((newest, { timestamp }) => Math.max(newest, timestamp), this.#heardUntil);
  }

  /** Have read what lies between two open times, unless the candles there follow each other. */
  #join(before, after) {
    if (after > before + this.#interval) this.repair(before, after);
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

function oldestOf(candles) {
  return Math.min(...candles.map(({ timestamp }) => timestamp));
}
