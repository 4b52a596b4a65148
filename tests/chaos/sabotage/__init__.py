"""Programs with one safeguard taken out, started in the place of the real ones to see that a checker notices.

Each module replaces one function or class of ours before it starts the real program; nothing of this can be switched
on in production code. `COMMANDS` says which programs each one stands in for.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploy.native.venv import VENV

_PYTHON: Final = (str(VENV / "bin" / "python"), "-m")
_DRAMATIQ: Final = (str(VENV / "bin" / "dramatiq"),)
_OPTIONS: Final = ("-p", "1", "-t", "4", "--skip-logging", "--worker-shutdown-timeout", "10000")


def _workers(module: str, queue: str) -> tuple[str, ...]:
    return (*_DRAMATIQ, f"tests.chaos.sabotage.{module}", "-Q", queue, *_OPTIONS)


def _program(module: str, *words: str) -> tuple[str, ...]:
    return (*_PYTHON, f"tests.chaos.sabotage.{module}", *words)


#: Sabotage to the programs it replaces, and the command of each.
COMMANDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "unguarded_store": {
            "workers-persist-1": _workers("unguarded_store", "persist"),
            "workers-persist-2": _workers("unguarded_store", "persist"),
            # While no worker answers it applies batches itself.
            "bridge-persist": _program("unguarded_store", "bridge", "persist"),
        },
        # Both bridges whose jobs write minutes: the one would make good what the other loses.
        "commit_at_enqueue": {
            "bridge-persist": _program("commit_at_enqueue", "bridge", "persist"),
            "bridge-rollup": _program("commit_at_enqueue", "bridge", "rollup"),
        },
        "no_lease": {
            "bridge-persist": _program("no_lease", "bridge", "persist"),
            "bridge-rollup": _program("no_lease", "bridge", "rollup"),
        },
        "unguarded_live": {
            "workers-fanout-1": _workers("unguarded_live", "fanout"),
            "bridge-fanout": _program("unguarded_live", "bridge", "fanout"),
        },
        "relay_without_check": {"ws": _program("relay_without_check")},
        "unguarded_larger": {
            "workers-rollup-1": _workers("unguarded_larger", "rollup"),
            "bridge-rollup": _program("unguarded_larger", "bridge", "rollup"),
        },
        "forgetful_live": {"bridge-rollup-live": _program("forgetful_live", "bridge", "rollup-live")},
    }
)
