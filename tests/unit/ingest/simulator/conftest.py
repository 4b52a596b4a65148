"""A market whose clock tests know."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import Settings
from ingest.simulator.faults import Faults
from ingest.simulator.session import Market
from ingest.simulator.state import MarketTime

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of a market that began an hour ago and runs sixty times as fast as the wall clock."""

    def make(**fields: Any) -> Settings:
        values: dict[str, Any] = {
            "sim_start": "-1h",
            "sim_speed": Decimal(60),
            "sim_state": tmp_path / "simulator.json",
        }
        return Settings(**(values | fields))

    return make


@pytest.fixture
def market(make_settings: MakeSettings) -> Market:
    """That market, with twelve updates a minute and no fault."""
    settings = make_settings()
    return Market(settings.sim_seed, settings.sim_updates, MarketTime(settings), Faults())
