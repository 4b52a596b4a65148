"""The errors of this package.

WorkersError
├── StoreUnavailable   the store did not answer, or not well: try again later
└── SeriesCollision    two series have one hash: nobody can go on, ever

Facts are attributes; ``__str__`` is the sentence a person reads.
"""


class WorkersError(Exception):
    """Root of this package's errors."""


class StoreUnavailable(WorkersError):
    """Raised when the store could not be asked: it is away, too slow, or refuses.

    Nothing is known about what the operation did; every operation of ours may be repeated.
    """

    def __init__(self, operation: str, reason: str) -> None:
        # Both go to Exception, else the error cannot be pickled between processes.
        super().__init__(operation, reason)
        self.operation, self.reason = operation, reason

    def __str__(self) -> str:
        return f"store unavailable for {self.operation}: {self.reason[:200]}"


class SeriesCollision(WorkersError):
    """Raised when the hash of a series already belongs to another one.

    Writing on would mix the candles of two series. With 64 bits this takes about five billion series; it is checked
    because nobody would ever notice.
    """

    def __init__(self, series: str, holder: str) -> None:
        super().__init__(series, holder)
        self.series, self.holder = series, holder

    def __str__(self) -> str:
        return f"series {self.series} has the same hash as {self.holder}, expected a hash of its own"
