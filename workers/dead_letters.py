"""What can never take effect: to the topic ``candles.dlq``, with the reason and where it came from."""

import logging
import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingest.kafka import client_config
from workers.outage import Outage
from workers.watermark import Letter

logger = logging.getLogger(__name__)

#: How long `DeadLetters.send` waits for Kafka; it runs in the bridge's main loop.
SEND_SECONDS: Final = 2.0
#: A record that is too large for the topic, headers included, keeps so many bytes of its value.
CUT_BYTES: Final = 512 * 1024


class DeadLetters:
    """Writes dead letters; one per bridge."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._topic = topic
        self._outage = Outage(logger, "Kafka, asked to take dead letters,")
        self._producer = Producer(
            {
                **client_config(brokers),
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                # As much as the broker's default takes: what came from Kafka should fit in again.
                "message.max.bytes": 1_048_588,
                "delivery.timeout.ms": 10_000,
            }
        )

    def send(self, topic: str, partition: int, letters: Iterable[Letter]) -> bool:
        """Write letters that were read from ``topic`` and ``partition``; True once Kafka acknowledged every one.

        After False some may be there, and sending again repeats those: the place they came from, in the headers,
        tells copies apart.
        """
        outcomes: dict[int, KafkaError | None] = {}
        by_offset = {letter.offset: letter for letter in letters}
        for letter in by_offset.values():
            self._produce(topic, partition, letter, outcomes)
        deadline = time.monotonic() + SEND_SECONDS
        while len(outcomes) < len(by_offset) and time.monotonic() < deadline:
            self._producer.poll(0.05)
        for offset, error in list(outcomes.items()):
            if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                del outcomes[offset]
                self._produce(topic, partition, _cut(by_offset[offset]), outcomes)
        while len(outcomes) < len(by_offset) and time.monotonic() < deadline:
            self._producer.poll(0.05)
        failed = [str(error) for error in outcomes.values() if error is not None]
        if failed or len(outcomes) < len(by_offset):
            reason = failed[0] if failed else f"no answer within {SEND_SECONDS:g} s"
            self._outage.failed(reason)
            return False
        self._outage.answered()
        return True

    def _produce(self, topic: str, partition: int, letter: Letter, outcomes: "dict[int, KafkaError | None]") -> None:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            outcomes[letter.offset] = error

        try:
            self._producer.produce(
                self._topic,
                value=letter.value,
                key=letter.key,
                headers=[
                    ("reason", letter.reason.encode()),
                    ("topic", topic.encode()),
                    ("partition", str(partition).encode()),
                    ("offset", str(letter.offset).encode()),
                ],
                on_delivery=delivered,
            )
        except KafkaException as error:
            outcomes[letter.offset] = error.args[0]
        except BufferError:
            outcomes[letter.offset] = KafkaError(KafkaError._QUEUE_FULL)


def _cut(letter: Letter) -> Letter:
    value = letter.value or b""
    reason = f"{letter.reason}; cut from {len(value)} bytes"
    return Letter(letter.offset, letter.key[:1024] if letter.key else letter.key, value[:CUT_BYTES], reason)
