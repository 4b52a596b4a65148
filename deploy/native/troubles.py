"""What ingest's log says about why candles do not come: the exchange cannot be reached, or refuses pairs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deploy.native.program_logs import Record

#: Events of `ingest`; an integration test holds them against what it really logs.
_STARTING = "starting"
_UNREACHABLE = "cannot connect, trying on"
_CONNECTED = "connected"
_REJECTED = "subscription rejected, following the others"


@dataclass
class Trouble:
    """What is wrong with one exchange right now, as far as ingest has said so."""

    exchange: str
    #: Empty while it is connected, or has not tried yet.
    unreachable: str = ""
    #: Pair: the exchange's reason.
    rejected: dict[str, str] = field(default_factory=dict)

    def of_all(self, pairs: Sequence[str]) -> str | None:
        """Why none of the pairs can have a candle; None if at least one may."""
        if self.unreachable:
            return self.unreachable
        if set(pairs) <= set(self.rejected):
            return self.of_some()
        return None

    def of_some(self) -> str | None:
        """Everything that is wrong, in one line; None if nothing is."""
        if self.unreachable:
            return self.unreachable
        if not self.rejected:
            return None
        return f"{self.exchange} rejects " + ", ".join(f"{pair} ({why})" for pair, why in self.rejected.items())


def read(records: Iterable[Record], exchange: str) -> Trouble:
    """Follow ingest's records about one exchange to their end."""
    trouble = Trouble(exchange)
    for record in records:
        if record.event == _STARTING:
            trouble = Trouble(exchange)
        elif record.fields.get("exchange") == exchange:
            _take(trouble, record)
    return trouble


def _take(trouble: Trouble, record: Record) -> None:
    reason = record.fields.get("reason", "no reason given")
    if record.event == _UNREACHABLE:
        trouble.unreachable = f"cannot connect to {record.fields.get('url', trouble.exchange)} ({reason})"
    elif record.event == _CONNECTED:
        trouble.unreachable = ""
    elif record.event == _REJECTED and "pair" in record.fields:
        trouble.rejected[record.fields["pair"]] = reason
