"""Places in a series' stream, and what a client can have missed that is too far behind to go on from its place."""

import bisect
from typing import Final, NamedTuple

from web.ws.stream import Cursor

#: Steps that are remembered per series. Beyond, every other one is forgotten, which makes a range longer than it need
#: be and never too short.
_MAX_STEPS: Final = 64


def format_cursor(cursor: Cursor | None) -> str | None:
    """A cursor as clients see it; None while there is none."""
    return None if cursor is None else f"{cursor[0]}:{cursor[1]}"


def parse_cursor(text: str) -> Cursor | None:
    """A cursor that a client brought along; None if it is none of ours."""
    epoch, colon, number = text.rpartition(":")
    # Not `isdigit` alone: it also holds for digits that are not ASCII.
    if not colon or not number.isascii() or not number.isdigit():
        return None
    return epoch, int(number)


class _Step(NamedTuple):
    seq: int
    #: Open time of the oldest candle that could change from then on, Unix milliseconds.
    oldest: int


class Memory:
    """From which open time on a candle can have changed since a cursor, as far as this process saw it.

    A change concerns a candle of the live window. So the oldest open time of the windows since a cursor bounds
    everything that changed after it, even if the numbers have begun anew meanwhile.
    """

    def __init__(self) -> None:
        #: By epoch, the newest last.
        self._epochs: dict[str, list[_Step]] = {}
        #: As it was noted last.
        self._oldest: int | None = None

    def note(self, cursor: Cursor, oldest: int) -> None:
        """Remember that at this cursor the window began at ``oldest``."""
        epoch, seq = cursor
        steps = self._epochs.pop(epoch, [])
        if steps and steps[-1].seq > seq:
            # The server was emptied and counts from the beginning: these numbers mean something else now.
            steps = []
        self._epochs[epoch] = steps
        if self._oldest is not None and oldest < self._oldest:
            self._reach_back(oldest)
        self._oldest = oldest
        steps = self._epochs[epoch]
        if not steps or steps[-1].oldest != oldest:
            steps.append(_Step(seq, oldest))
            self._forget_some(steps)

    def oldest_change_since(self, cursor: Cursor) -> int | None:
        """The open time before which nothing changed since the cursor; None if that is not known."""
        epoch, seq = cursor
        steps = self._epochs.get(epoch, [])
        place = bisect.bisect_right(steps, seq, key=lambda step: step.seq)
        return steps[place - 1].oldest if place else None

    def _reach_back(self, oldest: int) -> None:
        # An older candle entered a window that had room: it changed after every cursor before.
        for epoch, steps in self._epochs.items():
            self._epochs[epoch] = [_Step(step.seq, min(step.oldest, oldest)) for step in steps]

    def _forget_some(self, steps: list[_Step]) -> None:
        if sum(map(len, self._epochs.values())) <= _MAX_STEPS:
            return
        if len(self._epochs) > 1:
            del self._epochs[next(iter(self._epochs))]
        else:
            # The first and the newest stay.
            del steps[1:-1:2]
