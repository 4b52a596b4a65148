"""What one client is subscribed to, by either protocol; bounded."""

from ingest.candle import Series


class Wanted:
    """A client's subscriptions.

    Args:
        most: How many a client may have, of both protocols together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        #: By the line protocol.
        self.lines: set[Series] = set()
        #: By the JSON protocol, each with its ``max_rate``.
        self.channels: dict[Series, float | None] = {}

    def __len__(self) -> int:
        return len(self.lines) + len(self.channels)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self) >= self.most

    def too_many(self, series: Series) -> str:
        """What a client is told that wants one more."""
        return f"{series.pair} is one too many: expected at most {self.most} subscriptions"
