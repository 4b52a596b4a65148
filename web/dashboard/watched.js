import { config, isFollowed, isSimulated } from "./config.js";
import { keyOf } from "./data/candle.js";
import { knownSeries } from "./data/rest.js";
import { INTERVAL, Summary } from "./data/summary.js";

/** All pairs that are followed or stored: their names, and a day of each for the overview. */
export class Watched {
  /** Exchange → its pairs, those that are followed first. */
  pairs = {};
  #summaries = new Map();
  #overview;
  #now;
  #changed;
  #isReading = false;

  /** `now()`: the server's time; `changed(exchange, pair)` is called when a pair's day is another one. */
  constructor(overview, now, changed) {
    this.#overview = overview;
    this.#now = now;
    this.#changed = changed;
  }

  /** Know the pairs that the server says it follows. */
  addFollowed() {
    for (const [exchange, pairs] of Object.entries(config.pairs)) for (const pair of pairs) this.#add(exchange, pair);
  }

  /** Know what is stored beside them; resolves to whether there is any such pair. */
  async addStored() {
    try {
      const known = await knownSeries();
      return known.filter(({ exchange, pair }) => this.#add(exchange, pair)).length > 0;
    } catch {
      // The pairs that are followed are known without it, and the chart says what is wrong with REST.
      return false;
    }
  }

  /** Read the day of every pair that has not been read, one after the other: the chart comes first. */
  async read() {
    await this.#inTurn([...this.#summaries.values()], (summary) => summary.start());
  }

  /** Show every day as of now, and read on where no subscription does: behind the first `most` pairs. */
  async refresh(most) {
    const summaries = [...this.#summaries.values()];
    for (const summary of summaries) this.#show(summary);
    // What is not followed does not change.
    const late = summaries.filter(
      ({ begun, subscription: { exchange, pair } }, number) => !begun || (number >= most && isFollowed(exchange, pair)),
    );
    await this.#inTurn(late, (summary) => (summary.begun ? summary.refresh(this.#now()) : summary.start()));
  }

  /** The last day of a pair, or undefined while nothing is known of it. */
  dayOf(exchange, pair) {
    return this.#summaries.get(keyOf({ exchange, pair, interval: INTERVAL }))?.day(this.#now()) ?? undefined;
  }

  /** What has to be subscribed to, for so many pairs at most. */
  subscriptions(most) {
    return [...this.#summaries.values()].slice(0, most).map((summary) => summary.subscription);
  }

  receive(key, candles) {
    this.#summaries.get(key)?.receive(candles);
  }

  repair(hole) {
    this.#summaries.get(keyOf(hole))?.repair(hole.from, hole.to);
  }

  /** Whether the pair is a new one. */
  #add(exchange, pair) {
    const pairs = (this.pairs[exchange] ??= []);
    if (pairs.includes(pair)) return false;
    pairs.push(pair);
    this.#overview.add(exchange, pair, { isSimulated: isSimulated(exchange), isFollowed: isFollowed(exchange, pair) });
    const summary = new Summary(exchange, pair, () => {
      this.#show(summary);
      this.#changed(exchange, pair);
    });
    this.#summaries.set(keyOf(summary.subscription), summary);
    return true;
  }

  #show(summary) {
    const day = summary.day(this.#now());
    if (day) this.#overview.show(summary.subscription.exchange, summary.subscription.pair, day);
  }

  /** Do something for one after the other, unless that is still being done: REST may need its time. */
  async #inTurn(summaries, read) {
    if (this.#isReading) return;
    this.#isReading = true;
    for (const summary of summaries) await read(summary);
    this.#isReading = false;
  }
}
