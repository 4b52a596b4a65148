"""Standard output and standard error of a command, when nobody reads them, or nobody any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

#: Exit status: nobody reads the output any more. As shells count it.
OUTPUT_CLOSED: Final = 141


@contextmanager
def ends_when_unread() -> Iterator[None]:
    """While a command is carried out: it ends when somebody like ``head`` has read enough.

    A stream that was closed before the start is one that nobody wants, and what is written there gets lost.

    Raises:
        SystemExit: With `OUTPUT_CLOSED`, if somebody stopped reading standard output or standard error.
    """
    sys.stdout, sys.stderr = _open(sys.stdout), _open(sys.stderr)
    try:
        try:
            yield
        finally:
            # Left to the interpreter, this would fail where nobody can do anything about it.
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            _drop_unread(stream)
        raise SystemExit(OUTPUT_CLOSED) from None


def _open(stream: TextIO | None) -> TextIO:
    # Python has None for a stream that was closed. This one stays open as long as the process lives.
    return stream or open(os.devnull, "w", encoding="utf-8")


def _drop_unread(stream: TextIO) -> None:
    """Forget what is still to be written, if nobody reads it: the interpreter would complain when it ends."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
