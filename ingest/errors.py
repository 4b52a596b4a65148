"""The errors of this package.

IngestError
├── CandleError     a value that cannot be a candle
├── DecodeError     bytes that cannot be read as a record of ours
└── SettingsError   a setting that stops the start

Facts are attributes; ``__str__`` is the sentence a person reads.
"""


class IngestError(Exception):
    """Root of this package's errors."""


class CandleError(IngestError):
    """Raised when values cannot form a candle.

    Whoever sent them is at fault: trying again cannot help.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        # All of it goes to Exception, else the error cannot be pickled between processes.
        super().__init__(field, value, expected)
        self.field, self.value, self.expected = field, value, expected

    def __str__(self) -> str:
        return f"{self.field} is {str(self.value)[:80]}, expected {self.expected}"


class DecodeError(IngestError):
    """Raised when a Kafka record does not hold what its topic promises.

    Bridges move such records to the dead-letter topic: retrying cannot help.
    """

    def __init__(self, payload: bytes, reason: str) -> None:
        super().__init__(payload, reason)
        self.payload, self.reason = payload, reason

    def __str__(self) -> str:
        return f"{self.reason}: {self.payload[:80]!r}"


class SettingsError(IngestError):
    """Raised when settings cannot be used; it holds one sentence per setting at fault."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)
