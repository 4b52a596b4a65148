"""Several server processes on one port: the kernel spreads connections over their sockets (SO_REUSEPORT).

Each process has limits, Redis connection and state of its own. The parent only starts and stops them: when one dies
the others are stopped too, and whoever supervises the parent starts all again.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

logger = logging.getLogger(__name__)

#: The argument that makes a process one of several.
CHILD_ARGUMENT = "--child"
#: How long children have to stop (seconds); their own limits are below it.
STOP_SECONDS = 12.0


def run_processes(count: int) -> int:
    """Run so many server processes until told to stop (SIGTERM, SIGINT); returns the exit status.

    0 if all ended because they were told to, 1 if one ended by itself.
    """
    folder = tempfile.mkdtemp(prefix="crypto-streams-metrics-")
    # Whichever process is asked for /metrics answers for all; the variable must be there when a child starts.
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": folder}
    command = [sys.executable, "-m", "web.ws", CHILD_ARGUMENT]
    children: list[subprocess.Popen[bytes]] = []
    # Signals become something to wait for, also those that come before the first child is there.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    try:
        for _ in range(count):
            children.append(subprocess.Popen(command, env=environment, preexec_fn=_unblock_signals))
        told_to_stop = _wait(children)
        statuses = _stop(children)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # A child that had not got as far as its own handler ends by the signal itself.
    return 0 if told_to_stop and all(status in (0, -signal.SIGTERM) for status in statuses) else 1


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})


def _wait(children: list[subprocess.Popen[bytes]]) -> bool:
    """Wait for a signal to stop (True) or for a child's end (False)."""
    while True:
        received = signal.sigwait({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
        if received != signal.SIGCHLD:
            return True
        for child in children:
            if child.poll() is not None:
                logger.error("a server process ended", extra={"pid": child.pid, "status": child.returncode})
                return False


def _stop(children: list[subprocess.Popen[bytes]]) -> list[int]:
    """Stop all children and return their exit statuses."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return [child.returncode for child in children]
