"""What is known of the exchanges' feeds, sans I/O: events in, what clients have to be told out.

A feed that has stopped to beat says nothing, and neither does a link that is dead. So silence counts as an answer.
"""

from typing import Final

import msgspec

from ingest.events import FeedEvent
from web.feeds import STALE_AFTER_MS, as_known_at
from web.ws.messages import StatusMessage

#: How often silence is looked for (seconds).
LOOK_SECONDS: Final = 0.1
#: By so much earlier than REST, so that with the look and the way to the client it is said within three seconds.
_EARLIER_MS: Final = 200
assert LOOK_SECONDS * 1000 < _EARLIER_MS < STALE_AFTER_MS


class Feeds:
    """The newest event of each exchange, and what clients were told of it."""

    def __init__(self) -> None:
        self._newest: dict[str, FeedEvent] = {}
        self._written_at: dict[str, int] = {}
        self._told: dict[str, StatusMessage] = {}

    def receive(self, event: FeedEvent, now_ms: int) -> None:
        """Take an event, from the channel or from the hash, at this time (Unix milliseconds); an old one is ignored."""
        if event.at <= self._written_at.get(event.exchange, -1):
            return
        self._written_at[event.exchange] = event.at
        # A writer whose clock is ahead must not seem to beat when it does not any more.
        self._newest[event.exchange] = msgspec.structs.replace(event, at=min(event.at, now_ms))

    def status(self, exchange: str, now_ms: int) -> StatusMessage:
        """What is known of an exchange's feed at this time (Unix milliseconds)."""
        event = self._newest.get(exchange)
        if event is None:
            return StatusMessage(exchange=exchange, feed="stale", since=None)
        known = as_known_at(event, now_ms + _EARLIER_MS)
        return StatusMessage(exchange=exchange, feed=known.feed.value, since=known.since)

    def changes(self, now_ms: int) -> list[StatusMessage]:
        """What differs from the last time that this was asked, for each exchange that was heard of."""
        changes = []
        for exchange in self._newest:
            status = self.status(exchange, now_ms)
            if self._told.get(exchange) != status:
                self._told[exchange] = status
                changes.append(status)
        return changes
