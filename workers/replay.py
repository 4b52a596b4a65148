"""``python -m workers dlq replay``: send dead letters that are candles by now to their topic again."""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from ingest.kafka import client_config
from ingest.topics import CANDLES, DEAD_LETTERS
from workers.console import Output
from workers.errors import KafkaUnavailable
from workers.exit_status import DIFFERENT, FINE
from workers.letters import DeadLetter, Place, bounds_around, read_letters, why_no_candle
from workers.settings import Settings
from workers.topic_reader import TopicReader

#: For Kafka's acknowledgement of some thousand candles.
SEND_SECONDS: Final = 30.0
#: So many letters that stay are named on a terminal; JSON lines name all.
MAX_NAMED: Final = 200


@dataclass
class Outcome:
    """What became of the letters."""

    replayed: int = 0
    stay: int = 0
    named: list[tuple[str, str]] = field(default_factory=list)


def replay_letters(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Send again what is a valid candle now, say what became of each letter, and return the exit status.

    Nothing is deleted, and a candle only moves forward, so repeating this changes nothing.

    Raises:
        WorkersError: If Kafka cannot be asked, or stops answering.
    """
    reader = TopicReader(settings.kafka_brokers)
    reader.partitions(CANDLES)  # producing to a topic that is not there might make it, with the broker's settings
    bounds = reader.bounds(DEAD_LETTERS) if options.all else bounds_around(reader, options.places)
    producer = None if options.dry_run else CandleSender(settings.kafka_brokers, CANDLES)
    missing = set(options.places)
    outcome = Outcome()
    with output.progress("replaying dead letters", sum(stop - start for start, stop in bounds.values())) as advance:
        for letters in read_letters(reader, bounds):
            wanted = letters if options.all else [letter for letter in letters if letter.place in missing]
            missing.difference_update(letter.place for letter in wanted)
            _replay(wanted, producer, outcome, output)
            advance(len(letters))
    for place in sorted(missing):
        _stays(place, f"{DEAD_LETTERS} does not have it", outcome, output)
    _report(outcome, options.dry_run, output)
    return DIFFERENT if outcome.stay else FINE


def why_it_stays(letter: DeadLetter) -> str | None:
    """Why a letter cannot be replayed; None if it can."""
    if letter.from_topic != CANDLES:
        return f"was no record of {CANDLES}"
    return why_no_candle(letter.value)


def _replay(letters: Sequence[DeadLetter], sender: "CandleSender | None", outcome: Outcome, output: Output) -> None:
    good = []
    for letter in letters:
        reason = why_it_stays(letter)
        if reason is None:
            good.append(letter)
        else:
            _stays(letter.place, reason, outcome, output)
    if sender is not None:
        sender.send(good)
    outcome.replayed += len(good)
    if output.as_json:
        for letter in good:
            output.line({"letter": str(letter.place), "replayed": sender is not None})


def _stays(place: Place, reason: str, outcome: Outcome, output: Output) -> None:
    outcome.stay += 1
    if output.as_json:
        output.line({"letter": str(place), "stays": reason})
    elif len(outcome.named) < MAX_NAMED:
        outcome.named.append((str(place), reason))


def _report(outcome: Outcome, dry_run: bool, output: Output) -> None:
    if output.as_json:
        record: dict[str, Any] = {"dry_run": dry_run, "replayed": outcome.replayed, "stay": outcome.stay}
        output.line({"result": "different" if outcome.stay else "done"} | record)
        return
    if outcome.named:
        output.table(["stays", "why"], outcome.named)
    if outcome.stay > len(outcome.named):
        output.say(f"… and {outcome.stay - len(outcome.named):,} more, see --json")
    verb = "would be replayed" if dry_run else "replayed"
    output.say(f"{outcome.replayed:,} {verb}, {outcome.stay:,} stay")


class CandleSender:
    """Produces letters to the topic they came from, under their own keys."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._brokers, self._topic = brokers, topic
        self._producer = Producer(
            {
                **client_config(brokers),
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "queue.buffering.max.kbytes": 65_536,
                "delivery.timeout.ms": int(SEND_SECONDS * 1000),
            }
        )

    def send(self, letters: Iterable[DeadLetter]) -> None:
        """Send letters and wait until Kafka has all of them.

        Raises:
            KafkaUnavailable: If it has not within `SEND_SECONDS`; some may be there, and sending again is harmless.
        """
        failed: list[KafkaError] = []
        deadline = time.monotonic() + SEND_SECONDS
        for letter in letters:
            self._produce(letter, failed, deadline)
        unsent = self._producer.flush(max(0.1, deadline - time.monotonic()))
        if failed or unsent:
            reason = failed[0].str() if failed else f"{unsent} candles not acknowledged within {SEND_SECONDS:g} s"
            raise KafkaUnavailable(self._brokers, reason)

    def _produce(self, letter: DeadLetter, failed: list[KafkaError], deadline: float) -> None:
        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failed.append(error)

        while True:
            try:
                self._producer.produce(self._topic, value=letter.value, key=letter.key, on_delivery=delivered)
                return
            except BufferError:
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(self._brokers, "it takes no more records") from None
                self._producer.poll(0.1)
            except KafkaException as error:
                raise KafkaUnavailable(self._brokers, error.args[0].str()) from error
