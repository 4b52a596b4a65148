"""Do the bridges keep up, and what did they put aside?"""

from collections.abc import Iterator, Sequence
from typing import Final

from ingest.topics import DEAD_LETTERS, TOPICS
from workers.doctor.findings import Finding, broken, ok, warning
from workers.errors import KafkaUnavailable, TopicMissing
from workers.lag import age
from workers.offsets import Lag, Offsets
from workers.policies import POLICIES, Policy
from workers.topic_reader import TopicReader

#: Above what `rollup-live` puts off, which is a minute, and a restart takes.
LATE_SECONDS: Final = 120.0
#: Of what Kafka keeps: beyond, somebody has to hurry.
_MUCH_OF_RETENTION: Final = 0.5
_SILENCE_SECONDS: Final = 3.0
_DEAD_LETTERS: Final = "dead letters"


def find_in_bridges(brokers: str) -> Iterator[Finding]:
    """Look at how far each bridge is."""
    reader = TopicReader(brokers, silence_seconds=_SILENCE_SECONDS)
    for policy in POLICIES.values():
        try:
            yield judge_lag(policy, Offsets(reader, [policy]).read())
        except TopicMissing as error:
            advice = "start ingest or a bridge, which make the topics"
            yield broken(_subject(policy), f"has nothing to read: there is no topic {error.topic}", advice)
        except KafkaUnavailable as error:
            advice = f"start Kafka, and let this user READ the group {policy.group}"
            yield broken(_subject(policy), f"how far it is cannot be asked: {error.reason[:200]}", advice)
            return


def judge_lag(policy: Policy, lags: Sequence[Lag]) -> Finding:
    """How a bridge does that is so far. Pure."""
    behind = sum(each.behind for each in lags)
    oldest = max((each.oldest_seconds or 0.0 for each in lags), default=0.0)
    retention = min(TOPICS[topic][1] for topic in policy.sources) / 1000
    start = f"start it, `python -m workers bridge {policy.name}`, or see what its log says"
    if behind and all(each.committed is None for each in lags):
        return warning(_subject(policy), f"has never committed, {behind:,} records wait for it", start)
    found = f"{behind:,} record{'' if behind == 1 else 's'} behind"
    if oldest > LATE_SECONDS:
        late = f"{found}, the oldest for {age(oldest)}"
        if oldest > retention * _MUCH_OF_RETENTION:
            return broken(_subject(policy), f"{late}; Kafka forgets them after {age(retention)}", start)
        return warning(_subject(policy), late, start)
    return ok(_subject(policy), found if behind else "nothing behind")


def find_dead_letters(brokers: str) -> Iterator[Finding]:
    """Count the dead letters that Kafka has."""
    reader = TopicReader(brokers, silence_seconds=_SILENCE_SECONDS)
    try:
        count = sum(stop - start for start, stop in reader.bounds(DEAD_LETTERS).values())
    except TopicMissing:
        return  # which is said of the topic
    except KafkaUnavailable as error:
        yield broken(_DEAD_LETTERS, f"cannot be counted: {error.reason[:200]}", "start Kafka")
        return
    if count:
        found = f"{count:,} record{'' if count == 1 else 's'} could not take effect"
        advice = (
            "read why, `python -m workers dlq list`; `dlq replay` sends again what is good now, 30 days forget them"
        )
        yield warning(_DEAD_LETTERS, found, advice)
    else:
        yield ok(_DEAD_LETTERS, "none")


def _subject(policy: Policy) -> str:
    return f"bridge {policy.name}"
