import { keyOf } from "./candle.js";

/** Pairs per command: a frame has 16 KiB at most. */
const PAIRS_PER_COMMAND = 100;

/**
 * What to send so that a connection that has `current` subscriptions has the `wanted` ones; both by series key.
 *
 * A subscription is {exchange, pair, interval, snapshot, maxRate}; subscribing again replaces the one before.
 * `cursors`, by series key, go on where the last frame ended.
 */
export function commands(current, wanted, cursors) {
  const gone = [...current].filter(([key]) => !wanted.has(key)).map(([, each]) => each);
  const fresh = [...wanted].filter(([key, each]) => !isSame(current.get(key), each)).map(([, each]) => each);
  return [
    ...batches(gone, ({ exchange, interval }) => ({ exchange, interval })).map((params) => ({
      method: "unsubscribe",
      params,
    })),
    ...batches(fresh, ({ exchange, interval, snapshot, maxRate }) => ({
      exchange,
      interval,
      snapshot,
      ...(maxRate ? { max_rate: maxRate } : {}),
    })).map((params) => ({ method: "subscribe", params: { ...params, ...resuming(params, cursors) } })),
  ];
}

function isSame(held, wanted) {
  return held !== undefined && held.maxRate === wanted.maxRate && held.snapshot >= wanted.snapshot;
}

/** Subscriptions that differ in nothing but their pair, together. */
function batches(subscriptions, paramsOf) {
  const groups = new Map();
  for (const each of subscriptions) {
    const params = paramsOf(each);
    const name = JSON.stringify(params);
    if (!groups.has(name)) groups.set(name, { params, pairs: [] });
    groups.get(name).pairs.push(each.pair);
  }
  return [...groups.values()].flatMap(({ params, pairs }) =>
    Array.from({ length: Math.ceil(pairs.length / PAIRS_PER_COMMAND) }, (_, number) => ({
      ...params,
      pairs: pairs.slice(number * PAIRS_PER_COMMAND, (number + 1) * PAIRS_PER_COMMAND),
    })),
  );
}

function resuming({ exchange, interval, pairs }, cursors) {
  const known = pairs
    .map((pair) => [pair, cursors.get(keyOf({ exchange, pair, interval }))])
    .filter(([, cursor]) => cursor);
  return known.length ? { cursors: Object.fromEntries(known) } : {};
}
