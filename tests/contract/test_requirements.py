"""The pinned requirement files agree, so that `make up` and `make test` do not reinstall each other's versions."""

import re
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
#: A package may have one version per range of Python versions.
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+(?: ; [^\\\n]+)?)", re.MULTILINE)


def test_every_file_pins_a_package_to_the_same_version() -> None:
    pins: dict[str, set[frozenset[str]]] = {}
    for path in REQUIREMENTS.glob("*.txt"):
        found: dict[str, set[str]] = {}
        for name, version in _PIN.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(version.strip())
        for name, versions in found.items():
            pins.setdefault(name, set()).add(frozenset(versions))

    differing = {name: versions for name, versions in pins.items() if len(versions) > 1}

    assert pins != {}
    assert differing == {}


def test_every_pin_has_a_hash() -> None:
    lacking = [
        f"{path.name}: {block.splitlines()[0]}"
        for path in REQUIREMENTS.glob("*.txt")
        for block in re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
        if _PIN.match(block) and "--hash=sha256:" not in block
    ]

    assert lacking == []


def test_every_requirement_is_pinned() -> None:
    unpinned = [path.name for path in REQUIREMENTS.glob("*.in") if not path.with_suffix(".txt").is_file()]

    assert unpinned == []
