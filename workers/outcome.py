"""How a command ends that someone waits for: what goes wrong is one sentence and an exit status."""

from collections.abc import Callable, Mapping

from ingest.errors import SettingsError
from workers.console import Output
from workers.exit_status import FINE, INTERRUPTED


def status_of(command: Callable[[], int | None], output: Output, statuses: Mapping[type[Exception], int]) -> int:
    """Carry a command out and return its exit status.

    Args:
        command: Returns its exit status; None is `FINE`.
        output: Where the sentence goes.
        statuses: What an error means; the first that fits counts. Another error is a defect and goes on.
    """
    try:
        return command() or FINE
    except tuple(statuses) as error:
        for sentence in error.problems if isinstance(error, SettingsError) else (str(error),):
            output.error(sentence)
        return next(status for kind, status in statuses.items() if isinstance(error, kind))
    except KeyboardInterrupt:
        return INTERRUPTED
