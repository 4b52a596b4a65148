"""Metrics: visible before anything happens."""

from prometheus_client import REGISTRY

from ingest import metrics


def test_every_known_series_of_an_exchange_starts_at_zero() -> None:
    metrics.start_at_zero("zeroed")

    values = {
        (name, value): REGISTRY.get_sample_value(name, {"exchange": "zeroed"} | ({label: value} if label else {}))
        for name, label, value in [
            ("frames_received_total", "", ""),
            ("feed_gaps_total", "", ""),
            ("candles_lost_total", "", ""),
            ("candles_produced_total", "state", "corrected"),
            ("feed_reconnects_total", "reason", "silence"),
            ("feed_state", "state", "live"),
        ]
    }

    assert set(values.values()) == {0.0}
    assert REGISTRY.get_sample_value("feed_state", {"exchange": "zeroed", "state": "down"}) == 1.0
