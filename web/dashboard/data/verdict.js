/** How long an answer may be awaited before we say that there is none. */
const PATIENCE_MS = 2500;
/** A live side that is behind history for longer than this is not merely on its way. */
const BEHIND_MS = 5000;
/** Without a change for so long a market is called quiet. */
const QUIET_MS = 60000;

/**
 * What the badge says: {state, text}, from the facts of the connection and of the series that is shown.
 *
 * Quiet and blind are different things. Quiet: the server answers and the exchange is followed, but nothing trades.
 * Blind: somebody on the way from the exchange to here is not heard of, and the candle may have moved without us.
 *
 * @param link `facts` of the live connection.
 * @param feed {exchange, feed, since} as the server said it last, or null.
 * @param series {heardAt: when a frame last changed or confirmed it, behindSince: since when history knows more than
 *   the live side told, 0 if it does not; isFollowed: whether the server follows the pair}; milliseconds of this
 *   machine's clock.
 */
export function verdict(link, feed, series, now) {
  if (link.phase === "connecting") return { state: "connecting", text: "Connecting" };
  if (link.phase === "waiting") {
    const seconds = Math.max(0, Math.ceil((link.retryAt - now) / 1000));
    return { state: "reconnecting", text: seconds > 1 ? `Reconnecting in ${seconds} s` : "Reconnecting" };
  }
  if (link.askedAt && now - link.askedAt > PATIENCE_MS) return stale("the server does not answer");
  if (!series.isFollowed) return stale("not followed any more");
  if (feed?.feed === "down") return stale(`not connected to ${feed.exchange}`);
  if (feed?.feed === "stale")
    return stale(feed.since === null ? `${feed.exchange} was never heard of` : `nothing heard from ${feed.exchange}`);
  if (series.behindSince && now - series.behindSince > BEHIND_MS) return stale("live updates are behind history");
  if (!feed || !series.heardAt) return { state: "connecting", text: "Connecting" };
  if (now - series.heardAt > QUIET_MS) return { state: "live", text: "Live, quiet market" };
  return { state: "live", text: "Live" };
}

function stale(reason) {
  return { state: "stale", text: `Stale: ${reason}` };
}
