from pathlib import Path

import pytest

from deploy.native.variables import documented_names, parse_dotenv, read_variables


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PAIRS=BTC-USD,ETH-USD", "BTC-USD,ETH-USD"),
        ("  export PAIRS = BTC-USD ", "BTC-USD"),
        ("PAIRS=BTC-USD # two of them", "BTC-USD"),
        ("PAIRS='BTC-USD # kept'", "BTC-USD # kept"),
        ('PAIRS="BTC-USD" # gone', "BTC-USD"),
        ("PAIRS=mongodb://u:p#w@host/?a=b", "mongodb://u:p#w@host/?a=b"),
        ("PAIRS=", ""),
        ("PAIRS= # nothing", ""),
    ],
)
def test_line_of_a_dotenv_file_is_read_as_its_readers_expect(line: str, value: str) -> None:
    parsed = parse_dotenv(f"# a comment\n\n#OTHER=1\n{line}\n")

    assert parsed == {"PAIRS": value}


def clone(tmp_path: Path, dotenv: str) -> Path:
    (tmp_path / ".env.example").write_text("# words=none\n#PAIRS=BTC-USD\n#REDIS_URL=\n#RUN_DIR=.run\n")
    (tmp_path / ".env").write_text(dotenv)
    return tmp_path


def test_environment_outweighs_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    root = clone(tmp_path, "PAIRS=from-file\nREDIS_URL=redis://file\n")

    variables = read_variables(root, {"PAIRS": "from-environment", "REDIS_URL": ""})

    assert variables == {"PAIRS": "from-environment", "REDIS_URL": "redis://file"}


def test_only_documented_variables_and_pairs_of_an_exchange_are_ours(tmp_path: Path) -> None:
    root = clone(tmp_path, "PAIRS_KRAKEN=BTC-USD\nSECRET=1\n")

    variables = read_variables(root, {"HOME": "/root", "PAIRS_SIM": "ETH-USD", "words": "x"})

    assert variables == {"PAIRS_KRAKEN": "BTC-USD", "PAIRS_SIM": "ETH-USD"}


def test_example_shows_names_commented_out_or_not(tmp_path: Path) -> None:
    root = clone(tmp_path, "")

    names = documented_names(root)

    assert names == {"PAIRS", "REDIS_URL", "RUN_DIR"}
