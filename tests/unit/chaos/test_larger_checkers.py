"""The checkers of larger candles hold on good evidence, and fail on evidence with one planted violation."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.codec import encode_candle
from tests.chaos.checkers import CHECKERS
from tests.chaos.evidence import CandleKey, Evidence, LargerKey, LargerSample, StoredCandle
from tests.chaos.larger_checkers import larger_candles_equal_their_minutes
from tests.conftest import minute
from tests.unit.chaos.evidence_of_a_good_run import (
    BEGAN_AT,
    MINUTES,
    Plant,
    all_versions,
    good_evidence,
    larger_of,
    record,
    version,
)

#: Minutes 0 to 2 are the end of one candle of five minutes, 3 and 4 the beginning of the next.
OLDER: LargerKey = ("sim", "BTC-USD", "5m", minute(-2))
NEWEST: LargerKey = ("sim", "BTC-USD", "5m", minute(3))
DAY: LargerKey = ("sim", "BTC-USD", "1d", minute(0) - minute(0) % 86_400_000)
STATES = ("partial", "open", "provisional", "final", "corrected")
#: Minutes of a pair that has been followed for some hours, with holes.
minutes = st.dictionaries(
    st.integers(0, 600),
    st.tuples(st.sampled_from(STATES), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9)),
    min_size=1,
)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return good_evidence(tmp_path)


def reports(evidence: Evidence) -> dict[str, int]:
    """How many violations each checker reports, those that report none left out."""
    return {name: len(found) for name, checker in CHECKERS.items() if (found := checker(evidence))}


# -- I9 ---------------------------------------------------------------------------------------------------------------


@given(minutes)
def test_i9_computes_what_the_real_code_computes(drawn: dict[int, tuple[str, int, int, int]]) -> None:
    stored: dict[CandleKey, StoredCandle] = {}
    for number, (state, open_, close, volume) in drawn.items():
        prices = (open_, max(open_, close) + 1, min(open_, close), close, volume)
        stored["sim", "BTC-USD", minute(number)] = StoredCandle(
            STATES.index(state) << 50 | number, state, tuple(map(Decimal, prices))
        )
    evidence = Evidence([], [], [], stored, larger_of(stored), 0, [], Path())

    assert larger_candles_equal_their_minutes(evidence) == []


def alter(**changes: object) -> Plant:
    """Let the store and the live side hold the newest candle otherwise; no client follows it."""

    def plant(evidence: Evidence) -> None:
        evidence.larger[DAY] = evidence.live_larger[DAY] = replace(evidence.larger[DAY], **changes)  # type: ignore[arg-type]

    return plant


def lose_a_larger_candle(evidence: Evidence) -> None:
    del evidence.larger[DAY], evidence.live_larger[DAY]
    evidence.documents -= 1


def store_a_larger_candle_without_minutes(evidence: Evidence) -> None:
    key = ("sim", "BTC-USD", "5m", minute(-7))
    evidence.larger[key] = evidence.live_larger[key] = evidence.larger[OLDER]
    evidence.documents += 1


@pytest.mark.parametrize(
    "plant",
    [
        lose_a_larger_candle,
        store_a_larger_candle_without_minutes,
        alter(minutes=4),
        alter(state="provisional"),
        alter(values=(Decimal(2), Decimal(4), Decimal(1), Decimal(3), Decimal(5))),
    ],
)
def test_i9_reports_a_larger_candle_that_its_minutes_do_not_make(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I9": 1}


# -- I10 --------------------------------------------------------------------------------------------------------------


def sample(evidence: Evidence, at: float, life: int, **changes: object) -> None:
    """Let the store be seen to hold a candle otherwise for a while."""
    seen = evidence.larger_samples[OLDER]
    candle = replace(evidence.larger[OLDER], **changes)  # type: ignore[arg-type]
    seen.insert(1, LargerSample(at, life, candle))


def raise_rev(evidence: Evidence) -> None:
    sample(evidence, BEGAN_AT + 0.5, 0, rev=evidence.larger[OLDER].rev + 1)


def take_a_minute_away(evidence: Evidence) -> None:
    sample(evidence, BEGAN_AT + 0.5, 0, minutes=4)


def make_it_surer_for_a_while(evidence: Evidence) -> None:
    surer = StoredCandle((3 << 50) + 5, "final", evidence.larger[OLDER].values, evidence.larger[OLDER].minutes)
    evidence.larger_samples[OLDER].insert(1, LargerSample(BEGAN_AT + 0.5, 0, surer))


def say_another_state_than_rev(evidence: Evidence) -> None:
    evidence.larger_samples[OLDER].append(
        LargerSample(BEGAN_AT + 2, 0, replace(evidence.larger[OLDER], state="corrected"))
    )


@pytest.mark.parametrize(
    "plant", [raise_rev, take_a_minute_away, make_it_surer_for_a_while, say_another_state_than_rev]
)
def test_i10_reports_a_larger_candle_that_moved_back(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I10": 1}


def test_i10_compares_nothing_across_the_restore_of_an_older_copy(evidence: Evidence) -> None:
    first, last = evidence.larger_samples[OLDER]
    evidence.larger_samples[OLDER] = [last, replace(first, life=1), replace(last, life=1)]

    assert CHECKERS["I10"](evidence) == []


# -- I11 --------------------------------------------------------------------------------------------------------------


def lose_it_on_the_live_side(evidence: Evidence) -> None:
    del evidence.live_larger[OLDER]


def hold_other_values_on_the_live_side(evidence: Evidence) -> None:
    held = evidence.live_larger[OLDER]
    evidence.live_larger[OLDER] = replace(held, values=(*held.values[:4], Decimal(7)))


def hold_on_the_live_side_what_is_not_stored(evidence: Evidence) -> None:
    evidence.live_larger["sim", "BTC-USD", "5m", minute(8)] = evidence.live_larger[NEWEST]


@pytest.mark.parametrize(
    "plant", [lose_it_on_the_live_side, hold_other_values_on_the_live_side, hold_on_the_live_side_what_is_not_stored]
)
def test_i11_reports_a_live_side_that_differs_from_the_store(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I11": 1}


def test_i11_does_not_compare_revs_which_each_side_raises_by_itself(evidence: Evidence) -> None:
    evidence.live_larger[OLDER] = replace(evidence.live_larger[OLDER], rev=evidence.live_larger[OLDER].rev + 1)

    assert CHECKERS["I11"](evidence) == []


#: Each record was read a second after the one before it; so was the first version of minute 4.
LAST_MINUTE_AT = BEGAN_AT + [each.timestamp for each in all_versions()].index(minute(MINUTES - 1))


@pytest.mark.parametrize(
    ("plant", "is_older", "found"),
    [
        (lose_it_on_the_live_side, False, 0),
        (hold_other_values_on_the_live_side, False, 1),
        (hold_other_values_on_the_live_side, True, 0),
        (lambda evidence: evidence.live_larger.pop(NEWEST), False, 1),
        (lambda evidence: evidence.live_larger.pop(NEWEST), True, 1),
    ],
)
def test_i11_asks_for_what_changed_after_redis_forgot(
    evidence: Evidence, plant: Plant, is_older: bool, found: int
) -> None:
    plant(evidence)
    evidence.redis_forgot_at, evidence.redis_is_older = LAST_MINUTE_AT - 1.5, is_older

    assert len(CHECKERS["I11"](evidence)) == found


def test_i11_asks_for_nothing_when_nothing_changed_after_redis_forgot(evidence: Evidence) -> None:
    evidence.live_larger.clear()
    evidence.redis_forgot_at = BEGAN_AT + len(all_versions())
    # The same values once more, as from a repeated attempt.
    evidence.acknowledged.append(
        replace(record(encode_candle(version(4, 2)), len(all_versions()) + 1), at=BEGAN_AT + 99)
    )

    assert CHECKERS["I11"](evidence) == []


# -- I12 --------------------------------------------------------------------------------------------------------------


def show_an_older_version(evidence: Evidence) -> None:
    frames = evidence.larger_client.frames
    frames += [frames[0], frames[1]]


def end_before_the_last_version(evidence: Evidence) -> None:
    evidence.larger_client.frames.pop()


def tell_nothing(evidence: Evidence) -> None:
    evidence.larger_client.frames.clear()


@pytest.mark.parametrize("plant", [show_an_older_version, end_before_the_last_version, tell_nothing])
def test_i12_reports_a_client_that_goes_back_or_stays_behind(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I12": 1}


def test_i12_allows_an_older_version_after_a_reconnect(evidence: Evidence) -> None:
    show_an_older_version(evidence)
    client = evidence.larger_client
    client.frames = [(BEGAN_AT + number, frame) for number, (_, frame) in enumerate(client.frames)]
    client.connected = [(BEGAN_AT, BEGAN_AT + 1.5), (BEGAN_AT + 1.6, evidence.ended_at)]

    assert CHECKERS["I12"](evidence) == []


def test_i12_asks_no_client_that_was_gone_at_the_end_for_the_last_version(evidence: Evidence) -> None:
    end_before_the_last_version(evidence)
    evidence.larger_client.connected = [(BEGAN_AT, evidence.ended_at - 10)]

    assert CHECKERS["I12"](evidence) == []
