"""What is known of the feeds."""

from ingest.events import EventKind, FeedEvent, FeedState
from web.ws.messages import StatusMessage
from web.ws.status import Feeds


def beat(at: int, *, feed: FeedState = FeedState.LIVE, since: int = 100, exchange: str = "sim") -> FeedEvent:
    return FeedEvent(exchange, EventKind.BEAT, feed, since, at)


def status(feed: str, since: int | None, exchange: str = "sim") -> StatusMessage:
    return StatusMessage(exchange=exchange, feed=feed, since=since)  # type: ignore[arg-type]


def test_an_exchange_that_was_never_heard_of_is_stale_since_nobody_knows_when() -> None:
    assert Feeds().status("sim", 5_000) == status("stale", None)


def test_beats_prove_life_for_less_than_three_seconds() -> None:
    feeds = Feeds()
    feeds.receive(beat(10_000), 10_000)

    states = [feeds.status("sim", now_ms) for now_ms in (10_000, 12_800, 12_801)]

    assert states == [status("live", 100), status("live", 100), status("stale", 10_000)]


def test_only_changes_are_told_and_silence_is_one() -> None:
    feeds, told = Feeds(), []
    for at in (10_000, 11_000, 12_000):
        feeds.receive(beat(at), at)
        told.append(feeds.changes(at))
    told += [feeds.changes(14_500), feeds.changes(14_900), feeds.changes(15_000)]
    feeds.receive(beat(16_000, feed=FeedState.DOWN, since=15_500), 16_000)
    told += [feeds.changes(16_000), feeds.changes(60_000)]

    assert told == [[status("live", 100)], [], [], [], [status("stale", 12_000)], [], [status("down", 15_500)], []]


def test_a_feed_that_came_back_between_two_looks_is_told() -> None:
    feeds = Feeds()
    feeds.receive(beat(10_000), 10_000)
    feeds.changes(10_000)
    feeds.receive(beat(10_050, since=10_040), 10_050)

    assert feeds.changes(10_100) == [status("live", 10_040)]


def test_an_old_event_changes_nothing() -> None:
    feeds = Feeds()
    feeds.receive(beat(10_000), 10_000)

    feeds.receive(beat(9_000, feed=FeedState.DOWN), 10_000)

    assert feeds.status("sim", 10_000) == status("live", 100)


def test_a_writer_whose_clock_is_ahead_does_not_seem_to_live_on() -> None:
    feeds = Feeds()
    feeds.receive(beat(3_600_000), 10_000)
    feeds.receive(beat(3_600_000), 12_000)  # read again from the hash

    assert [feeds.status("sim", now_ms) for now_ms in (12_000, 13_000)] == [
        status("live", 100),
        status("stale", 10_000),
    ]


def test_each_exchange_has_a_status_of_its_own() -> None:
    feeds = Feeds()
    feeds.receive(beat(10_000), 10_000)
    feeds.receive(beat(10_000, exchange="kraken", since=7), 10_000)

    assert feeds.changes(10_000) == [status("live", 100), status("live", 7, "kraken")]
