/** What the server says about itself in the page: addresses, followed pairs, intervals, simulated exchanges. */
export const config = Object.freeze(JSON.parse(document.getElementById("config").textContent));

/** The address of the WebSocket server; on the host of the page, unless the server knows better. */
export function socketUrl({ protocol, hostname } = location) {
  return config.wsUrl ?? `${protocol === "https:" ? "wss" : "ws"}://${hostname}:${config.wsPort}/`;
}

/** Whether the server follows a pair; others may be stored from earlier. */
export function isFollowed(exchange, pair) {
  return config.pairs[exchange]?.includes(pair) ?? false;
}

export function isSimulated(exchange) {
  return config.simulated.includes(exchange);
}
