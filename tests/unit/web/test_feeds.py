"""Feed events as a reader has to take them."""

import pytest

from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import MINUTE_MS
from web.feeds import as_known_at


def beat(feed: FeedState = FeedState.LIVE) -> FeedEvent:
    return FeedEvent("sim", EventKind.BEAT, feed, since=MINUTE_MS - 60_000, at=MINUTE_MS, pairs=("BTC-USD",))


@pytest.mark.parametrize("silence_ms", [-500, 0, 3000])
def test_a_recent_beat_is_believed(silence_ms: int) -> None:
    known = as_known_at(beat(), MINUTE_MS + silence_ms)

    assert known == beat()


def test_a_feed_without_beats_for_three_seconds_is_stale_since_the_last() -> None:
    known = as_known_at(beat(), MINUTE_MS + 7200)

    assert known == FeedEvent(
        "sim", EventKind.BEAT, FeedState.STALE, MINUTE_MS, MINUTE_MS, "no beat for 7 s", pairs=("BTC-USD",)
    )


def test_a_feed_that_was_down_stays_down() -> None:
    known = as_known_at(beat(FeedState.DOWN), MINUTE_MS + 60_000)

    assert known == beat(FeedState.DOWN)
