"""The virtual environment: made when it is missing, filled when the pinned requirements changed, else left alone."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.native import commands, system_packages
from deploy.native.errors import StackError
from deploy.native.stack import ROOT, file_lock

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

#: What running needs, and what `make test` and `make check` need on top of it.
RUN_REQUIREMENTS = ("web", "ingest", "native")
TEST_REQUIREMENTS = ("test", "native")


def ensure(purpose: str, requirements: Sequence[str], log: Path) -> None:
    """Install the named requirement files into the environment.

    Args:
        purpose: Names the stamp that remembers what is installed: ``run`` or ``test``.
        requirements: Files in ``requirements/``, without ``.txt``.
        log: File that gets what pip says.

    Raises:
        StackError: If the environment cannot be made, or a package cannot be had.
    """
    files = [ROOT / "requirements" / f"{name}.txt" for name in requirements]
    with file_lock(ROOT / ".run" / "venv.lock", "another make command sets up .venv; waiting for it"):
        stamp = VENV / f".installed-{purpose}"
        wanted = _fingerprint(files)
        if stamp.is_file() and stamp.read_text() == wanted and works():
            return
        if not works():
            _create(log)
        commands.run(
            [
                PYTHON,
                "-m",
                "pip",
                "install",
                "-q",
                "--require-hashes",
                *(word for file in files for word in ("-r", file)),
            ],
            failure="the Python packages could not be installed",
            log=log,
            variables={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        stamp.write_text(wanted)


def _create(log: Path) -> None:
    system_packages.ensure_python_venv(log)
    commands.run(
        [sys.executable, "-m", "venv", "--clear", VENV],
        failure="the virtual environment .venv could not be made",
        log=log,
    )


def works() -> bool:
    """Whether there is an environment, and the Python it was made from is still where it was."""
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode == 0


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        try:
            digest.update(file.read_bytes())
        except FileNotFoundError:
            raise StackError(f"{file} is missing: `make requirements` writes it") from None
    return digest.hexdigest()
