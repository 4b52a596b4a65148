"""Where a stack serves, and what a reader can ask for there: addresses, the default exchange and its pairs."""

import time

from deploy.native.stack import Stack

#: What the programs follow when nobody says otherwise.
DEFAULT_EXCHANGE = "sim"
DEFAULT_PAIRS = "BTC-USD,BTC-EUR,ETH-USD,ETH-EUR"


def exchanges(stack: Stack) -> tuple[str, ...]:
    """The exchanges that are followed; the first is the one that readers get who name none."""
    return _parts(stack.variables.get("EXCHANGE", DEFAULT_EXCHANGE))


def pairs_of(stack: Stack, exchange: str) -> tuple[str, ...]:
    """The pairs that are followed on one exchange."""
    own = stack.variables.get(f"PAIRS_{exchange.upper()}")
    return _parts(own or stack.variables.get("PAIRS", DEFAULT_PAIRS))


def candle_probe(stack: Stack, rest: str, ws: str) -> tuple[str, ...]:
    """Arguments for ``probe.py``: any pair of the default exchange will do, as an exchange may not know all of them."""
    exchange = exchanges(stack)[0]
    pairs = ",".join(pairs_of(stack, exchange))
    return ("candle", "--rest", rest, "--ws", ws, "--exchange", exchange, "--pairs", pairs)


def url(stack: Stack, name: str) -> str:
    """Where a person reaches ``rest`` or ``ws`` from this machine."""
    host = stack.variables.get("BIND_HOST", "127.0.0.1")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'ws' if name == 'ws' else 'http'}://{host}:{stack.ports.of(name)}"


def greeting(stack: Stack, pair: str, started: float) -> str:
    """What a person reads when the system serves; ``pair`` is one that it has a candle of."""
    return "\n".join(
        [
            f"crypto-streams is up ({time.monotonic() - started:.0f} s)",
            f"  dashboard  {url(stack, 'rest')}/  (live charts of all pairs)",
            f"  status     {url(stack, 'rest')}/status",
            f"  history    {url(stack, 'rest')}/api/ohlcv?pair={pair}",
            f"  live       {url(stack, 'ws')}  (send: subscribe,{pair})",
            f"  try it     curl '{url(stack, 'rest')}/api/ohlcv?pair={pair}&limit=3'",
        ]
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
