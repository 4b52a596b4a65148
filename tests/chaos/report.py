"""What runs came to, for people: a line per run, and a table of the faults."""

from collections.abc import Iterable, Sequence
from statistics import median

from tests.chaos.runner import Happened, Result

#: At most so many violations of a checker are printed; all of them are in the results.
_SHOWN = 5


def line(result: Result) -> str:
    """One run; its violations on lines of their own."""
    rest = "never at rest" if result.rest_seconds is None else f"at rest after {result.rest_seconds:.1f} s"
    faults = ", ".join(_brief(each) for each in result.happened)
    words = [
        f"{result.label:10}  {'ok' if result.holds else 'VIOLATED':8}  {result.records} records, "
        f"{result.restarts} restarts, {rest}, {result.seconds:.0f} s in all: {faults}"
    ]
    words += [f"    {name} is not possible here: {reason}" for name, reason in result.skipped.items()]
    for checker, found in result.violations.items():
        words += [f"    {checker}: {each}" for each in found[:_SHOWN]]
        if len(found) > _SHOWN:
            words.append(f"    {checker}: … {len(found)} in all")
    return "\n".join(words)


def _brief(happened: Happened) -> str:
    took = happened.recovered_seconds
    return happened.fault if took is None or happened.disturbed else f"{happened.fault} {took:.1f} s"


def summary(results: Sequence[Result]) -> str:
    """How long recovery took by fault, of those that nothing else disturbed, and how many runs failed."""
    if not results:
        return "no run was finished"
    by_fault: dict[str, list[Happened]] = {}
    for result in results:
        for happened in result.happened:
            by_fault.setdefault(happened.fault, []).append(happened)
    rows = [f"{'fault':34} {'times':>5}  {'recovery, median':>16}  {'longest':>8}"]
    for name in sorted(by_fault):
        took = _undisturbed(by_fault[name])
        numbers = f"{median(took):14.1f} s  {max(took):6.1f} s" if took else f"{'-':>16}  {'-':>8}"
        rows.append(f"{name:34} {len(by_fault[name]):5}  {numbers}")
    failed = [result.label for result in results if not result.holds]
    rest = [result.rest_seconds for result in results if result.rest_seconds is not None]
    rows.append(
        f"{len(results)} runs, {sum(len(result.happened) for result in results)} faults, "
        f"{sum(result.records for result in results)} records; at rest after at most {max(rest, default=0.0):.1f} s; "
        + (f"violated: {', '.join(failed)}" if failed else "0 violations")
    )
    return "\n".join(rows)


def _undisturbed(happened: Iterable[Happened]) -> list[float]:
    return [each.recovered_seconds for each in happened if each.recovered_seconds is not None and not each.disturbed]
