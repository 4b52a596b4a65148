"""What docs/security.md says is tested is tested."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE)

    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (TESTS / path).is_file()
        or not re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert (len(named) > 50, missing) == (True, [])


def test_every_attack_has_an_answer_and_a_test() -> None:
    tables = [line for line in PAGE.splitlines() if re.match(r"^\| (?!attack )", line)]

    bare = [line for line in tables if line.count("|") != 4 or not re.search(r"\.py::\w+`|the same", line)]

    assert (len(tables) > 35, bare) == (True, [])


def test_every_attack_in_the_tests_stands_in_the_page() -> None:
    written = [
        name
        for path in sorted((TESTS / "integration").glob("test_attacks_*.py"))
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert len(written) > 20
    assert [name for name in written if name not in PAGE] == []
