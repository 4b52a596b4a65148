"""What holds for the processes themselves: memory that does not grow, and metrics that tell what happened."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final

from tests.chaos.evidence import Evidence
from tests.chaos.versions import letter_place

MIB: Final = 1024 * 1024
#: Whose memory is bounded by design; names of programs begin with these.
BOUNDED: Final = ("bridge-", "workers-", "ws")
#: A process that lived shorter is still warming up.
SHORTEST_LIFE_SECONDS: Final = 60.0
#: By so much the memory of a process may grow over the second half of its life; what is meant to be bounded has
#: reached its bound by then, allocators go on rounding up.
GROWTH_BYTES: Final = 8 * MIB
#: For the slope; every pair of samples is compared.
_MOST_SAMPLES: Final = 200

#: Programs that tell of themselves.
OURS: Final = ("ingest", "bridge-", "workers-", "ws", "rest")
#: A process that lived so long was asked for its metrics, even if it was frozen for most of the time.
ASKED_SECONDS: Final = 12.0
#: Jobs whose rows a worker could not apply, or could not report: their bridge has to repeat them.
UNFINISHED_JOBS: Final = ("failed", "not_done", "not_reported")

Samples = Sequence[tuple[float, int]]


def memory_is_flat(evidence: Evidence) -> list[str]:
    """I6: memory of bridges, workers and WebSocket server does not grow, whatever is down and whoever is frozen.

    For each life of `SHORTEST_LIFE_SECONDS` or more: the median slope between any two samples of its second half,
    over the length of that half, is at most `GROWTH_BYTES`. Single peaks do not count.
    """
    violations = []
    for program, samples in evidence.memory.items():
        if not program.startswith(BOUNDED):
            continue
        for life in _lives(samples, SHORTEST_LIFE_SECONDS):
            grown = growth(life)
            if grown > GROWTH_BYTES:
                violations.append(f"{program} grew by {grown / MIB:.1f} MiB in the second half of its life")
    return violations


def _lives(samples: Samples, at_least_seconds: float = 0.0) -> Iterator[Samples]:
    """The samples of each process of a program that lived so long."""
    life: list[tuple[float, int]] = []
    for at, size in [*samples, (0.0, 0)]:
        if size:
            life.append((at, size))
        elif life:
            if life[-1][0] - life[0][0] >= at_least_seconds:
                yield life
            life = []


def growth(life: Samples) -> float:
    """By how many bytes memory grew over the second half of a time, by the median slope between two samples of it."""
    half = life[len(life) // 2 :]
    chosen = half[:: max(1, len(half) // _MOST_SAMPLES)]
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in combinations(chosen, 2)]
    return statistics.median(slopes) * (half[-1][0] - half[0][0])


def metrics_show_what_happened(evidence: Evidence) -> list[str]:
    """I8: every restart, repeated job, eviction and dead letter that was injected or seen shows in a metric.

    A process tells its own start (``process_start_time_seconds``), so each that lived for `ASKED_SECONDS` shows as one
    start. A job that its worker did not finish shows as one that its bridge repeated, unless the bridge gave up that
    partition: it was restarted, Kafka was away, or the store turned out to be an older copy. Counters are summed over
    lives, less what a process counted within its last moments.
    """
    return [
        *_restarts(evidence),
        *_repeats(evidence),
        *_evictions(evidence),
        *_letters(evidence),
    ]


def total(evidence: Evidence, program: str, metric: str, **labels: str) -> float:
    """A metric's value, summed over all processes of a program and all labels but these."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return sum(
        value
        for key, value in evidence.metrics.items()
        for owner, _, series in [key.partition(":")]
        if _is_of(owner, program)
        and series.partition("{")[0] == metric
        and all(label in series.partition("{")[2] for label in wanted)
    )


def _is_of(name: str, program: str) -> bool:
    """Whether a process is the one of a program, or one of its several, which have numbers."""
    return name == program or name.removeprefix(f"{program}-").isdecimal()


def _was_restarted(evidence: Evidence, program: str) -> bool:
    """Whether a process of a program had more than one life, or came or went during the run."""
    return any(
        len(list(_lives(samples))) > 1 or samples[-1][1] == 0
        for name, samples in evidence.memory.items()
        if _is_of(name, program)
    )


def _restarts(evidence: Evidence) -> Iterable[str]:
    for program, samples in evidence.memory.items():
        lives = len(list(_lives(samples, ASKED_SECONDS)))
        starts = evidence.metrics.get(f"{program}:process_starts", 0)
        if program.startswith(OURS) and starts < lives:
            yield f"{program} lived {lives} times, and its metrics show {starts:g} starts"


def _repeats(evidence: Evidence) -> Iterable[str]:
    if any("kafka" in kind for kind in evidence.injected) or evidence.restored or evidence.recreated:
        return
    for queue in ("persist", "fanout", "rollup"):
        bridge = f"bridge-{queue}"
        unfinished = sum(total(evidence, f"workers-{queue}", "jobs_total", result=each) for each in UNFINISHED_JOBS)
        repeated = total(evidence, bridge, "bridge_redispatched_total")
        repeated += total(evidence, bridge, "bridge_applied_itself_total")
        repeated += total(evidence, bridge, "bridge_rewinds_total")
        if unfinished and not repeated and not _was_restarted(evidence, bridge):
            yield f"{unfinished:g} jobs of {queue} were not finished, and {bridge} shows no repeated one"


def _evictions(evidence: Evidence) -> Iterable[str]:
    frozen = evidence.injected.get("freeze:clients", 0)
    if not frozen or _was_restarted(evidence, "ws"):
        return
    gone = sum(total(evidence, "ws", "ws_closed_total", reason=each) for each in ("stalled", "silent", "overflow"))
    if gone < frozen:
        yield f"{frozen} clients were frozen, and the WebSocket server shows {gone:g} that it cut off"


def _letters(evidence: Evidence) -> Iterable[str]:
    places = {place for letter in evidence.dead_letters if (place := letter_place(letter))[0]}
    shown = total(evidence, "bridge-persist", "bridge_dead_letters_total")
    # A bridge that was killed took the count of its last moments with it.
    needed = min(len(places), 1) if _was_restarted(evidence, "bridge-persist") else len(places)
    if shown < needed:
        yield f"{len(places)} records are among the dead letters, and the bridge shows {shown:g}"
