from pathlib import Path

import pytest

from deploy.native import programs
from deploy.native.errors import StackError
from deploy.native.programs import Turn, turn_of
from deploy.native.stack import Stack

RUN_DIR = Path("/srv/clone/.run")


def stack(**variables: str) -> Stack:
    return Stack(RUN_DIR, variables)


@pytest.fixture(autouse=True)
def without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKERS", raising=False)


def test_pipeline_has_every_process_from_the_exchange_to_the_reader() -> None:
    names = [program.name for program in programs.pipeline(stack(WORKERS="2"))]

    assert names == [
        "simulate",
        "ingest",
        "bridge-persist",
        "bridge-fanout",
        "bridge-rollup",
        "bridge-rollup-live",
        "workers-persist-1",
        "workers-persist-2",
        "workers-fanout-1",
        "workers-fanout-2",
        "workers-rollup-1",
        "workers-rollup-2",
        "ws",
        "rest",
    ]


@pytest.mark.parametrize(("exchange", "simulated"), [("sim", True), ("kraken, simkraken", True), ("kraken", False)])
def test_simulated_exchange_runs_only_where_it_is_followed(exchange: str, simulated: bool) -> None:
    names = [program.name for program in programs.pipeline(stack(EXCHANGE=exchange))]

    assert ("simulate" in names) is simulated


def test_service_that_the_user_has_is_used_and_not_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Stack, "mongo_dir", tmp_path)
    own = stack(REDIS_URL="redis://elsewhere:6379/3", PORT_OFFSET="100")

    started = [program.name for program in programs.services(own)]
    rest = programs.pipeline(own)[-1]

    assert started == ["kafka", "postgres", "ferretdb"]
    assert {name: rest.environment[name] for name in ("KAFKA_BROKERS", "REDIS_URL", "MONGO_URI")} == {
        "KAFKA_BROKERS": "127.0.0.1:9192",
        "REDIS_URL": "redis://elsewhere:6379/3",
        "MONGO_URI": "mongodb://127.0.0.1:27117",
    }


def test_programs_get_settings_but_not_what_only_the_launcher_reads() -> None:
    variables = {
        "PAIRS_KRAKEN": "BTC-USD",
        "RUN_DIR": ".run/x",
        "STACK": "native",
        "LOG_LEVEL": "debug",
    }

    environment = programs.pipeline(stack(**variables))[1].environment

    assert {name: environment.get(name) for name in variables} == {
        "PAIRS_KRAKEN": "BTC-USD",
        "RUN_DIR": None,
        "STACK": None,
        "LOG_LEVEL": "debug",
    }


def test_each_program_with_a_health_port_has_its_own() -> None:
    ports = {p.name: p.environment.get("HEALTH_PORT") for p in programs.pipeline(stack(WORKERS="2"))}

    assert ports == {
        "simulate": None,
        "ingest": "9101",
        "bridge-persist": "9102",
        "bridge-fanout": "9103",
        "bridge-rollup": "9104",
        "bridge-rollup-live": "9105",
        "workers-persist-1": "9111",
        "workers-persist-2": "9121",
        "workers-fanout-1": "9112",
        "workers-fanout-2": "9122",
        "workers-rollup-1": "9113",
        "workers-rollup-2": "9123",
        "ws": None,
        "rest": None,
    }


def test_what_uses_a_service_stops_before_it_and_storage_stops_last() -> None:
    names = ["postgres", "rest", "kafka", "supervisord", "ferretdb", "workers-persist-12", "redis"]

    turns = {name: turn_of(name) for name in names}

    assert turns == {
        "supervisord": Turn.SUPERVISOR,
        "rest": Turn.OURS,
        "workers-persist-12": Turn.OURS,
        "kafka": Turn.SERVICE,
        "ferretdb": Turn.SERVICE,
        "redis": Turn.SERVICE,
        "postgres": Turn.STORAGE,
    }
    assert [programs.stop_signal_of(name) for name in ("postgres", "kafka")] == ["INT", "TERM"]


@pytest.mark.parametrize("workers", ["0", "65", "many", "1.5"])
def test_number_of_workers_that_cannot_be_is_refused(workers: str) -> None:
    with pytest.raises(StackError, match=rf"\AWORKERS='{workers}': expected a whole number from 1 to 64\Z"):
        _ = stack(WORKERS=workers).workers


def test_scale_is_remembered_until_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scaled = Stack(tmp_path, {"WORKERS": "2"})
    before = scaled.workers

    scaled.remember(workers=3)
    remembered = scaled.workers
    monkeypatch.setenv("WORKERS", "5")

    assert (before, remembered, scaled.workers) == (2, 3, 5)


def test_socket_of_a_deep_run_dir_is_short_enough_and_its_own(tmp_path: Path) -> None:
    deep = [Stack(Path("/srv", "d" * 120, name), {}).supervisor_socket for name in ("one", "two")]

    assert all(len(str(socket)) < 100 for socket in deep)
    assert deep[0] != deep[1]
