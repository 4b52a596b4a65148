"""``check-config``: what it prints can be read again, and a bad setting is a sentence."""

import io
from pathlib import Path

import pytest
from dotenv import dotenv_values

from ingest.__main__ import main
from ingest.settings import Settings


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without a .env file, and an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_what_is_printed_is_a_file_of_settings_with_their_sources(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / ".env").write_text("SIM_PORT=4000\n")
    monkeypatch.setenv("EXCHANGE", "sim,kraken")
    monkeypatch.setenv("PAIRS_KRAKEN", "ETH-USD,ETH-EUR")

    status = main(["check-config"])

    shown = capsys.readouterr().out
    assert status == 0
    assert shown.splitlines()[0] == "EXCHANGE=sim,kraken  # environment"
    for line in ("SIM_PORT=4000  # .env", "SIM_SEED=1  # default", "SIM_LOG=  # default"):
        assert line in shown.splitlines()
    assert shown.splitlines()[-3:] == [
        "PAIRS_KRAKEN=ETH-USD,ETH-EUR  # environment",
        "# sim: ws://127.0.0.1:4000/mercury-gateway/v1/ws pairs BTC-USD,BTC-EUR,ETH-USD,ETH-EUR",
        "# kraken: wss://ws.kraken.com/v2 pairs ETH-USD,ETH-EUR",
    ]
    read = dotenv_values(stream=io.StringIO(shown))
    assert {name for name, value in read.items() if value} == set(Settings.from_env().describe())
    assert set(read) == {*(name.upper() for name in Settings.model_fields), "PAIRS_KRAKEN"}


@pytest.mark.parametrize(
    ("variables", "sentences"),
    [
        ({"EXCHANGE": "nope"}, ["EXCHANGE='nope': expected one of blockchain, kraken, sim, simkraken"]),
        (
            {"SIM_SEED": "-1", "KAFKA_BROKERS": "here"},
            [
                "KAFKA_BROKERS='here': expected host:port, comma-separated",
                "SIM_SEED='-1': expected greater than or equal to 0",
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
