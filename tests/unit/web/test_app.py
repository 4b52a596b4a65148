"""The REST application on a store and feeds of its own: routes, headers, every kind of answer."""

from decimal import Decimal

import falcon.testing
import pytest

from ingest.candle import Candle, Interval, Series
from tests.conftest import make_candle, minute
from tests.unit.web.memory import Served

BTC = Series("sim", "BTC-USD", Interval.M1)


@pytest.fixture
def served() -> Served:
    return Served()


def times(answer: falcon.testing.Result) -> list[int]:
    return [row["timestamp"] for row in answer.json]


def test_candles_come_newest_first(served: Served) -> None:
    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD&from=0&to=9999999999999")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert times(answer) == [minute(4), minute(3), minute(2), minute(1), minute(0)]


def test_both_ends_of_a_range_belong_to_it(served: Served) -> None:
    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD&from={minute(1)}&to={minute(3)}&order=asc")

    assert times(answer) == [minute(1), minute(2), minute(3)]


@pytest.mark.parametrize(
    "query", [f"from={minute(9)}", "from=10&to=5", "interval=1h", f"from={minute(1) + 1}&to={minute(2) - 1}"]
)
def test_a_range_without_candles_is_empty(served: Served, query: str) -> None:
    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD&{query}")

    assert (answer.status_code, answer.text) == (200, "[]")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_links_lead_through_everything_once(served: Served, order: str) -> None:
    pages, path, query = [], "/api/ohlcv", f"pair=BTC-USD&limit=2&order={order}&from={minute(0)}&to={minute(4)}"
    while query:
        answer = served.get(path, query_string=query)
        pages.append(times(answer))
        link = answer.headers.get("link", "")
        path, _, query = link.partition(">")[0].removeprefix("<").partition("?")

    expected = [[minute(0), minute(1)], [minute(2), minute(3)], [minute(4)]]
    assert pages == (expected if order == "asc" else [[minute(4), minute(3)], [minute(2), minute(1)], [minute(0)]])


def test_a_link_says_that_it_is_the_next(served: Served) -> None:
    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD&limit=2")

    assert answer.headers["link"] == (
        f'</api/ohlcv?pair=BTC-USD&exchange=sim&interval=1m&limit=2&order=desc&page={minute(3)}>; rel="next"'
    )


def test_without_a_limit_ten_thousand_rows_come_and_a_link(served: Served) -> None:
    served.store.candles = [make_candle(number) for number in range(10_001)]

    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD")

    assert len(answer.json) == 10_000
    assert f"page={minute(1)}" in answer.headers["link"]


@pytest.mark.parametrize(
    ("query", "parameter"), [("pair=XXX-YYY", "pair"), ("pair=BTC-USD&exchange=nowhere", "exchange")]
)
def test_an_unknown_name_is_not_found(served: Served, query: str, parameter: str) -> None:
    answer = served.get("/api/ohlcv", query_string=query)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["status"], answer.json["code"]) == (404, f"unknown_{parameter}")
    assert [each["parameter"] for each in answer.json["errors"]] == [parameter]


def test_a_stored_pair_is_known_though_nobody_configured_it(served: Served) -> None:
    served.store.candles = [make_candle(pair="ADA-USD")]

    answer = served.get("/api/ohlcv", query_string=f"pair=ADA-USD&from={minute(5)}")

    assert (answer.status_code, answer.text) == (200, "[]")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("pair[$ne]=1&pair=BTC-USD", "pair[$ne]"),
        ("pair=BTC-USD&pair=ETH-USD", "pair"),
        ("pair=BTC-USD&to=99999999999999999999", "to"),
        ("pair=BTC-USD&from=", "from"),
        ("pair=%ED%A0%80", "pair"),
        ("pair=BTC-USD&x=<script>", "x"),
        ("", "pair"),
    ],
)
def test_a_bad_parameter_is_named_in_a_problem_document(served: Served, query: str, parameter: str) -> None:
    answer = served.get("/api/ohlcv", query_string=query)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "about:blank"
    assert (answer.json["title"], answer.json["status"], answer.json["code"]) == ("Bad Request", 400, "bad_parameter")
    assert [each["parameter"] for each in answer.json["errors"]] == [parameter]


@pytest.mark.parametrize("path", ["/api/pairs", "/api/feeds", "/api"])
def test_paths_without_parameters_refuse_them(served: Served, path: str) -> None:
    answer = served.get(path, query_string="pair=BTC-USD")

    assert answer.status_code == 400
    assert answer.json["errors"] == [{"parameter": "pair", "value": "BTC-USD", "expected": "no parameters here"}]


def test_errors_are_never_xml(served: Served) -> None:
    answer = served.get("/nowhere", headers={"Accept": "application/xml"})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_wrong_method_names_the_right_ones(served: Served) -> None:
    answer = served.client.simulate_post("/api/ohlcv")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json["code"] == "method_not_allowed"


def test_head_is_get_without_the_body(served: Served) -> None:
    get = served.get("/api/ohlcv", query_string="pair=BTC-USD")

    head = served.client.simulate_head("/api/ohlcv", query_string="pair=BTC-USD")

    assert (head.status_code, head.text) == (200, "")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


def test_a_store_that_is_gone_is_said_without_its_address(served: Served) -> None:
    served.store.away = True

    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json["code"] == "unavailable"
    assert "internal" not in answer.text.replace('"internal"', "")


def test_a_fault_of_ours_is_a_problem_document_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_more: object) -> list[Candle]:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.store, "find_rows", broken)

    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD")

    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "secret" not in answer.text


def test_pairs_lists_what_is_configured_and_what_is_stored(served: Served) -> None:
    served.store.candles += [make_candle(7, pair="ADA-USD", exchange="kraken", volume=Decimal(0))]

    answer = served.get("/api/pairs")

    assert answer.json == [
        {"exchange": "kraken", "pair": "ADA-USD", "interval": "1m", "earliest": minute(7), "newest": minute(7)},
        {"exchange": "sim", "pair": "BTC-USD", "interval": "1m", "earliest": minute(0), "newest": minute(4)},
    ]


def test_a_configured_pair_without_candles_has_no_times(served: Served) -> None:
    served.store.candles = []

    answer = served.get("/api/pairs")

    assert answer.json == [{"exchange": "sim", "pair": "BTC-USD", "interval": "1m", "earliest": None, "newest": None}]


def test_feeds_are_stale_when_beats_stop(served: Served) -> None:
    served.clock.advance(4)

    answer = served.get("/api/feeds")

    assert answer.json == [
        {
            "exchange": "sim",
            "event": "beat",
            "feed": "stale",
            "since": minute(6),
            "at": minute(6),
            "reason": "no beat for 4 s",
        }
    ]


def test_feeds_need_the_live_side(served: Served) -> None:
    served.feeds.away = True

    answer = served.get("/api/feeds")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "redis.internal" not in answer.text


def test_health_is_fresh_while_feeds_live_and_candles_are_young(served: Served) -> None:
    answer = served.get("/health")

    assert (answer.status_code, answer.json) == (200, {"status": "fresh", "problems": []})


def test_health_names_every_stale_feed_and_old_candle(served: Served) -> None:
    served.clock.advance(600)

    answer = served.get("/health")

    assert answer.status_code == 503
    assert answer.json == {
        "status": "stale",
        "problems": [
            "feed sim: stale (no beat for 600 s), expected live",
            "candles sim|BTC-USD|1m: the newest ended 660 s ago, expected at most 180 s",
        ],
    }


def test_health_names_services_that_do_not_answer(served: Served) -> None:
    served.feeds.away = served.store.away = True

    answer = served.get("/health")

    assert answer.status_code == 503
    assert answer.json["problems"] == ["the live side does not answer", "the store does not answer"]


def test_who_asks_for_health_within_a_second_gets_the_same_answer(served: Served) -> None:
    first = served.get("/health")
    served.store.away = True

    at_once = served.get("/health")
    served.clock.advance(1)
    later = served.get("/health")

    assert [first.status_code, at_once.status_code, later.status_code] == [200, 200, 503]


def test_being_ready_needs_the_services_and_being_alive_does_not(served: Served) -> None:
    served.store.away = True

    ready, alive = served.get("/readyz"), served.get("/livez")

    assert (ready.status_code, ready.json["checks"]) == (503, {"store": "does not answer", "live": "ok"})
    assert (alive.status_code, alive.text) == (200, "ok\n")


def test_stale_data_does_not_make_us_unready(served: Served) -> None:
    served.clock.advance(3600)

    answer = served.get("/readyz")

    assert (answer.status_code, answer.json["status"]) == (200, "ready")


def test_metrics_count_requests_by_route(served: Served) -> None:
    served.get("/api/pairs")

    answer = served.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'rest_requests_total{method="GET",route="/api/pairs",status="200"}' in answer.text


def test_the_list_of_endpoints_has_what_is_configured_and_loads_nothing(served: Served) -> None:
    answer = served.get("/api")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<a href="/api/ohlcv?pair=BTC-USD&amp;exchange=sim&amp;limit=10">' in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "://" not in answer.text
    assert "<script" not in answer.text


def test_anyone_may_read_from_a_web_page(served: Served) -> None:
    answer = served.get("/api/pairs", headers={"Origin": "https://example.org"})

    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_preflight_is_answered(served: Served) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}

    answer = served.client.simulate_options("/api/ohlcv", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"


def test_an_operator_can_restrict_who_reads_from_web_pages() -> None:
    served = Served(cors_origins="https://mine.example")

    mine = served.get("/api/pairs", headers={"Origin": "https://mine.example"})
    other = served.get("/api/pairs", headers={"Origin": "https://other.example"})

    assert (mine.headers["access-control-allow-origin"], mine.headers["vary"]) == ("https://mine.example", "Origin")
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("a b", False), ("x" * 65, False)])
def test_a_sensible_request_id_is_kept(served: Served, given: str, kept: bool) -> None:
    answer = served.get("/livez", headers={"X-Request-Id": given})

    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]
