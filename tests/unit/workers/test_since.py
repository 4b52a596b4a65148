"""``--since``: a time in the past, as people write it."""

import pytest

from workers.since import join_times, parse_since

#: 2026-11-22T18:00:00Z.
NOW_MS = 1_795_370_400_000


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("-90s", 90_000),
        ("-30m", 1_800_000),
        ("-2h", 7_200_000),
        ("2h", 7_200_000),
        ("-7d", 604_800_000),
        ("2026-11-22T17:00Z", 3_600_000),
        ("2026-11-22T17:00", 3_600_000),
        ("2026-11-22 19:00:00+02:00", 3_600_000),
        ("2026-11-22", 64_800_000),
        ("1795370399999", 1),
        ("0", NOW_MS),
        ("-999999999d", NOW_MS),
    ],
)
def test_a_time_is_read(text: str, ago_ms: int) -> None:
    since_ms = parse_since(text, NOW_MS)

    assert NOW_MS - since_ms == ago_ms


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no time"),
        ("yesterday", "is no time"),
        ("-2x", "is no time"),
        ("-2", "is no time"),
        ("1795370399", "is no time in milliseconds"),
        ("9" * 5000, "is no time in milliseconds"),
        ("١٢٣", "is no time"),
        ("1795370400001", "lies in the future"),
        ("2027-01-01", "lies in the future"),
    ],
)
def test_what_is_no_time_before_now_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        parse_since(text, NOW_MS)

    assert "expected a duration like -2h" in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_duration_is_no_option() -> None:
    words = join_times(["verify", "--since", "-2h", "--wait", "-2h", "--since"])

    assert words == ["verify", "--since=-2h", "--wait", "-2h", "--since"]
