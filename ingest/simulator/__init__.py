"""The simulated exchange: one deterministic market, spoken in the protocols of real exchanges.

A candle is a function of seed, pair and minute and of nothing else (`ingest.simulator.market`), so whoever reads this
market can be checked against it, and a restart contradicts nothing. The dialects (`ingest.simulator.blockchain`,
`ingest.simulator.kraken`) are sessions without sockets; `ingest.simulator.server` lends them one.
"""

from ingest.simulator.server import DIALECTS, Simulator, simulate

__all__ = ["DIALECTS", "Simulator", "simulate"]
