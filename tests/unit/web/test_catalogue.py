"""Known pairs: configured or stored."""

from ingest.candle import Interval, Series
from web.catalogue import Catalogue


def test_a_pair_is_known_if_it_is_configured_or_stored_in_any_interval() -> None:
    catalogue = Catalogue({"sim": ("BTC-USD",)}).with_stored([Series("kraken", "XMR-EUR", Interval.H1)])

    known = {
        (exchange, pair): catalogue.knows_pair(exchange, pair)
        for exchange in ("sim", "kraken")
        for pair in ("BTC-USD", "XMR-EUR")
    }

    assert known == {
        ("sim", "BTC-USD"): True,
        ("sim", "XMR-EUR"): False,
        ("kraken", "BTC-USD"): False,
        ("kraken", "XMR-EUR"): True,
    }


def test_series_are_the_configured_and_the_stored_ones_once_each_in_order() -> None:
    stored = [Series("sim", "BTC-USD", Interval.M1)]
    stored += [Series("sim", "ADA-USD", interval) for interval in (Interval.D1, Interval.M15, Interval.H4, Interval.M5)]

    series = Catalogue({"sim": ("BTC-USD", "ETH-USD")}, stored).series

    assert series == (
        *(Series("sim", "ADA-USD", each) for each in (Interval.M5, Interval.M15, Interval.H4, Interval.D1)),
        Series("sim", "BTC-USD", Interval.M1),
        Series("sim", "ETH-USD", Interval.M1),
    )


def test_the_first_configured_exchange_is_the_default() -> None:
    catalogue = Catalogue({"sim": ("BTC-USD",), "kraken": ("XMR-EUR",)})

    assert catalogue.default_exchange == "sim"
