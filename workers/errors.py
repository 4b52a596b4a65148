"""The errors of this package.

WorkersError
├── StoreUnavailable   the store did not answer, or not well: try again later
├── KafkaUnavailable   the same of Kafka, for commands that do not wait for it
├── TopicMissing       Kafka has no such topic
├── TopicReplaced      a topic was deleted and made anew under a running client
├── ConsumerStalled    a consumer gets nothing of what Kafka holds
├── TooManyLetters     more dead letters than fit in memory
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


class KafkaUnavailable(WorkersError):
    """Raised when Kafka did not answer a command, or stopped in the middle.

    Only commands that people wait for raise it; a bridge waits until Kafka is there.
    """

    def __init__(self, brokers: str, reason: str) -> None:
        super().__init__(brokers, reason)
        self.brokers, self.reason = brokers, reason

    def __str__(self) -> str:
        return f"Kafka at {self.brokers} does not answer: {self.reason[:200]}"


class TopicMissing(WorkersError):
    """Raised when Kafka does not have a topic; ingest and the bridges make theirs when they start."""

    def __init__(self, brokers: str, topic: str) -> None:
        super().__init__(brokers, topic)
        self.brokers, self.topic = brokers, topic

    def __str__(self) -> str:
        return f"Kafka at {self.brokers} has no topic {self.topic}: start ingest or a bridge, which make it"


class TopicReplaced(WorkersError):
    """Raised when a topic is another one than the topic of its name that was read before; a fresh client can go on."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        return f"topic {self.topic} was deleted and made anew"


class ConsumerStalled(WorkersError):
    """Raised when Kafka holds records that a consumer has not got for long; a fresh client can go on."""

    def __init__(self, partitions: str) -> None:
        super().__init__(partitions)
        self.partitions = partitions

    def __str__(self) -> str:
        return f"nothing comes of {self.partitions}, where Kafka holds more"


class TooManyLetters(WorkersError):
    """Raised when a range has more dead letters than a command holds in memory; a shorter range helps."""

    def __init__(self, topic: str, limit: int) -> None:
        super().__init__(topic, limit)
        self.topic, self.limit = topic, limit

    def __str__(self) -> str:
        return f"{self.topic} has more than {self.limit} dead letters of this range, expected fewer: use --since"


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
