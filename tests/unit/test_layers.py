"""Imports go one way: web → workers → ingest. Read from the source, so that a lazy import inside a function counts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Package: the packages of ours that it may import, besides itself.
ALLOWED = {
    "ingest": set[str](),
    "workers": {"ingest"},
    "web": {"ingest", "workers"},
    "deploy": set[str](),
}
#: Names that would take in anything.
VAGUE_NAMES = {"common", "util", "utils", "helper", "helpers", "misc", "shared"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_packages(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_layers_below_it(package: str) -> None:
    forbidden = {*ALLOWED, "tests"} - {package} - ALLOWED[package]

    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imported_packages(path.read_text(encoding="utf-8"))
        if name in forbidden
    ]

    assert offences == []


@pytest.mark.parametrize("package", ALLOWED)
def test_package_has_source(package: str) -> None:
    files = sources(package)

    assert files != [], "the layer test would pass on nothing"


def test_nothing_has_a_name_that_takes_in_anything() -> None:
    vague = [
        path.relative_to(ROOT).as_posix()
        for package in ALLOWED
        for path in (ROOT / package).rglob("*")
        if path.stem in VAGUE_NAMES
    ]

    assert vague == []


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("import web.ws, os", ["web", "os"]),
        ("from workers.store import CandleStore", ["workers"]),
        ("def late():\n    from web import app", ["web"]),
        ("from . import candle", []),
    ],
)
def test_imports_are_read_wherever_they_stand(source: str, packages: list[str]) -> None:
    found = list(imported_packages(source))

    assert found == packages
