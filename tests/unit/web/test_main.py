"""``python -m web``: the settings of all layers before anything is started, and what is said about bad usage."""

import sys
from pathlib import Path

import pytest

from web.__main__ import main


def test_good_settings_are_shown_with_passwords_as_stars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://user:secret@host")

    status = main(["check-config"])

    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    shown = dict(line.split("=", 1) for line in lines)
    assert status == 0
    one_per_layer = {
        "EXCHANGE": "sim  # default",
        "MONGO_URI": "mongodb://user:***@host  # environment",
        "WS_PORT": "3004  # default",
    }
    assert {name: shown.get(name) for name in one_per_layer} == one_per_layer


@pytest.mark.parametrize(
    ("variables", "sentences"),
    [
        ({"EXCHANGE": "nope"}, ["EXCHANGE='nope': expected one of blockchain, kraken, sim, simkraken"]),
        ({"PAIRS_SIM": "x"}, ["PAIRS_SIM='x': expected pairs like BTC-USD, upper case, comma-separated"]),
        (
            {"WS_ORIGINS": "example.org", "WEB_CONCURRENCY": "0"},
            [
                "WS_ORIGINS='example.org': expected * or origins like https://example.org, comma-separated",
                "WEB_CONCURRENCY='0': expected greater than or equal to 1",
            ],
        ),
    ],
)
def test_every_bad_setting_gets_its_sentence(
    variables: dict[str, str],
    sentences: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    status = main(["check-config"])

    assert (status, *capsys.readouterr()) == (2, "", "".join(f"{each}\n" for each in sentences))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tail", "btc"], "pair is 'btc', expected BASE-QUOTE in upper case, for example BTC-USD"),
        (["tail", "BTC-USD", "--exchange", "Sim"], "'Sim': expected 1 to 20 lower-case letters or digits"),
        (["tail", "BTC-USD", "--since", "tomorrow"], "'tomorrow' is no time, expected a duration like -2h"),
        (["tail", "BTC-USD", "--url", "localhost:8080"], "expected an address like http://127.0.0.1:8080"),
        (["tail", "BTC-USD", "--ws-url", "http://x"], "expected an address like ws://127.0.0.1:3004"),
        (
            ["tail", "BTC-USD", "--url", "http://h:abc"],
            "'http://h:abc': expected an address like http://127.0.0.1:8080",
        ),
        (["top", "--ws-url", "ws://h:99999"], "'ws://h:99999': expected an address like ws://127.0.0.1:3004"),
        (["tail"], "Missing argument 'PAIR'"),
        (["export", "BTC-USD"], "Missing option '--output'"),
        (["export", "BTC-USD", "-o", "x", "--format", "xls"], "'xls' is not one of 'csv', 'ndjson', 'parquet'"),
        (["export", "BTC-USD", "-o", "x", "--from", "-1h", "--to", "-2h"], "expected the earlier time first"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_bad_usage_is_one_sentence_and_status_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(arguments)

    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert sentence in " ".join(shown.err.split())


@pytest.mark.parametrize("words", [["tail", "BTC-USD"], ["export", "BTC-USD", "-o", "file"], ["top"]])
def test_a_bad_setting_is_its_sentence_and_status_2_in_every_command(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "0")

    status = main(words)

    expected = "WEB_CONCURRENCY='0': expected greater than or equal to 1\n"
    assert (status, *capsys.readouterr()) == (2, "", expected)


def test_a_package_that_is_missing_is_a_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    status = main(["export", "BTC-USD", "-o", str(tmp_path / "file"), "--format", "parquet"])

    expected = "--format parquet needs pyarrow, which is not installed: pip install pyarrow\n"
    assert (status, *capsys.readouterr()) == (2, "", expected)


@pytest.mark.parametrize("command", ["tail", "export", "top", "check-config"])
def test_help_has_examples_and_the_exit_status(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([command, "--help"])

    shown = capsys.readouterr().out
    assert status == 0
    assert f"    python -m web {command}" in shown
    assert "exit status:\n" in shown
    assert "\x1b" not in shown
