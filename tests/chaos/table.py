"""``python -m tests.chaos.table RESULTS``: what runs came to by fault, as the table of the documentation.

Recovery is counted in runs in which nothing else went wrong before it was complete. A violation counts for every fault
of its run: which of them it was is for whoever looks at the logs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Any, Final

#: Pattern of faults, and what is promised of them beside that nothing is lost, doubled or moved back; the first fits.
PROMISES: Final = (
    ("kill:workers-rollup-*", "larger candles right again in 30 s"),
    ("kill:bridge-rollup*", "larger candles right again in 30 s"),
    ("kill:workers-*", "everything persisted again in 15 s"),
    ("kill:bridge-*", "everything persisted again in 15 s"),
    ("kill:redis", "everything persisted again in 15 s"),
    ("flush:redis", "everything persisted again in 15 s"),
    ("empty:redis", "everything persisted again in 15 s"),
    ("kill:ingest", "what it missed is a `gap`"),
    ("kill:simulate", "what was missed is a `gap`"),
    ("kill:ws", "clients come back to the newest values"),
    ("kill:rest", "pages stay strictly descending"),
    ("kill:*", "everything goes on when it is back"),
    ("term:kafka", "everything goes on when it is back"),
    ("term:redis", "everything goes on when it is back"),
    ("term:postgres", "everything goes on when it is back"),
    ("term:ferretdb", "everything goes on when it is back"),
    ("term:*", "it leaves in 15 s"),
    ("stop:*", "nothing takes the past for the present"),
    ("second:*", "two bridges share partitions, one dies"),
    ("dropreply:*", "a repeated request changes nothing"),
    ("clock*", "`rev` still only rises"),
    ("full:*", "nothing that was not stored is called stored"),
    ("older:*", "completions of the past prove nothing"),
    ("restore:*", "bridges fill the store again"),
    ("recreate:*", "read from its new beginning"),
    ("poison:*", "costs nothing else; unreadable records are dead letters"),
    ("*", "the link is used again when it is back"),
)
#: Kinds that are the same for every link: one row each.
_LINK_KINDS: Final = ("cut", "reset", "blackhole", "delay", "limit", "dropreply")


@dataclass
class Row:
    """All that is known of one fault, or of a kind of fault on any link."""

    name: str
    times: int = 0
    recovered: list[float] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    moved_back: int = 0
    other: int = 0

    def markdown(self) -> str:
        """Its line of the table."""
        promise = next(text for pattern, text in PROMISES if fnmatchcase(self.name, pattern))
        took = f"{median(self.recovered):.1f} / {max(self.recovered):.1f} s" if self.recovered else "–"
        found = f"{self.lost} / {self.doubled} / {self.moved_back} / {self.other}"
        return f"| {self.name} | {promise} | {self.times} | {took} | {found} | `make chaos FAULTS='{self.name}'` |"


def table(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The table's lines, Markdown."""
    yield "| fault | promised | times | recovered: median / longest | lost / doubled / moved back / other | again |"
    yield "|---|---|---|---|---|---|"
    rows: dict[str, Row] = {}
    for result in results:
        for happened in result["happened"]:
            name = _row_name(happened["fault"])
            row = rows.setdefault(name, Row(name))
            row.times += 1
            if happened["recovered_seconds"] is not None and not happened["disturbed"]:
                row.recovered.append(happened["recovered_seconds"])
            _count(row, result["violations"])
    for name in sorted(rows):
        yield rows[name].markdown()


def _row_name(fault: str) -> str:
    kind = fault.partition(":")[0]
    return f"{kind}:*" if kind in _LINK_KINDS else fault


def _count(row: Row, violations: dict[str, Sequence[str]]) -> None:
    is_twin: Callable[[str], bool] = lambda text: "documents hold" in text  # noqa: E731
    for checker, found in violations.items():
        twins = sum(map(is_twin, found)) if checker == "I1" else len(found) if checker == "I7" else 0
        row.doubled += twins
        if checker in {"I1", "I2", "I3", "I5", "I9", "I11"}:
            row.lost += len(found) - twins
        elif checker in {"I4", "I10", "I12"}:
            row.moved_back += len(found)
        elif checker != "I7":
            row.other += len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of the given files of results."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.table", description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path, help="files that `make chaos` wrote: results.jsonl")
    options = parser.parse_args(arguments)
    results = [json.loads(line) for path in options.results for line in path.read_text().splitlines()]
    print("\n".join(table(results)))
    held = sum(not result["violations"] for result in results)
    print(f"\n{len(results)} runs, {held} without a violation; {sum(r['records'] for r in results)} records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
