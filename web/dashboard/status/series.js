import { config, isFollowed, isSimulated } from "../config.js";
import { ask } from "../data/rest.js";
import { element } from "../view/dom.js";
import { duration, openTime } from "../view/words.js";
import { badge, table } from "./section.js";

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
    const heads = ["Pair", "Newest 1m candle", "Age", "State", "History since", "Larger candles"];
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
  const larger = intervals.filter((each) => each !== minutes && each.newest !== null);
  const late = larger.filter((each) => isLate(each, now));
  const names = (some) => some.map(({ interval }) => interval).join(" ");
  const isWanted = isFollowed(minutes.exchange, minutes.pair);
  return [
    name,
    minutes.newest === null ? "none" : openTime(minutes.newest, 60_000),
    minutes.newest === null || behind(minutes, now) === 0 ? "–" : duration(behind(minutes, now)),
    isWanted ? stateOf(minutes, now) : badge("none", "not followed"),
    minutes.earliest === null ? "–" : openTime(minutes.earliest, 60_000),
    isWanted && late.length > 0 ? badge("stale", `behind: ${names(late)}`) : names(larger),
  ];
}

function stateOf(series, now) {
  if (series.newest === null) return badge("stale", "no candle");
  return isLate(series, now) ? badge("stale", "behind") : badge("ok", "current");
}

/** The measure of /health. */
function isLate(series, now) {
  return behind(series, now) > config.maxCandleAgeMs;
}

/** How long ago the newest candle's interval was over (milliseconds); 0 while it runs. */
function behind({ interval, newest }, now) {
  return Math.max(0, now - newest - config.intervals[interval]);
}
