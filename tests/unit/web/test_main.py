"""``python -m web check-config``: the settings of all layers, before anything is started."""

import pytest

from web.__main__ import main


def test_good_settings_are_shown_with_passwords_as_stars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONGO_URI", "mongodb://user:secret@host")

    status = main(["check-config"])

    shown = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert status == 0
    one_per_layer = {"EXCHANGE": "sim", "MONGO_URI": "mongodb://user:***@host", "WS_PORT": "3004"}
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
