"""Where the market began, across restarts."""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from ingest.simulator.state import MarketTime
from tests.conftest import MINUTE_MS as NOW_MS
from tests.unit.ingest.simulator.conftest import MakeSettings


def test_a_restart_finds_the_market_where_it_would_have_been(make_settings: MakeSettings) -> None:
    settings = make_settings()
    first = MarketTime(settings)
    begun = first.begin(NOW_MS)

    restarted = MarketTime(settings)

    assert restarted.clock == begun
    assert restarted.begin(NOW_MS + 5_000) == begun
    assert restarted.market_at(NOW_MS + 9_000) == first.market_at(NOW_MS + 9_000)


@pytest.mark.parametrize("changed", [{"sim_start": "-2h"}, {"sim_speed": Decimal(61)}, {"sim_seed": 2}])
def test_the_market_begins_anew_when_its_settings_change(
    make_settings: MakeSettings, changed: dict[str, object]
) -> None:
    MarketTime(make_settings()).begin(NOW_MS)

    time = MarketTime(make_settings(**changed))

    assert time.clock is None
    assert time.begin(NOW_MS + 5_000).wall_ms > NOW_MS + 5_000


def test_other_settings_do_not_disturb_the_market(make_settings: MakeSettings) -> None:
    begun = MarketTime(make_settings()).begin(NOW_MS)

    assert MarketTime(make_settings(sim_updates=100, sim_port=9999)).clock == begun


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"sim_start":1}', b"\xff"])
def test_a_state_that_cannot_be_read_begins_the_market_anew(make_settings: MakeSettings, content: bytes) -> None:
    settings = make_settings()
    settings.sim_state.write_bytes(content)

    assert MarketTime(settings).clock is None


def test_before_the_first_subscription_time_is_where_the_market_would_begin(make_settings: MakeSettings) -> None:
    time = MarketTime(make_settings())

    expected = time.market_at(NOW_MS)

    assert time.begin(NOW_MS).market_ms == expected


def test_the_state_is_replaced_as_a_whole(make_settings: MakeSettings, tmp_path: Path) -> None:
    MarketTime(make_settings(sim_state=tmp_path / "new" / "simulator.json")).begin(NOW_MS)

    assert os.listdir(tmp_path / "new") == ["simulator.json"]
