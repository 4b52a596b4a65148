"""Finals come once, ascending, and a hole that will be filled is waited for."""

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Candle, State
from tests.conftest import make_candle, minute
from web.client.finals import Finals

MINUTE = 60_000
SETTLE_SECONDS = 60.0


def final(number: int) -> Candle:
    return make_candle(number, state=State.FINAL)


def numbers_of(candles: list[Candle]) -> list[int]:
    return [(candle.timestamp - minute(0)) // MINUTE for candle in candles]


def finals_from(number: int) -> Finals:
    return Finals(MINUTE, minute(number) - 1, SETTLE_SECONDS)


def test_a_final_that_follows_the_last_one_is_told_at_once() -> None:
    finals = finals_from(0)

    told = [finals.hear([final(0)]), finals.hear([make_candle(1), final(1)])]

    assert told == [[final(0)], [final(1)]]


def test_a_final_behind_a_hole_is_told_with_what_fills_it() -> None:
    finals = finals_from(0)

    told = [finals.hear([final(1), final(2)]), finals.hear([final(0)])]

    assert told == [[], [final(0), final(1), final(2)]]


def test_a_repeated_or_older_final_is_not_told_again() -> None:
    finals = finals_from(0)
    finals.hear([final(0), final(1)])

    told = finals.hear([final(0), make_candle(1, state=State.CORRECTED)])

    assert told == []


def test_of_what_waits_the_highest_rev_is_told() -> None:
    finals, corrected = finals_from(0), make_candle(1, state=State.CORRECTED)
    finals.hear([corrected, final(1)])

    assert finals.hear([final(0)]) == [final(0), corrected]


def test_a_hole_is_given_up_only_by_a_read_that_began_long_after_the_store_had_something_beyond_it() -> None:
    finals, beyond = finals_from(0), [final(1)]

    told = [finals.read(beyond, minute(1), began_at=at, now=at + 5) for at in (0.0, SETTLE_SECONDS, SETTLE_SECONDS + 5)]

    assert told == [[], [], beyond]


def test_what_only_the_live_side_knows_does_not_give_up_a_hole() -> None:
    finals = finals_from(0)
    finals.hear([final(2)])
    long_after = SETTLE_SECONDS * 10

    told = [
        finals.read([], minute(0) - 1, long_after, long_after),
        finals.read([final(2)], minute(2), long_after + 1, long_after + 1),
        finals.read([final(1), final(2)], minute(2), long_after + 2, long_after + 2),
        finals.hear([final(0)]),
    ]

    assert [numbers_of(each) for each in told] == [[], [], [], [0, 1, 2]]


def test_holes_of_a_long_history_are_waited_for_once() -> None:
    finals = finals_from(0)
    finals.note_stored(minute(9), 0.0)
    later = SETTLE_SECONDS

    told = [
        finals.read([final(1), final(3)], minute(3), later, later),
        finals.read([final(5), final(9)], minute(9), later + 1, later + 1),
    ]

    assert [numbers_of(each) for each in told] == [[1, 3], [5, 9]]


def test_a_beginning_between_two_open_times_is_followed_by_the_later() -> None:
    finals = Finals(MINUTE, minute(0) + 17, SETTLE_SECONDS)

    assert finals.hear([final(0), final(1)]) == [final(1)]


@dataclass
class Market:
    """A store that is written in any order within a time in which a hole may still be filled, and a live side that
    tells any of it at any time."""

    finals: Finals
    chance: random.Random
    stored: dict[int, Candle] = field(default_factory=dict)
    told: list[Candle] = field(default_factory=list)
    now: float = 0.0

    def read(self, page: int) -> None:
        began_at = self.now
        rows = [self.stored[each] for each in sorted(self.stored) if each > self.finals.told_until_ms][:page]
        self.now += self.chance.random()
        until_ms = rows[-1].timestamp if rows else self.finals.told_until_ms
        self.told += self.finals.read(rows, until_ms, began_at, self.now)

    def hear(self, candles: list[Candle]) -> None:
        self.told += self.finals.hear(candles)


@given(
    rounds=st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
    heard=st.floats(0, 1),
    page=st.integers(1, 50),
)
def test_whatever_comes_in_whatever_order_each_stored_final_is_told_once_and_ascending(
    rounds: list[set[int]], seed: int, heard: float, page: int
) -> None:
    chance = random.Random(seed)
    market = Market(finals_from(0), chance)
    for number, open_times in enumerate(rounds):
        candles = [final(number * 10 + each) for each in open_times]
        chance.shuffle(candles)
        ends_at = market.now + SETTLE_SECONDS * 0.9
        for candle in candles:
            if chance.random() < heard:
                market.hear(chance.choices(candles, k=2))
            # The time that is left is spread over those that are left.
            market.now += chance.uniform(0, (ends_at - market.now) / len(candles))
            market.stored[candle.timestamp] = candle
            if chance.random() < 0.5:
                market.read(page)
    # Each look takes so much time that another hole is settled by it.
    for _ in range(2 * len(market.stored) + 2):
        market.now += SETTLE_SECONDS
        market.read(page)

    expected = sorted(number * 10 + each for number, open_times in enumerate(rounds) for each in open_times)
    assert numbers_of(market.told) == expected
