"""Has the programs' own validation judge their settings before anything is started."""

import subprocess

from deploy.native.errors import StackError
from deploy.native.programs import Program
from deploy.native.stack import ROOT, Stack
from deploy.native.supervision import inherited_environment
from deploy.native.venv import PYTHON

_LIMIT_SECONDS = 60.0
#: What our programs exit with when a setting is bad; the sentences are on standard error then.
BAD_SETTINGS = 2


def check(stack: Stack, program: Program) -> None:
    """Let the settings of all layers be read in this program's environment.

    Raises:
        StackError: One sentence per bad setting: variable, value, what was expected.
    """
    command = [str(PYTHON), "-m", "web", "check-config"]
    environment = {**inherited_environment(stack), **program.environment}
    try:
        # In the programs' own folder: they read a `.env` there.
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"the settings could not be checked: no answer within {_LIMIT_SECONDS:.0f} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        if done.returncode != BAD_SETTINGS:  # its own fault then, and the last line is the error
            said = [f"the settings could not be checked: {said[-1]}"]
        raise StackError("\n".join(said))
