"""What follows from a client's frame: values that the protocol returns and the server carries out."""

from typing import NamedTuple

from msgspec import UnsetType

from ingest.candle import Series
from web.ws.messages import Id


class Reply(NamedTuple):
    """A text frame for this client."""

    text: bytes


class Subscribe(NamedTuple):
    """The client wants this series as lines, beginning with its newest candle; also if it has it already."""

    series: Series


class Unsubscribe(NamedTuple):
    """The client does not want this series as lines any more."""

    series: Series


class Wish(NamedTuple):
    """One series that a JSON command asks for."""

    series: Series
    #: How many of the newest candles to begin with.
    snapshot: int
    #: Where the client got to, as it wrote it; None if it begins anew.
    cursor: str | None
    #: Updates a second; None: all.
    max_rate: float | None


class Open(NamedTuple):
    """The client wants these series as JSON, also those that it has already; each is answered under ``id``."""

    id: Id | UnsetType
    wishes: tuple[Wish, ...]


class Shut(NamedTuple):
    """The client does not want this series as JSON any more."""

    series: Series


class Close(NamedTuple):
    """The connection must be closed; nothing after it counts."""

    code: int
    reason: str


Effect = Reply | Subscribe | Unsubscribe | Open | Shut | Close
