import pytest

from deploy.native import troubles
from deploy.native.program_logs import Record

STARTING = Record("info", "starting", {"EXCHANGE": "sim,kraken"})


def unreachable(exchange: str, reason: str = "refused") -> Record:
    fields = {"exchange": exchange, "url": f"wss://{exchange}.example", "reason": reason}
    return Record("warning", "cannot connect, trying on", fields)


def connected(exchange: str) -> Record:
    return Record("info", "connected", {"exchange": exchange})


def rejected(exchange: str, pair: str) -> Record:
    fields = {"exchange": exchange, "pair": pair, "reason": "no such symbol"}
    return Record("warning", "subscription rejected, following the others", fields)


CANNOT = "cannot connect to wss://sim.example (refused)"
REJECTS_ONE = "sim rejects FOO-BAR (no such symbol)"


@pytest.mark.parametrize(
    ("records", "of_all", "of_some"),
    [
        ([], None, None),
        ([unreachable("sim")], CANNOT, CANNOT),
        ([unreachable("sim", "busy"), unreachable("sim")], CANNOT, CANNOT),
        ([unreachable("sim"), connected("sim")], None, None),
        ([unreachable("kraken"), rejected("kraken", "BTC-USD")], None, None),
        ([unreachable("sim"), connected("kraken")], CANNOT, CANNOT),
        ([connected("sim"), rejected("sim", "FOO-BAR")], None, REJECTS_ONE),
        (
            [rejected("sim", "FOO-BAR"), rejected("sim", "BTC-USD")],
            "sim rejects FOO-BAR (no such symbol), BTC-USD (no such symbol)",
            "sim rejects FOO-BAR (no such symbol), BTC-USD (no such symbol)",
        ),
        ([unreachable("sim"), rejected("sim", "FOO-BAR"), STARTING], None, None),
    ],
)
def test_what_is_wrong_now_is_read_from_what_was_said(
    records: list[Record], of_all: str | None, of_some: str | None
) -> None:
    trouble = troubles.read([STARTING, *records], "sim")

    assert (trouble.of_all(["FOO-BAR", "BTC-USD"]), trouble.of_some()) == (of_all, of_some)


def test_rejection_without_a_pair_blames_none() -> None:
    record = Record("warning", "subscription rejected, following the others", {"exchange": "sim", "reason": "busy"})

    trouble = troubles.read([record], "sim")

    assert trouble.of_some() is None
