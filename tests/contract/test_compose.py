"""`docker-compose.yml` and `.env.example`: valid, complete, hardened, and in step with the code's own defaults.

There is no engine to try it on here; the schema is the Compose Specification's own (see `compose-spec/NOTICE`).
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.native import programs
from deploy.native.stack import Stack
from deploy.native.variables import LAUNCHER_VARIABLES
from web.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(__file__).with_name("compose-spec") / "compose-spec.json"

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STORES = ("kafka", "redis", "mongo")
OURS = tuple(name for name in SERVICES if name not in STORES)

#: Settings whose default differs inside a container, where addresses are the containers' own.
CONTAINER_ADDRESSES = {
    "KAFKA_BROKERS": "kafka:9092",
    "REDIS_URL": "redis://redis:6379/0",
    "MONGO_URI": "mongodb://mongo:27017",
    "BIND_HOST": "0.0.0.0",
    "HEALTH_HOST": "0.0.0.0",
    "SIM_HOST": "simulate",
}
#: Has another default in each process, and so none that a file could show.
PER_PROCESS = "HEALTH_PORT"

_REFERENCE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def resolve(text: object) -> str:
    """A value as Compose sees it when no variable is set."""
    return _REFERENCE.sub(lambda match: match[2], str(text))


def compose_defaults() -> dict[str, str]:
    return {name: resolve(value) for name, value in COMPOSE["x-settings"].items()}


def example_defaults() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := re.match(r"#([A-Z_]+)=(.*)\Z", line))}


def settings_with(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The settings that the code reads when exactly these variables are set."""
    monkeypatch.chdir(tmp_path)  # away from a developer's .env
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.from_env().model_dump()


def test_compose_file_follows_the_specification() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    errors = [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE)
    ]

    assert errors == []


def test_every_process_of_the_native_stack_is_a_service() -> None:
    stack = Stack(Path("/nonexistent"), {})
    native = {re.sub(r"-\d+\Z", "", program.name) for program in programs.pipeline(stack)}

    assert set(OURS) == native


@pytest.mark.parametrize("name", OURS)
def test_service_runs_the_command_of_the_native_stack(name: str) -> None:
    stack = Stack(Path("/nonexistent"), {})
    native = {re.sub(r"-\d+\Z", "", program.name): program.command for program in programs.pipeline(stack)}
    program, *words = native[name]

    command = [resolve(word) for word in SERVICES[name]["command"]]

    assert command == [Path(program).name, *words]


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_watched_restarted_and_without_privileges(name: str) -> None:
    service = SERVICES[name]

    hardening = {
        key: service.get(key) for key in ("restart", "cap_drop", "security_opt", "stop_grace_period", "container_name")
    }

    assert hardening == {
        "restart": "unless-stopped",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": "20s",
        "container_name": None,  # else it could not be scaled
    }
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["user"] not in {"root", "0", 0}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_cannot_write_to_their_image(name: str) -> None:
    service = SERVICES[name]

    assert (service["read_only"], service["tmpfs"], service["user"]) == (True, ["/tmp"], "10001:10001")


@pytest.mark.parametrize("name", STORES)
def test_image_of_a_store_is_pinned_to_a_version(name: str) -> None:
    image = SERVICES[name]["image"]

    assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+[a-z-]*", image), image


def test_only_rest_and_websocket_are_published_and_only_on_loopback() -> None:
    published = {name: [resolve(port) for port in service.get("ports", [])] for name, service in SERVICES.items()}

    nothing: dict[str, list[str]] = {name: [] for name in SERVICES}
    assert published == nothing | {"ws": ["127.0.0.1:3004:3004"], "rest": ["127.0.0.1:8080:8080"]}


@pytest.mark.parametrize("name", OURS)
def test_service_gets_every_setting(name: str) -> None:
    environment = {key: resolve(value) for key, value in SERVICES[name]["environment"].items()}

    assert environment == compose_defaults() | ({"SIM_HOST": "0.0.0.0"} if name == "simulate" else {})


def test_compose_has_the_defaults_of_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compose = compose_defaults()
    built_in = settings_with({}, monkeypatch, tmp_path)

    configured = settings_with(
        {name: value for name, value in compose.items() if name not in CONTAINER_ADDRESSES}, monkeypatch, tmp_path
    )

    assert configured == built_in
    assert {name: compose[name] for name in CONTAINER_ADDRESSES} == CONTAINER_ADDRESSES
    assert set(compose) == {name.upper() for name in Settings.model_fields} - {PER_PROCESS}


def test_example_has_the_defaults_of_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    example = example_defaults()
    built_in = settings_with({}, monkeypatch, tmp_path)

    configured = settings_with(example, monkeypatch, tmp_path)

    assert configured == built_in
    assert set(example) == {name.upper() for name in Settings.model_fields} | LAUNCHER_VARIABLES


def test_example_sets_nothing_until_it_is_edited() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    active = [line for line in lines if line and not line.startswith("#")]

    assert active == []


def test_broker_has_the_settings_of_the_native_one() -> None:
    text = (ROOT / "deploy/native/kafka/server.properties.in").read_text(encoding="utf-8")
    native = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    behaviour = {
        name: value
        for name, value in native.items()
        if re.match(r"group\.|broker\.|auto\.|offsets\.|transaction\.|share\.", name)
    }
    del behaviour["group.initial.rebalance.delay.ms"]  # of the older group protocol, which nothing of ours uses

    environment = SERVICES["kafka"]["environment"]
    container = {name: str(environment.get(f"KAFKA_{name.replace('.', '_').upper()}")) for name in behaviour}

    assert container == behaviour


def test_image_is_built_from_pinned_versions_and_hashed_packages() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    bases = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))

    assert [base for base in bases if not re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)] == []
    assert "--require-hashes" in dockerfile
    assert re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE) == ["app"]
