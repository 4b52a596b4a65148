/** A candle as the pages know it, from a row of /api/candles or the body of a WebSocket frame. */
export function candleOf({ timestamp, open, high, low, close, volume, state, minutes = 1, rev }) {
  return Object.freeze({ timestamp, open, high, low, close, volume, state, minutes, rev });
}

/** A series' name for maps and messages: "sim:BTC-USD:1m". */
export function keyOf({ exchange, pair, interval }) {
  return `${exchange}:${pair}:${interval}`;
}
