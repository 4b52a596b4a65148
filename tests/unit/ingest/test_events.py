"""Feed events: the words that other programs read."""

from ingest.events import EventKind, FeedState


def test_kinds_and_states_are_spelled_as_documented() -> None:
    assert [kind.value for kind in EventKind] == ["beat", "connected", "disconnected", "gap", "lost"]
    assert [state.value for state in FeedState] == ["live", "stale", "down"]
