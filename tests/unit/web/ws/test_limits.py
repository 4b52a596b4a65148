"""Limits without sockets."""

from hypothesis import given
from hypothesis import strategies as st

from web.ws.limits import ConnectionCounts, TokenBucket


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    bucket = TokenBucket(per_second=10, burst=3, now=0.0)

    taken = [bucket.take(now) for now in (0.0, 0.0, 0.0, 0.0, 0.05, 0.1, 0.1)]

    assert taken == [True, True, True, False, False, True, False]


def test_a_bucket_never_holds_more_than_a_burst() -> None:
    bucket = TokenBucket(per_second=10, burst=2, now=0.0)

    taken = [bucket.take(1000.0) for _ in range(3)]

    assert taken == [True, True, False]


@given(st.lists(st.floats(0, 100), max_size=200), st.integers(1, 20))
def test_no_order_of_times_yields_more_than_burst_and_rate(times: list[float], burst: int) -> None:
    bucket = TokenBucket(per_second=5, burst=burst, now=0.0)

    taken = sum(bucket.take(now) for now in sorted(times))

    assert taken <= burst + 5 * 100


def test_connections_are_bounded_per_address_and_in_all() -> None:
    counts = ConnectionCounts(most=3, most_per_address=2)
    for address in ("a", "a"):
        counts.add(address)

    refusals = [counts.refusal("a", exempt=False), counts.refusal("a", exempt=True), counts.refusal("b", exempt=False)]
    counts.add("b")

    assert refusals == ["too many connections from this address", None, None]
    assert counts.refusal("c", exempt=True) == "too many connections"


def test_a_connection_that_is_gone_makes_room() -> None:
    counts = ConnectionCounts(most=1, most_per_address=1)
    counts.add("a")

    counts.remove("a")

    assert (counts.total, counts.refusal("a", exempt=False)) == (0, None)
