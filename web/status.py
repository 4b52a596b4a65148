"""How the service is: which programs run, how far each stage is behind Kafka, what could not be taken."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal, NamedTuple, Protocol

from msgspec import Meta, Struct

from web.answers import Instant
from web.live_client import LiveClient
from workers.policies import POLICIES
from workers.presence import Program, read_programs, redis_now_ms

#: A program says every two seconds that it is there, and may wait for a service before it does.
SILENT_AFTER_MS: Final = 10_000
#: So long a program counts as newly started.
NEW_FOR_MS: Final = 60_000

Records = Annotated[int, Meta(description="Records in Kafka.", ge=0)]


class ProgramStatus(Struct):
    """One running process, or one that did not say that it ends."""

    program: Annotated[str, Meta(examples=["bridge-persist"])]
    instance: Annotated[str, Meta(description="Host and process id.", examples=["server-1:4711"])]
    state: Annotated[
        Literal["up", "started", "silent"],
        Meta(description="started: within the last minute; silent: killed, frozen or cut off for 10 s or more."),
    ]
    started: Instant
    at: Annotated[Instant, Meta(description="When it was heard of last.")]
    clients: Annotated[int | None, Meta(description="Of WebSocket servers: connections.")] = None


class StageStatus(Struct):
    """One way from Kafka to where candles are served."""

    stage: Annotated[str, Meta(examples=["persist"])]
    bridges: Annotated[int, Meta(description="How many of its bridges run.", ge=0)]
    lag: Annotated[Records | None, Meta(description="That have not taken effect; null: nobody knows.")]
    in_flight: Annotated[Records | None, Meta(description="Of these, read and being worked on; null: nobody knows.")]
    paused: Annotated[bool, Meta(description="Whether reading waits until less is in flight.")]
    without_workers: Annotated[bool, Meta(description="Whether no worker answers, and the bridge does the work.")]


class ServiceStatus(Struct):
    """The answer of ``/api/status``."""

    at: Instant
    stages: list[StageStatus]
    dead_letters: Annotated[Records | None, Meta(description="In the dead-letter topic; null: nobody knows.")]
    programs: list[ProgramStatus]


class Heard(NamedTuple):
    """What programs said, and when it was asked for (Unix milliseconds), all by one clock."""

    at: int
    programs: list[Program]


class ProgramSource(Protocol):
    """Where programs say how they are."""

    def heard(self) -> Heard:
        """What every program said last; raises `redis.RedisError` if nobody answers."""


class LivePrograms:
    """What programs say in the live side's Redis."""

    def __init__(self, client: LiveClient) -> None:
        self._client = client

    def heard(self) -> Heard:
        """What every program said last."""
        client = self._client.connected()
        programs = read_programs(client)
        return Heard(redis_now_ms(client), programs)


def status_of(heard: Heard) -> ServiceStatus:
    """What that says of the service."""
    living = [each for each in heard.programs if heard.at - each.at < SILENT_AFTER_MS]
    counted = [each.dead_letters for each in living if each.dead_letters is not None]
    return ServiceStatus(
        at=heard.at,
        stages=[_stage(name, [each for each in living if each.program == f"bridge-{name}"]) for name in POLICIES],
        dead_letters=max(counted, default=None),
        programs=[_program(each, heard.at) for each in heard.programs],
    )


def _program(said: Program, now: int) -> ProgramStatus:
    state: Literal["up", "started", "silent"] = "up"
    if now - said.at >= SILENT_AFTER_MS:
        state = "silent"
    elif now - said.started < NEW_FOR_MS:
        state = "started"
    return ProgramStatus(said.program, said.instance, state, said.started, said.at, said.clients)


def _stage(name: str, bridges: Sequence[Program]) -> StageStatus:
    return StageStatus(
        stage=name,
        bridges=len(bridges),
        lag=_sum(each.lag for each in bridges) if _have_all_partitions(bridges) else None,
        in_flight=_sum(each.in_flight for each in bridges),
        paused=any(each.paused for each in bridges),
        without_workers=any(each.without_workers for each in bridges),
    )


def _have_all_partitions(bridges: Sequence[Program]) -> bool:
    """Whether nothing is assigned to nobody, or to one that is no longer heard of."""
    there = max((each.partitions or 0 for each in bridges), default=0)
    return 0 < there <= sum(each.assigned for each in bridges)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """The sum; None if there is none, or a part of it is not known."""
    known = list(numbers)
    return sum(each for each in known if each is not None) if known and None not in known else None
