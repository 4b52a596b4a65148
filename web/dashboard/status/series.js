import { config, isSimulated } from "../config.js";
import { ask } from "../data/rest.js";
import { element } from "../view/dom.js";
import { duration, openTime } from "../view/words.js";
import { badge, table } from "./section.js";

/** A candle is current until its interval is over, and so much longer for its successor's first trade. */
const GRACE_MS = 180_000;

/** The newest candle of every series, as the store has it: /api/pairs. */
export const series = {
  id: "series",
  title: "Series",
  seconds: 5,
  read: () => ask("/api/pairs"),
  render(rows, now) {
    if (!Array.isArray(rows)) return [element("p", { class: "note" }, rows.detail)];
    const groups = Map.groupBy(
      rows,
      ({ exchange, pair }) => `${pair} on ${exchange}${isSimulated(exchange) ? " (simulated)" : ""}`,
    );
    const heads = ["Pair", "Newest 1m candle", "Behind", "State", "History since", "Larger candles"];
    return [
      table(
        heads,
        [...groups].map(([name, intervals]) => rowOf(name, intervals, now)),
      ),
    ];
  },
};

function rowOf(name, intervals, now) {
  const minutes = intervals.find(({ interval }) => interval === "1m") ?? intervals[0];
  const late = intervals.filter((each) => each.interval !== "1m" && behind(each, now) > GRACE_MS);
  const larger = intervals.filter((each) => each.interval !== "1m" && each.newest !== null);
  const minutesBehind = behind(minutes, now);
  return [
    name,
    minutes.newest === null ? "none" : openTime(minutes.newest, 60_000),
    minutesBehind === 0 ? "–" : Number.isFinite(minutesBehind) ? duration(minutesBehind) : "–",
    minutesBehind <= GRACE_MS
      ? badge("ok", "current")
      : badge("stale", minutes.newest === null ? "no candle" : "behind"),
    minutes.earliest === null ? "–" : openTime(minutes.earliest, 60_000),
    late.length === 0
      ? `${larger.map(({ interval }) => interval).join(" ")}`
      : badge("stale", `behind: ${late.map(({ interval }) => interval).join(" ")}`),
  ];
}

/** How long ago the newest candle's interval was over (milliseconds); 0 while it runs. */
function behind({ interval, newest }, now) {
  return newest === null ? Infinity : Math.max(0, now - newest - config.intervals[interval]);
}
