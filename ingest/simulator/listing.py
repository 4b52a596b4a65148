"""What the simulated exchange lists, and what each pair is worth."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from ingest.simulator.noise import draw, key_of

#: Rough levels in US dollars; the market wanders around them.
BASES: Final = {
    "BTC": "84000",
    "ETH": "3150",
    "SOL": "165",
    "XRP": "2.35",
    "ADA": "0.74",
    "DOGE": "0.195",
    "LTC": "96",
    "BCH": "515",
    "LINK": "17.4",
    "DOT": "5.3",
    "AVAX": "24.5",
    "XLM": "0.29",
    "UNI": "8.1",
    "AAVE": "212",
    "ATOM": "5.4",
    "ALGO": "0.22",
    "ETC": "19.6",
    "TRX": "0.27",
    "NEAR": "2.9",
    "SHIB": "0.0000128",
}
#: Worth of a quote currency in US dollars.
QUOTES: Final = {"USD": "1", "EUR": "1.11", "GBP": "1.29", "TRY": "0.024", "USDT": "1", "USDC": "1"}

#: Pairs among cryptocurrencies.
CROSSES: Final = ("ETH-BTC", "LTC-BTC", "BCH-BTC", "XRP-BTC", "SOL-BTC", "SOL-ETH")

#: Listed, but closed for trading: a subscription is acknowledged and then silent.
CLOSED: Final = ("LUNA-USD", "LUNA-EUR", "FTT-USD")

#: ``T000-USD`` … ``T999-USD``: enough pairs for a load test.
LOAD_TEST_PAIRS: Final = 1000

#: A price of 12345 has two decimals, one of 1.2345 four.
_SIGNIFICANT_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Listed:
    """One pair that the exchange lists.

    Prices are counted in ticks of ``10^-price_decimals`` quote units, volumes in lots of ``10^-volume_decimals`` base
    units. ``level_ticks`` is where the price would be if nothing ever moved, ``lots_per_million_dollars`` what a
    million dollars would then buy.
    """

    base: str
    quote: str
    level_ticks: int
    price_decimals: int
    volume_decimals: int
    lots_per_million_dollars: int
    open: bool = True

    @property
    def pair(self) -> str:
        """``BASE-QUOTE``."""
        return f"{self.base}-{self.quote}"


def _levels() -> dict[str, Decimal]:
    levels = {
        f"{base}-{quote}": Decimal(dollars) / Decimal(worth)
        for base, dollars in BASES.items()
        for quote, worth in QUOTES.items()
    }
    for pair in CROSSES:
        base, quote = pair.split("-")
        levels[pair] = Decimal(BASES[base]) / Decimal(BASES[quote])
    for number in range(LOAD_TEST_PAIRS):
        # 0.50 to 500.49 dollars.
        levels[f"T{number:03}-USD"] = Decimal(50 + draw(key_of(0, "load test"), number) % 50_000) / 100
    return levels | {pair: Decimal(1) for pair in CLOSED}


_LEVELS: Final = _levels()


def listed(pair: str) -> Listed | None:
    """The listing of ``pair``; None if the exchange does not list it."""
    # Not cached by name before this: clients choose names.
    return _listed(pair) if pair in _LEVELS else None


def pairs() -> list[str]:
    """Every pair that is listed, closed ones included."""
    return list(_LEVELS)


@cache
def _listed(pair: str) -> Listed:
    level = _LEVELS[pair]
    base, quote = pair.split("-")
    dollars = Decimal(BASES[base]) if base in BASES else level
    price_decimals = min(12, max(2, _SIGNIFICANT_DIGITS - 1 - level.adjusted()))
    # Whoever trades millions of a coin does not count its hundred-millionths.
    volume_decimals = 8 if dollars >= 1 else 4
    return Listed(
        base=base,
        quote=quote,
        level_ticks=int(level.scaleb(price_decimals)),
        price_decimals=price_decimals,
        volume_decimals=volume_decimals,
        lots_per_million_dollars=int((1_000_000 / dollars).scaleb(volume_decimals)),
        open=pair not in CLOSED,
    )
