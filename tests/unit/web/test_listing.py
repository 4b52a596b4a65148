"""The list of series: how often it is read, how old it gets, what a failure leaves behind."""

import threading
from collections.abc import Sequence

import pytest

from ingest.candle import Interval, Series
from tests.conftest import FakeClock, minute
from web.answers import KnownSeries
from web.catalogue import Catalogue
from web.listing import SeriesListing
from workers.errors import StoreUnavailable

BTC, ETH = (Series("sim", pair, Interval.M1) for pair in ("BTC-USD", "ETH-USD"))
FIVES = BTC._replace(interval=Interval.M5)


class Edges:
    """Earliest and newest open times by series, and a count of what was asked."""

    def __init__(self) -> None:
        self.held = {BTC: (minute(0), minute(5))}
        self.asked: list[tuple[Series, bool]] = []
        self.away = False
        self.gate = threading.Event()
        self.gate.set()

    def series(self) -> list[Series]:
        self.gate.wait(10)
        if self.away:
            raise StoreUnavailable("series", "gone")
        return sorted(self.held)

    def edges(self, all_series: Sequence[Series], *, newest: bool) -> dict[Series, int]:
        self.asked += [(series, newest) for series in all_series]
        return {series: self.held[series][newest] for series in all_series if series in self.held}


@pytest.fixture
def store() -> Edges:
    return Edges()


@pytest.fixture
def listing(store: Edges, clock: FakeClock) -> SeriesListing:
    catalogue = Catalogue({"sim": ["BTC-USD", "ETH-USD"]})
    return SeriesListing(lambda: store, catalogue, clock.monotonic)  # type: ignore[arg-type,return-value]


def rows(newest: int) -> list[KnownSeries]:
    return [
        KnownSeries("sim", "BTC-USD", Interval.M1, minute(0), minute(newest)),
        KnownSeries("sim", "ETH-USD", Interval.M1, None, None),
    ]


def test_a_list_is_kept_for_two_seconds_and_tells_its_age(
    store: Edges, listing: SeriesListing, clock: FakeClock
) -> None:
    first = listing.read()
    store.held[BTC] = (minute(0), minute(6))
    clock.advance(1.9)
    kept = listing.read()
    clock.advance(0.2)
    fresh = listing.read()

    assert (first, kept, fresh) == ((rows(5), 0), (rows(5), 1), (rows(6), 0))


def test_earliest_times_are_asked_for_once_a_minute(store: Edges, listing: SeriesListing, clock: FakeClock) -> None:
    for _ in range(31):
        listing.read()
        clock.advance(2)

    assert store.asked.count((BTC, True)) == 31
    assert store.asked.count((BTC, False)) == 2


def test_larger_candles_are_asked_for_only_when_a_newer_one_can_be_there(
    store: Edges, listing: SeriesListing, clock: FakeClock
) -> None:
    newest: list[tuple[int | None, bool]] = []
    # Minutes 0 to 2 belong to the candle that opens two minutes before them, minute 3 begins the next.
    for number in (1, 2, 3, 3, 3):
        store.held[BTC] = (minute(0), minute(number))
        store.held[FIVES] = (minute(-2), minute(-2 if len(newest) < 3 else 3))
        store.asked.clear()
        (_, fives, _), _ = listing.read()
        newest.append((fives.newest, (FIVES, True) in store.asked))
        clock.advance(2)

    # The candle of the new minute is written a moment later.
    assert newest == [
        (minute(-2), True),
        (minute(-2), False),
        (minute(-2), True),
        (minute(3), True),
        (minute(3), False),
    ]


def test_a_failure_is_not_kept(store: Edges, listing: SeriesListing) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        listing.read()
    store.away = False

    assert listing.read() == (rows(5), 0)


def test_an_old_list_is_not_passed_off_as_new_while_the_store_is_away(
    store: Edges, listing: SeriesListing, clock: FakeClock
) -> None:
    listing.read()
    store.away = True
    clock.advance(2)

    with pytest.raises(StoreUnavailable):
        listing.read()


def test_of_many_who_ask_at_once_one_reads(store: Edges, listing: SeriesListing) -> None:
    answers: list[tuple[list[KnownSeries], int]] = []
    threads = [threading.Thread(target=lambda: answers.append(listing.read())) for _ in range(8)]
    store.gate.clear()
    for thread in threads:
        thread.start()
    store.gate.set()
    for thread in threads:
        thread.join(10)

    assert answers == [(rows(5), 0)] * 8
    assert store.asked == [(BTC, True), (ETH, True), (BTC, False)]
