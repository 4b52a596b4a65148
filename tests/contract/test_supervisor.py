"""What the launcher relies on in supervisor's configuration format: a value comes out as it went in."""

from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from supervisor.options import ServerOptions  # type: ignore[import-untyped]

from deploy.native.errors import StackError
from deploy.native.programs import Program
from deploy.native.supervisor_config import render


def read_back(text: str, folder: Path) -> tuple[str, dict[str, str]]:
    """Command and environment of the only program, as supervisor understands them."""
    path = folder / "supervisord.conf"
    path.write_text(f"[supervisord]\nnodaemon=true\n{text}", encoding="utf-8")
    options = ServerOptions()
    options.realize(args=["-c", str(path)], doc="")
    (group,) = options.process_group_configs
    (process,) = group.process_configs
    return process.command, process.environment


@pytest.mark.parametrize(
    "value",
    [
        "BTC-USD,BTC-EUR",
        "mongodb://user:p%40ss%25word@host:27017/?tls=true&a=b",
        "*",
        "https://example.org, https://example.com",
        "/srv/with space/and;semicolon#hash",
        "it's",
        'say "no" twice',
        "%(ENV_HOME)s",
    ],
)
def test_value_survives_the_configuration_file(value: str, tmp_path: Path) -> None:
    program = Program("ingest", ("python", "-m", "ingest", "run"), {"SETTING": value})

    command, environment = read_back(render(program, tmp_path), tmp_path)

    assert environment == {"SETTING": value}
    assert command.endswith("python -m ingest run")


@given(value=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=40))
def test_value_survives_or_is_refused(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("supervisor")

    try:
        text = render(Program("ingest", ("true",), {"SETTING": value}), folder)
    except StackError:
        reject()  # refused with a sentence, which is as good
    command, environment = read_back(text, folder)

    assert environment == {"SETTING": value}
    assert command.endswith("true")
