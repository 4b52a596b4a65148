"""/api/ohlcv and /api/candles on a store of their own: formats, pages, tags, and answers of any length."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import falcon.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.candle import Candle, State
from ingest.revision import time_ms_of
from tests.conftest import make_candle, minute
from tests.unit.web.memory import MemoryStore, Served
from web import arrow, reading
from web.formats import MEDIA_TYPES, Format

LAST = "provisional", "open"


def finals(count: int) -> list[Candle]:
    return [make_candle(number, state=State.FINAL) for number in range(count)]


@pytest.fixture
def served() -> Served:
    return Served()


def follow(served: Served, path: str, query: str) -> Iterator[falcon.testing.Result]:
    """The answer, and those to which it leads."""
    while True:
        answer = served.get(path, query_string=query)
        assert answer.status_code == 200, answer.text
        yield answer
        link = answer.headers.get("link", "")
        if not link:
            return
        query = link.partition("?")[2].partition(">")[0]


def times(answer: falcon.testing.Result) -> list[int]:
    """Open times in an answer of any JSON form."""
    rows = answer.json["candles"] if isinstance(answer.json, dict) else answer.json
    return [row[0] if isinstance(row, list) else row["timestamp"] for row in rows]


@pytest.mark.parametrize(
    ("form", "media_type", "begins"),
    [
        ("json", "application/json", b'[{"_id":"'),
        ("csv", "text/csv; charset=utf-8; header=present", b"timestamp,open,high,low,close,volume\r\n1606166460000,"),
        ("ndjson", "application/x-ndjson", b'{"_id":"'),
        ("ccxt", "application/json", b"[[1606166220000,18383.38,18385.85,18376.035,18382.06,0.002185],"),
        ("columns", "application/json", b'{"timestamp":[1606166460000,1606166400000,'),
        ("arrow", "application/vnd.apache.arrow.stream", b"\xff\xff\xff\xff"),
    ],
)
def test_every_format_says_what_it_is(served: Served, form: str, media_type: str, begins: bytes) -> None:
    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD&format={form}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.content.startswith(begins)
    assert "vary" not in answer.headers


@pytest.mark.parametrize("path", ["/api/ohlcv", "/api/candles"])
@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_an_accept_header_chooses_the_format(served: Served, path: str, form: Format) -> None:
    asked = served.get(path, query_string=f"pair=BTC-USD&format={form}")

    answer = served.get(path, query_string="pair=BTC-USD", headers={"Accept": MEDIA_TYPES[form]})

    assert answer.content == asked.content
    assert (answer.headers["content-type"], answer.headers["vary"]) == (asked.headers["content-type"], "Accept")


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xml;q=0.9,*/*;q=0.8", "image/png", "nonsense;;q=x"])
def test_json_is_what_comes_otherwise(served: Served, accept: str) -> None:
    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD", headers={"Accept": accept})

    assert answer.headers["content-type"] == "application/json"


def test_files_have_a_name(served: Served) -> None:
    answer = served.get("/api/candles", query_string="pair=BTC-USD&format=csv")

    assert answer.headers["content-disposition"] == 'attachment; filename="sim-BTC-USD-1m.csv"'


def test_a_full_candle_has_everything_that_is_known(served: Served) -> None:
    answer = served.get("/api/candles", query_string="pair=BTC-USD&limit=1")

    newest = make_candle(4)
    assert answer.json == {
        "page": None,
        "next": minute(4),
        "as_of": time_ms_of(newest.rev),
        "candles": [
            {
                "exchange": "sim",
                "pair": "BTC-USD",
                "interval": "1m",
                "timestamp": minute(4),
                "open": 18383.38,
                "high": 18385.85,
                "low": 18376.035,
                "close": 18382.06,
                "volume": 0.002185,
                "state": "open",
                "rev": newest.rev,
                "minutes": 1,
            }
        ],
    }
    assert answer.headers["link"] == (
        f'</api/candles?pair=BTC-USD&exchange=sim&interval=1m&limit=1&order=desc&page={minute(4)}>; rel="next"'
    )


def test_next_given_as_page_leads_on(served: Served) -> None:
    pages, page = [], ""
    while True:
        answer = served.get("/api/candles", query_string=f"pair=BTC-USD&limit=2&order=asc{page}").json
        pages.append((answer["page"], [candle["timestamp"] for candle in answer["candles"]]))
        if answer["next"] is None:
            break
        page = f"&page={answer['next']}"

    assert pages == [
        (None, [minute(0), minute(1)]),
        (minute(1), [minute(2), minute(3)]),
        (minute(3), [minute(4)]),
    ]


def test_candles_of_an_empty_range_are_an_empty_page(served: Served) -> None:
    answer = served.get("/api/candles", query_string="pair=BTC-USD&to=0")

    assert answer.json == {"page": None, "next": None, "as_of": None, "candles": []}


numbers = st.sets(st.integers(0, 40), max_size=20)


@given(
    held=numbers,
    written=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12),
    limit=st.integers(1, 5),
    order=st.sampled_from(["asc", "desc"]),
    path=st.sampled_from(["/api/ohlcv", "/api/candles"]),
    ends=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
@settings(deadline=None, max_examples=60)
def test_pages_neither_skip_nor_repeat_while_candles_are_written(
    held: set[int], written: list[tuple[int, bool]], limit: int, order: str, path: str, ends: tuple[int, int]
) -> None:
    served = Served()
    served.store.candles = [make_candle(number) for number in held]
    low, high = min(ends), max(ends)
    query = f"pair=BTC-USD&limit={limit}&order={order}&from={minute(low)}&to={minute(high)}"
    writes, seen = iter(written), []
    for answer in follow(served, path, query):
        seen += times(answer)
        # Between two pages a candle comes, or is replaced by a newer version.
        for number, _ in [next(writes, (0, False))]:
            others = [candle for candle in served.store.candles if candle.timestamp != minute(number)]
            served.store.candles = [*others, make_candle(number, state=State.FINAL)]

    assert seen == sorted(set(seen), reverse=order == "desc")
    assert set(seen) >= {minute(number) for number in held if low <= number <= high}
    assert all(minute(low) <= time <= minute(high) for time in seen)


class Exchange:
    """The call that programs for CCXT make, on our address."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def fetch_ohlcv(
        self, symbol: str, timeframe: str = "1m", since: int | None = None, limit: int | None = None
    ) -> list[list[Any]]:
        given = {"pair": symbol.replace("/", "-"), "interval": timeframe, "since": since, "limit": limit}
        params = {name: value for name, value in given.items() if value is not None}
        answer = self._served.get("/api/ohlcv", params={**params, "format": "ccxt"})
        assert answer.status_code == 200, answer.text
        return list(answer.json)


def test_a_ccxt_loop_reads_everything_once(served: Served) -> None:
    served.store.candles = finals(10)
    exchange = Exchange(served)
    since, everything = minute(0), []
    while True:
        rows = exchange.fetch_ohlcv("BTC/USD", "1m", since, 3)
        if not rows:
            break
        everything += rows
        since = rows[-1][0] + 1

    assert everything == [[minute(number), 18383.38, 18385.85, 18376.035, 18382.06, 0.002185] for number in range(10)]


def test_ccxt_without_since_is_the_newest_in_ascending_order(served: Served) -> None:
    rows = Exchange(served).fetch_ohlcv("BTC/USD", limit=2)

    assert [row[0] for row in rows] == [minute(3), minute(4)]


def test_ccxt_pages_without_since_lead_into_the_past(served: Served) -> None:
    pages = [times(answer) for answer in follow(served, "/api/ohlcv", "pair=BTC-USD&format=ccxt&limit=2")]

    assert pages == [[minute(3), minute(4)], [minute(1), minute(2)], [minute(0)]]


def test_ccxt_pages_with_since_lead_on(served: Served) -> None:
    query = f"pair=BTC-USD&format=ccxt&limit=2&since={minute(1)}"

    pages = [times(answer) for answer in follow(served, "/api/ohlcv", query)]

    assert pages == [[minute(1), minute(2)], [minute(3), minute(4)]]


def test_finals_can_be_had_alone(served: Served) -> None:
    served.store.candles = [make_candle(number, state=state) for number, state in enumerate(State)]

    answer = served.get("/api/candles", query_string="pair=BTC-USD&state=final")

    assert [candle["state"] for candle in answer.json["candles"]] == ["corrected", "final"]


@pytest.mark.parametrize("path", ["/api/ohlcv", "/api/candles"])
@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "arrow"])
def test_final_candles_carry_a_tag_and_are_not_sent_twice(served: Served, path: str, form: str) -> None:
    served.store.candles = finals(5)
    query = f"pair=BTC-USD&format={form}&to={minute(4)}"
    first = served.get(path, query_string=query)
    tag = first.headers["etag"]

    again = served.get(path, query_string=query, headers={"If-None-Match": f'"other", {tag}'})

    assert (first.status_code, first.headers["cache-control"], tag[0]) == (200, "public, max-age=60", '"')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "public, max-age=60"


def test_a_correction_changes_the_tag(served: Served) -> None:
    served.store.candles = finals(5)
    query = f"pair=BTC-USD&to={minute(4)}"
    first = served.get("/api/ohlcv", query_string=query)
    served.store.candles[2] = make_candle(2, state=State.CORRECTED, close=Decimal("18380"))

    again = served.get("/api/ohlcv", query_string=query, headers={"If-None-Match": first.headers["etag"]})

    assert again.status_code == 200
    assert again.headers["etag"] != first.headers["etag"]


def test_formats_have_tags_of_their_own(served: Served) -> None:
    served.store.candles = finals(5)

    tags = {served.get("/api/ohlcv", params={"pair": "BTC-USD", "format": form}).headers["etag"] for form in Format}

    assert len(tags) == len(Format)


@pytest.mark.parametrize("state", [State.PARTIAL, State.OPEN, State.PROVISIONAL])
def test_a_range_that_touches_a_candle_that_is_not_final_has_no_tag(served: Served, state: State) -> None:
    served.store.candles = [*finals(4), make_candle(4, state=state)]

    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD&to={minute(4)}", headers={"If-None-Match": "*"})

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert "etag" not in answer.headers


@pytest.mark.parametrize(
    ("query", "cache"),
    [
        ("", "no-cache"),  # the next candle will belong here
        (f"&to={minute(5)}", "no-cache"),
        (f"&to={minute(5) - 1}", "public, max-age=60"),
        (f"&to={minute(4)}&order=asc", "public, max-age=60"),
        ("&order=asc&limit=3", "public, max-age=60"),
        ("&order=asc", "no-cache"),
        ("&limit=3", "no-cache"),
        (f"&limit=3&page={minute(4)}", "public, max-age=60"),
    ],
)
def test_only_answers_that_no_later_candle_belongs_into_may_be_kept(served: Served, query: str, cache: str) -> None:
    served.store.candles = finals(5)

    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD{query}")

    assert (answer.headers["cache-control"], "etag" in answer.headers) == (cache, True)


def test_an_empty_range_is_kept_by_nobody(served: Served) -> None:
    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD&to=0")

    assert (answer.text, answer.headers["cache-control"], "etag" in answer.headers) == ("[]", "no-cache", False)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [10_001, 10_500, 20_000])
def test_a_long_answer_is_all_candles_once_in_parts(
    served: Served, monkeypatch: pytest.MonkeyPatch, order: str, limit: int
) -> None:
    monkeypatch.setattr(reading, "PART_ROWS", 700)
    served.store.candles = finals(10_400)

    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD&format=ndjson&order={order}&limit={limit}")

    rows = [json.loads(line)["timestamp"] for line in answer.text.splitlines()]
    expected = [minute(number) for number in range(10_400)]
    assert rows == (expected if order == "asc" else expected[::-1])[:limit]
    assert {"link", "etag", "content-length"} & set(answer.headers) == set()
    assert answer.headers["cache-control"] == "no-cache"


def test_a_long_answer_that_cannot_go_on_breaks_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.store.candles = finals(10_400)
    find_rows = MemoryStore.find_rows

    def once(store: MemoryStore, *arguments: Any, **options: Any) -> Any:
        rows = find_rows(store, *arguments, **options)
        store.away = True
        return rows

    monkeypatch.setattr(MemoryStore, "find_rows", once)

    with pytest.raises(ConnectionResetError):
        served.get("/api/ohlcv", query_string="pair=BTC-USD&format=csv&limit=20000")


@pytest.mark.parametrize(
    ("query", "parameter", "expected"),
    [
        ("format=xml", "format", "one of json, csv, ndjson, ccxt, columns, arrow"),
        ("format=columns&limit=10001", "limit", "an integer from 1 to 10000 for columns"),
        ("format=csv&limit=1000001", "limit", "an integer from 1 to 1000000"),
        ("format=ccxt&order=desc", "order", "asc or nothing: the rows of ccxt ascend"),
        ("from=1&since=1", "since", "from or since, not both"),
        ("state=open", "state", "one of final"),
        ("page=x", "page", "an integer from 0 to 4294967295000"),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(served: Served, query: str, parameter: str, expected: str) -> None:
    answer = served.get("/api/ohlcv", query_string=f"pair=BTC-USD&{query}")

    value = query.rpartition("=")[2]
    assert answer.status_code == 400
    assert answer.json["errors"] == [{"parameter": parameter, "value": value, "expected": expected}]


def test_arrow_without_pyarrow_is_said_in_one_sentence(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(arrow, "import_module", missing)

    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD&format=arrow")

    assert (answer.status_code, answer.json["code"]) == (501, "not_installed")
    assert answer.json["detail"] == "format=arrow needs pyarrow, which is not installed on this server"


def test_arrow_rounds_nothing_and_says_so(served: Served) -> None:
    served.store.candles = [make_candle(volume=Decimal("1E-19"))]

    answer = served.get("/api/ohlcv", query_string="pair=BTC-USD&format=arrow")

    assert (answer.status_code, answer.json["code"]) == (406, "not_exact")
