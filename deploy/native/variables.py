"""Which variables are set: in the environment, else in ``.env``. An empty one is not set.

The names that users may set are the ones that ``.env.example`` shows; anything else in the environment is not ours.
"""

import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"\A\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*\Z")
_EXAMPLE = re.compile(r"\A#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)
#: Pairs of one exchange: one variable per exchange, so the example cannot show them all.
_PAIRS = re.compile(r"\APAIRS_[A-Z0-9]+\Z")

#: Read by the launcher itself and not by the processes it starts.
LAUNCHER_VARIABLES = frozenset({"RUN_DIR", "PORT_OFFSET", "STACK", "WORKERS"})


def parse_dotenv(text: str) -> dict[str, str]:
    """The variables of a ``.env`` file: ``NAME=value`` lines, optional quotes, ``#`` comments."""
    values = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and not line.lstrip().startswith("#"):
            values[match[1]] = _unquote(match[2])
    return values


def _unquote(value: str) -> str:
    if value[:1] in {'"', "'"}:
        end = value.find(value[0], 1)
        return value[1:end] if end > 0 else value
    return re.split(r"(?:\A|\s)#", value, maxsplit=1)[0].rstrip()


def documented_names(root: Path) -> frozenset[str]:
    """The variables that ``.env.example`` shows, commented out or not."""
    text = (root / ".env.example").read_text(encoding="utf-8")
    return frozenset(match[1] for line in text.splitlines() if (match := _EXAMPLE.match(line)))


def is_ours(name: str, documented: frozenset[str]) -> bool:
    """Whether users may set the variable to change how the system behaves."""
    return name in documented or bool(_PAIRS.match(name))


def read_variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Every variable of ours that is set and not empty; the environment outweighs ``.env``."""
    documented = documented_names(root)
    dotenv = root / ".env"
    from_file = parse_dotenv(dotenv.read_text(encoding="utf-8")) if dotenv.is_file() else {}
    merged = {**from_file, **{name: value for name, value in environ.items() if value}}
    return {name: value for name, value in merged.items() if value and is_ours(name, documented)}
