"""Settings: from the environment, a .env file, or the default; every problem named in one sentence."""

from decimal import Decimal
from pathlib import Path

import pytest

from ingest.errors import SettingsError
from ingest.masking import mask_password
from ingest.settings import Settings


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without a .env file, and an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("PAIRS_KRAKEN", raising=False)
    return tmp_path


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str, ...]:
    """What is said about these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        Settings.from_env()
    return raised.value.problems


def test_has_the_documented_defaults() -> None:
    settings = Settings.from_env()

    assert (settings.exchange, settings.pairs) == (("sim",), ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR"))
    assert (settings.kafka_brokers, settings.sim_host, settings.sim_port) == ("127.0.0.1:9092", "127.0.0.1", 3010)
    assert (settings.sim_seed, settings.sim_updates, settings.sim_speed) == (1, 12, Decimal(600))
    assert (settings.sim_start, settings.sim_log, settings.log_level) == (4 * 3_600_000, None, "info")
    assert (settings.ws_scheme, settings.ws_addr, settings.ws_path, settings.ws_origin_header) == (None,) * 4


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch, nowhere: Path) -> None:
    (nowhere / ".env").write_text("SIM_SEED=7\nSIM_PORT=4000\nPAIRS_KRAKEN=ETH-USD\n")
    monkeypatch.setenv("SIM_SEED", "8")
    monkeypatch.setenv("EXCHANGE", "kraken")

    settings = Settings.from_env()

    assert (settings.sim_seed, settings.sim_port, settings.pairs_of("kraken")) == (8, 4000, ("ETH-USD",))


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRS", "")

    assert Settings.from_env().pairs == ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR")


def test_lists_are_split_trimmed_and_without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAIRS", " BTC-USD, ETH-USD ,BTC-USD,")
    monkeypatch.setenv("EXCHANGE", "sim,kraken")

    settings = Settings.from_env()

    assert (settings.pairs, settings.exchange) == (("BTC-USD", "ETH-USD"), ("sim", "kraken"))


def test_an_exchange_may_have_pairs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGE", "sim,kraken")
    monkeypatch.setenv("PAIRS", "BTC-EUR")
    monkeypatch.setenv("PAIRS_KRAKEN", "ADA-USD,SOL-USD")

    settings = Settings.from_env()

    assert (settings.pairs_of("sim"), settings.pairs_of("kraken")) == (("BTC-EUR",), ("ADA-USD", "SOL-USD"))


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("-90s", 90_000), ("-30m", 1_800_000), ("-4h", 14_400_000), ("-2d", 172_800_000)]
)
def test_reads_a_time_before_now(monkeypatch: pytest.MonkeyPatch, text: str, milliseconds: int) -> None:
    monkeypatch.setenv("SIM_START", text)

    assert Settings.from_env().sim_start == milliseconds


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PAIRS", "btc-usd", "PAIRS='btc-usd': expected pairs like BTC-USD, upper case, comma-separated"),
        ("PAIRS", ",", "PAIRS=',': expected pairs like BTC-USD, upper case, comma-separated"),
        ("KAFKA_BROKERS", "kafka", "KAFKA_BROKERS='kafka': expected host:port, comma-separated"),
        ("SIM_START", "4h", "SIM_START='4h': expected a time before now: -90s, -30m, -4h or -2d"),
        ("SIM_SPEED", "0", "SIM_SPEED='0': expected greater than or equal to 1"),
        ("SIM_PORT", "70000", "SIM_PORT='70000': expected less than or equal to 65535"),
        ("WS_SCHEME", "http", "WS_SCHEME='http': expected 'ws' or 'wss'"),
        ("WS_ADDR", "host:99999", "WS_ADDR='host:99999': expected host or host:port"),
        ("WS_ADDR", "a b", "WS_ADDR='a b': expected host or host:port"),
        ("WS_ADDR", "wss://host/path", "WS_ADDR='wss://host/path': expected host or host:port"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL='loud': expected 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    said = problems(monkeypatch, **{name: value})

    assert said == (problem,)


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = problems(monkeypatch, SIM_PORT="x", LOG_LEVEL="loud")

    assert [each.split("=")[0] for each in said] == ["SIM_PORT", "LOG_LEVEL"]


def test_bad_pairs_of_one_exchange_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = problems(monkeypatch, EXCHANGE="kraken", PAIRS_KRAKEN="XBT/USD")

    assert said == ("PAIRS_KRAKEN='XBT/USD': expected pairs like BTC-USD, upper case, comma-separated",)


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("redis://user:s3cret@host:6379/0", "redis://user:***@host:6379/0"),
        ("redis://:s3cret@host", "redis://:***@host"),
        ("mongodb://user:s3@cret@host", "mongodb://user:***@host"),
        ("redis://host/0?password=s3cret&db=1", "redis://host/0?password=***&db=1"),
        (
            "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=s3",
            "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=***",
        ),
        ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:s3", "mongodb://h/?authMechanismProperties=***"),
        ("mongodb://127.0.0.1:27017", "mongodb://127.0.0.1:27017"),
        ("a:b@c", "a:b@c"),
    ],
)
def test_passwords_are_stars(address: str, masked: str) -> None:
    assert mask_password(address) == masked


def test_describes_every_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_ORIGIN_HEADER", "ws://me:s3cret@host")

    described = Settings.from_env().describe()

    assert (described["PAIRS"], described["WS_ORIGIN_HEADER"], described["SIM_PORT"], described["SIM_START"]) == (
        "BTC-USD,BTC-EUR,ETH-USD,ETH-EUR",
        "ws://me:***@host",
        "3010",
        "-14400s",
    )
    assert "SIM_LOG" not in described


def test_says_where_each_variable_was_found(monkeypatch: pytest.MonkeyPatch, nowhere: Path) -> None:
    (nowhere / ".env").write_text("SIM_SEED=7\nSIM_PORT=4000\nPAIRS_KRAKEN=ETH-USD\nPAIRS_OTHER=x\n")
    monkeypatch.setenv("SIM_SEED", "8")
    monkeypatch.setenv("sim_updates", "9")
    monkeypatch.setenv("SIM_PORT", "")
    monkeypatch.setenv("EXCHANGE", "kraken")

    settings = Settings.from_env()

    sources = settings.sources()
    named = {name: source for name, source in sources.items() if source != "default"}
    assert named == {
        "EXCHANGE": "environment",
        "SIM_SEED": "environment",
        "SIM_UPDATES": "environment",
        "SIM_PORT": ".env",
        "PAIRS_KRAKEN": ".env",
    }
    assert set(sources) == {*(name.upper() for name in Settings.model_fields), "PAIRS_KRAKEN"}
    assert settings.describe()["PAIRS_KRAKEN"] == "ETH-USD"


def test_a_setting_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.from_env().sim_port = 1  # type: ignore[misc]
