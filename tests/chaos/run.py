"""``python -m tests.chaos.run``: breaks everything while it runs, and checks that nothing is lost.

    --seeds 20             seeds 1 to 20, one run each
    --seeds 41-60          seeds 41 to 60 (make chaos SEEDS=41-60)
    --seed 7               one seed again
    --faults kill,cut:ws/* these faults one after the other (names, kinds, patterns), without a seed
    --only stop,poison     seeds draw from these alone

Exit status: 0 if every promise held, 1 if one was violated, 2 if the command is wrong or the services cannot be had.
Results are appended to ``RUN_DIR/results.jsonl``; logs and evidence of runs that failed are in ``RUN_DIR/failed``.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from deploy.native.errors import StackError
from deploy.native.stack import ROOT
from tests.chaos.cluster import Clusters
from tests.chaos.faults import FAULTS
from tests.chaos.report import line, summary
from tests.chaos.runner import Result, run_once
from tests.chaos.schedule import GAP_SECONDS, Planned, choose, line_up, plan, to_json

DEFAULT_RUN_DIR = ".run/chaos"
#: Beside the ports of `make up` and of all tests, and low enough that every port stays below those of connections.
DEFAULT_PORT_OFFSET = 4000
#: So many named faults share a run; more would take longer than the market hurries.
FAULTS_PER_RUN = 10

EXIT_VIOLATED = 1
EXIT_UNABLE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="    %(message)s")
    logging.getLogger("tests.chaos").setLevel(logging.INFO if options.verbose else logging.WARNING)
    # A broker that is away is what we are here for.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run_dir = (ROOT / os.environ.get("RUN_DIR", DEFAULT_RUN_DIR)).resolve()
    clusters = Clusters(run_dir, int(os.environ.get("PORT_OFFSET", DEFAULT_PORT_OFFSET)))
    results: list[Result] = []
    try:
        runs = list(_runs(options))
        with clusters.prepared():
            for label, planned, seconds in runs:
                results.append(_run(clusters, label, planned, seconds, run_dir))
    except (StackError, ValueError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return EXIT_UNABLE
    except KeyboardInterrupt:
        return 130
    finally:
        print(summary(results), flush=True)
    return 0 if all(result.holds for result in results) else EXIT_VIOLATED


def _runs(options: argparse.Namespace) -> Iterator[tuple[str, list[Planned], float]]:
    """Label, plan and length of each run."""
    if options.faults:
        names = choose(options.faults.split(","), FAULTS)
        for first in range(0, len(names), FAULTS_PER_RUN):
            planned = line_up(names[first : first + FAULTS_PER_RUN], FAULTS)
            yield f"faults-{first // FAULTS_PER_RUN + 1}", planned, planned[-1].until + GAP_SECONDS
        return
    names = choose(options.only.split(","), FAULTS) if options.only else list(FAULTS)
    chosen = {name: FAULTS[name] for name in names}
    for seed in [options.seed] if options.seed is not None else options.seeds:
        yield f"seed-{seed}", plan(seed, options.seconds, chosen), options.seconds


def _run(clusters: Clusters, label: str, planned: list[Planned], seconds: float, run_dir: Path) -> Result:
    failed = run_dir / "failed" / label
    try:
        result = run_once(clusters, label, planned, seconds, one_by_one=not label.startswith("seed"), keep=failed)
    except (TimeoutError, RuntimeError, OSError) as error:
        # A system that does not come up, or a tap that went wrong: other seeds may still tell something.
        result = Result(label, planned, violations={"harness": [f"{type(error).__name__}: {error}"]})
        shutil.copytree(clusters.stack.logs, failed / "logs", dirs_exist_ok=True)
    print(line(result), flush=True)
    if not result.holds:
        print(f"    the plan was {to_json(planned)}; logs and evidence are in {failed}", flush=True)
    with (run_dir / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": int(time.time()), **asdict(result)}) + "\n")
    return result


def seeds_of(text: str) -> range:
    """Seeds as the command line names them: ``20`` for 1 to 20, or ``41-60``.

    Raises:
        ArgumentTypeError: If the text is neither.
    """
    numbers = (["1"] if "-" not in text else []) + text.split("-")
    if len(numbers) != 2 or not all(map(str.isdecimal, numbers)) or int(numbers[1]) < int(numbers[0]):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seeds and no range, expected 20 or 41-60")
    return range(int(numbers[0]), int(numbers[1]) + 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds",
        type=seeds_of,
        default=range(1, 6),
        help="so many from 1 on, or a range such as 41-60 (default: 5)",
    )
    which.add_argument("--seed", type=int, help="this seed alone")
    which.add_argument("--faults", help="these faults, comma-separated, one after the other")
    parser.add_argument("--only", help="draw from these faults alone, comma-separated")
    parser.add_argument("--seconds", type=float, default=25.0, help="length of a run with a seed (default: 25)")
    parser.add_argument("--verbose", action="store_true", help="say each fault as it happens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
