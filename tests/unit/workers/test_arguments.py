"""The command line: what is understood, and what is refused with which sentence."""

from collections.abc import Sequence

import pytest

from workers.arguments import parse_arguments
from workers.letters import Place


def test_everything_has_a_default() -> None:
    verify, listing, lag = parse_arguments(["verify"]), parse_arguments(["dlq", "list"]), parse_arguments(["lag"])

    assert (verify.json, verify.since, verify.wait, verify.limit) == (False, None, 10.0, 1000)
    assert (listing.json, listing.since, listing.limit) == (False, None, 50)
    assert (lag.json, lag.watch, lag.health) == (False, False, [])


def test_places_of_letters_are_read() -> None:
    options = parse_arguments(["dlq", "replay", "7", "2/9", "--dry-run"])

    assert options.places == [Place(0, 7), Place(2, 9)]
    assert (options.all, options.dry_run) == (False, True)


def test_a_duration_may_stand_apart() -> None:
    joined, apart = parse_arguments(["verify", "--since=-2h"]), parse_arguments(["verify", "--since", "-2h"])

    assert abs(joined.since - apart.since) < 1000


def test_a_websocket_server_is_asked_over_http() -> None:
    none = parse_arguments(["doctor"])
    both = parse_arguments(["doctor", "--rest", "https://a.example/api/", "--ws", "wss://b.example:3004/"])

    assert (none.rest, none.ws, none.json) == (None, None, False)
    assert (both.rest, both.ws) == ("https://a.example/api", "https://b.example:3004")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["doctor", "--rest", "ws://x"], "'ws://x': expected an address like http://127.0.0.1:8080"),
        (["doctor", "--ws", "localhost:3004"], "'localhost:3004': expected an address like ws://127.0.0.1:3004"),
        (["doctor", "--rest", "http://h:99999"], "'http://h:99999': expected an address like http://127.0.0.1:8080"),
        (["doctor", "--ws", "ws://[::1"], "'ws://[::1': expected an address like ws://127.0.0.1:3004"),
        (["verify", "--since", "-2x"], "'-2x' is no time, expected a duration like -2h"),
        (["verify", "--since", "2999-01-01"], "'2999-01-01' lies in the future"),
        (["verify", "--wait", "nan"], "'nan': expected seconds from 0 to 3,600"),
        (["verify", "--wait", "soon"], "'soon': expected seconds from 0 to 3,600"),
        (["verify", "--limit", "0"], "'0': expected a number from 1 to 100,000"),
        (["verify", "--limit", "1.5"], "'1.5': expected a number from 1 to 100,000"),
        (["dlq", "show", "x"], "'x' is no place of a dead letter, expected OFFSET or PARTITION/OFFSET"),
        (["dlq", "show", "9" * 19], "is no place of a dead letter"),
        (["dlq", "replay"], "dlq replay: expected offsets, or --all"),
        (["dlq", "replay", "--all", "3"], "dlq replay: expected offsets, or --all"),
        (
            ["lag", "--health", "persist"],
            "'persist': expected fanout or persist or rollup or rollup-live, then =HOST:PORT",
        ),
        (
            ["lag", "--health", "other=host:1"],
            "'other=host:1': expected fanout or persist or rollup or rollup-live, then =HOST:PORT",
        ),
        (["bridge", "nowhere"], "invalid choice: 'nowhere'"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_usage_is_status_2_and_a_sentence(
    words: Sequence[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse_arguments(words)

    assert raised.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("words", [["verify"], ["dlq", "list"], ["dlq", "show"], ["dlq", "replay"], ["lag"]])
def test_help_explains_the_exit_statuses(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse_arguments([*words, "--help"])

    assert raised.value.code == 0
    assert "  3  Kafka or the store does not answer, or lacks the topic" in capsys.readouterr().out


def test_help_of_the_doctor_has_examples_and_statuses_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse_arguments(["doctor", "--help"])

    shown = capsys.readouterr().out
    assert raised.value.code == 0
    assert "\n  python -m workers doctor --json | grep" in shown
    assert "\n  1  something is broken\n" in shown
