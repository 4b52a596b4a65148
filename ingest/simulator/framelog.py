"""A line for every frame sent (``SIM_LOG``): what a test of the whole system compares the store with.

Each line is JSON: ``{"at":<wall ms>,"connection":<number>,"exchange":"blockchain","frame":<the frame as sent>}``. A
frame that is no JSON itself, which only a fault makes, appears as a string. The line is with the operating system
before the frame is: a process that is killed leaves at most one frame per connection logged and not sent, and none
sent and not logged.
"""

import os
from pathlib import Path
from typing import Protocol

import msgspec

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class FrameLog(Protocol):
    """Where frames are noted before they are sent."""

    def note(self, at_ms: int, connection: int, exchange: str, frame: str) -> None:
        """Note one frame; ``at_ms`` is wall time."""

    def close(self) -> None:
        """Release what is held."""


class NoLog:
    """For a simulator that nobody checks."""

    def note(self, at_ms: int, connection: int, exchange: str, frame: str) -> None:
        """Forget the frame."""

    def close(self) -> None:
        """Nothing is held."""


class FileLog:
    """Appends to a file, also across restarts."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: If it cannot be created or written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, _FLAGS, 0o644)

    def note(self, at_ms: int, connection: int, exchange: str, frame: str) -> None:
        """Append one line.

        Raises:
            OSError: If it cannot be written; the frame must then not be sent.
        """
        line = f'{{"at":{at_ms},"connection":{connection},"exchange":"{exchange}","frame":{_json(frame)}}}\n'.encode()
        written = os.write(self._file, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes of a line went into the log of frames")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _json(frame: str) -> str:
    # Every sound frame is an object; a candle frame cut in half does not end like one.
    if frame.endswith("}"):
        return frame
    return msgspec.json.encode(frame).decode()
