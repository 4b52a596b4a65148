import { config, isSimulated } from "../config.js";
import { ask } from "../data/rest.js";
import { element } from "../view/dom.js";
import { duration } from "../view/words.js";
import { badge, table } from "./section.js";

const STATES = { live: "ok", stale: "stale", down: "down" };

/** The connection to each exchange, from its newest event: /api/feeds. */
export const feeds = {
  id: "feeds",
  title: "Feeds",
  seconds: 2,
  read: () => ask("/api/feeds", { fresh: true }),
  render(events, now) {
    if (!Array.isArray(events)) return [element("p", { class: "note" }, events.detail)];
    if (events.length === 0) return [element("p", { class: "quiet" }, "No exchange has been heard of yet.")];
    const rows = events.map(({ exchange, feed, reason, since, at, until, pairs = [] }) => [
      isSimulated(exchange) ? `${exchange} (simulated)` : exchange,
      exchange in config.pairs
        ? badge(STATES[feed], reason ? `${feed}: ${reason}` : feed)
        : badge("none", `not followed, ${feed}`),
      `${duration(now - since)}`,
      `${duration(now - at)} ago`,
      until ? `${duration(now - until)} ago` : "–",
      `${pairs.length}`,
    ]);
    const heads = ["Exchange", "State", "For", "Last heartbeat", "Kafka has everything up to", "Pairs"];
    return [table(heads, rows)];
  },
};
