"""Sight: where blindness begins and ends."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.sight import Gap, Sight

PAIRS = ("BTC-USD", "ETH-USD")


def seeing(now_ms: int) -> Sight:
    """A sight that sees both pairs, for the first time, at this exchange time."""
    sight = Sight(PAIRS, {})
    for pair in PAIRS:
        sight.accepted(pair)
    sight.at(now_ms)
    return sight


def reconnect(sight: Sight) -> None:
    sight.ended()
    for pair in PAIRS:
        sight.accepted(pair)


def test_a_very_first_start_is_no_gap() -> None:
    sight = Sight(PAIRS, {})
    for pair in PAIRS:
        sight.accepted(pair)

    assert (sight.at(1000), sight.seen()) == ([], (1000, PAIRS))


def test_a_reconnect_is_one_gap_from_the_last_to_the_first_known_time() -> None:
    sight = seeing(1000)
    sight.at(1500)
    reconnect(sight)

    assert sight.at(4000) == [Gap(1500, 4000, PAIRS)]


def test_a_restart_is_a_gap_from_what_the_last_beat_said() -> None:
    sight = Sight(PAIRS, {"BTC-USD": 700, "ETH-USD": 700})
    for pair in PAIRS:
        sight.accepted(pair)

    assert sight.at(4000) == [Gap(700, 4000, PAIRS)]


def test_a_running_candle_bounds_a_gap_if_no_exact_time_comes() -> None:
    sight = seeing(1000)
    reconnect(sight)

    sight.within(60_000, 120_000)
    sight.within(120_000, 180_000)

    assert (sight.settle(), sight.settle(), sight.seen()) == ([Gap(1000, 120_000, PAIRS)], [], (120_000, PAIRS))


def test_a_first_running_candle_is_enough_to_have_seen_a_pair() -> None:
    sight = Sight(PAIRS, {})
    for pair in PAIRS:
        sight.accepted(pair)

    sight.within(60_000, 120_000)

    assert sight.seen() == (60_000, PAIRS)


def test_an_exact_time_ends_a_gap_earlier_than_the_running_candle_would() -> None:
    sight = seeing(1000)
    reconnect(sight)

    sight.within(60_000, 120_000)

    assert (sight.at(62_000), sight.settle()) == ([Gap(1000, 62_000, PAIRS)], [])


def test_a_candle_that_came_before_every_pair_had_its_answer_bounds_nothing() -> None:
    sight = seeing(1000)
    sight.ended()
    sight.accepted("BTC-USD")
    sight.within(60_000, 120_000)
    sight.accepted("ETH-USD")

    assert sight.settle() == []


def test_a_time_known_before_every_pair_has_its_answer_does_not_end_the_gap() -> None:
    sight = seeing(1000)
    sight.ended()
    sight.accepted("BTC-USD")

    early = sight.at(2000)
    sight.accepted("ETH-USD")

    assert (early, sight.at(3000)) == ([], [Gap(1000, 3000, PAIRS)])


def test_a_pair_without_an_answer_does_not_keep_the_gap_of_the_others_open() -> None:
    sight = seeing(1000)
    sight.ended()
    sight.accepted("BTC-USD")
    sight.wait_no_longer()

    assert (sight.at(2000), sight.seen()) == ([Gap(1000, 2000, ("BTC-USD",))], (1000, PAIRS))


def test_what_is_seen_does_not_pass_a_gap_that_has_no_end_yet() -> None:
    sight = seeing(1000)
    reconnect(sight)

    assert sight.seen() == (1000, PAIRS)


def test_a_candle_that_came_before_a_later_subscription_does_not_bound_its_gap() -> None:
    sight = seeing(1000)
    sight.ended()
    sight.accepted("BTC-USD")
    sight.wait_no_longer()
    sight.within(60_000, 120_000)
    sight.accepted("ETH-USD")

    early = sight.settle()
    sight.within(240_000, 300_000)

    assert (early, sight.settle()) == ([], [Gap(1000, 300_000, PAIRS)])


def test_two_reconnects_without_a_known_time_between_are_one_gap() -> None:
    sight = seeing(1000)
    reconnect(sight)
    reconnect(sight)

    assert sight.at(9000) == [Gap(1000, 9000, PAIRS)]


def test_a_pair_refused_for_good_holds_nothing_up_and_is_not_asked_for_again() -> None:
    sight = Sight(PAIRS, {"BTC-USD": 700, "ETH-USD": 700})
    sight.accepted("BTC-USD")
    sight.refused("ETH-USD", for_good=True)

    gaps = sight.at(2000)

    assert (gaps, sight.seen(), sight.unanswered) == (
        [Gap(700, 2000, ("BTC-USD",))],
        (2000, ("BTC-USD",)),
        [],
    )


def test_a_refusal_that_may_pass_is_asked_about_again_and_gets_a_gap_of_its_own() -> None:
    sight = Sight(PAIRS, {"BTC-USD": 700, "ETH-USD": 700})
    sight.accepted("BTC-USD")
    sight.refused("ETH-USD", for_good=False)
    sight.at(2000)

    asked = sight.unanswered
    sight.accepted("ETH-USD")

    assert (asked, sight.at(8000)) == (["ETH-USD"], [Gap(700, 8000, ("ETH-USD",))])


def test_a_clock_that_went_back_ends_the_gap_only_once_it_is_past_its_beginning() -> None:
    sight = seeing(5000)
    reconnect(sight)

    assert (sight.at(4000), sight.at(6000)) == ([], [Gap(5000, 6000, PAIRS)])


def test_nothing_is_seen_before_the_exchange_has_said_any_time() -> None:
    sight = Sight(PAIRS, {})
    sight.accepted("BTC-USD")

    assert sight.seen() is None


actions = st.lists(
    st.one_of(
        st.just("end"),
        st.tuples(st.just("accept"), st.sampled_from(PAIRS)),
        st.tuples(st.just("refuse"), st.sampled_from(PAIRS)),
        st.tuples(st.just("time"), st.integers(1, 50)),
        st.just("wait"),
        st.just("candle"),
        st.just("settle"),
    ),
    max_size=80,
)


@given(actions, st.dictionaries(st.sampled_from(PAIRS), st.just(1)))
def test_every_time_is_seen_or_in_a_gap(sequence: list[str | tuple[str, str | int]], before: dict[str, int]) -> None:
    """The exchange's clock runs; for each pair that was once seen, note the times without a subscription."""
    sight = Sight(PAIRS, before)
    clock = 1
    promised, subscribed = set(before), set[str]()
    blind: dict[str, set[int]] = {pair: set() for pair in PAIRS}

    for action in sequence:
        told: list[Gap] = []
        if action == "end":
            sight.ended()
            subscribed.clear()
        elif action == "wait":
            sight.wait_no_longer()
        elif action == "candle":
            sight.within(clock // 10 * 10, clock // 10 * 10 + 10)
        elif action == "settle":
            told += sight.settle()
        elif action[0] == "accept":
            sight.accepted(str(action[1]))
            subscribed.add(str(action[1]))
        elif action[0] == "refuse":
            sight.refused(str(action[1]), for_good=True)
        else:
            passed = range(clock, clock + int(action[1]))
            for pair in promised - subscribed:
                blind[pair] |= set(passed)
            clock = passed.stop
            told += sight.at(clock)
        for gap in told:
            for pair in gap.pairs:
                blind[pair] -= set(range(gap.from_ms, gap.to_ms))
        until, pairs = sight.seen() or (0, ())
        promised |= set(pairs)
        assert {pair: min(blind[pair]) for pair in pairs if blind[pair] and min(blind[pair]) < until} == {}
