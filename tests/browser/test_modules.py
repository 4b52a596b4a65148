"""The dashboard's modules on their own: pure functions, asked in a browser, compared with what Python makes of it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from ingest.revision import make_rev, time_ms_of
from tests.system.stack import Stack

#: One page answers all of them, and remembers nothing.
each_time = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Ask(Protocol):
    """Evaluates a function of modules in the page: ``({book, decimal, …}, argument) => …``."""

    def __call__(self, function: str, argument: Any = None) -> Any:
        """What it returns."""


@pytest.fixture(scope="module")
def ask(browser: Browser, stack: Stack) -> Iterator[Ask]:
    """Asks modules that are loaded as a page loads them."""
    names = ["backoff", "book", "decimal", "exact", "rev", "subscriptions", "verdict"]
    page = browser.new_page()
    page.goto(f"{stack.rest_url}/status")
    page.evaluate(
        """async names => {
          const modules = {};
          for (const name of names) modules[name] = await import(`/static/data/${name}.js`);
          modules.selection = await import("/static/selection.js");
          window.modules = modules;
        }""",
        names,
    )
    yield lambda function, argument=None: page.evaluate(f"argument => ({function})(window.modules, argument)", argument)
    page.close()


decimals = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=None).map(abs)
versions = st.lists(
    st.builds(
        lambda number, rank, us: {
            "timestamp": number * 60_000,
            "rev": str(make_rev(rank, 1_800_000_000_000_000 + us)),
        },
        st.integers(0, 8),
        st.integers(0, 4),
        st.integers(0, 50),
    ),
    max_size=30,
)


@each_time
@given(given_versions=versions, data=st.data())
def test_a_book_holds_the_highest_version_of_each_candle_in_whatever_order_they_came(
    ask: Ask, given_versions: list[dict[str, Any]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(given_versions + given_versions[:5]))
    cut = data.draw(st.integers(0, len(shuffled)))

    held = ask(
        """({book}, parts) => {
          const it = new book.Book();
          const changed = parts.map(part => it.apply(part));
          return {all: it.all(), times: it.times, again: it.apply(parts.flat()), changed, newest: it.newest(3)};
        }""",
        [shuffled[:cut], shuffled[cut:]],
    )

    best: dict[int, str] = {}
    for each in given_versions:
        best[each["timestamp"]] = max(best.get(each["timestamp"], "0"), each["rev"], key=int)
    expected = [{"timestamp": time, "rev": rev} for time, rev in sorted(best.items())]
    assert held["all"] == expected
    assert held["times"] == sorted(best)
    assert held["again"] == []
    assert held["newest"] == expected[::-1][:3]
    assert {time for part in held["changed"] for time in part} == set(best)
    assert all(part == sorted(set(part)) for part in held["changed"])


@each_time
@given(first=st.integers(0, 2**53 - 1), second=st.integers(0, 2**53 - 1))
def test_revs_are_compared_as_the_numbers_that_they_are(ask: Ask, first: int, second: int) -> None:
    higher = ask("({rev}, [a, b]) => rev.isHigher(a, b)", [str(first), str(second)])

    assert higher is (first > second)


@each_time
@given(rank=st.integers(0, 4), unix_us=st.integers(1_600_000_000_000_000, 2_000_000_000_000_000))
def test_a_rev_says_when_it_was_made(ask: Ask, rank: int, unix_us: int) -> None:
    rev = make_rev(rank, unix_us)

    assert ask("({rev}, text) => rev.madeAt(text)", str(rev)) == time_ms_of(rev)


@each_time
@given(number=decimals)
def test_no_digit_of_a_number_is_lost_or_made(ask: Ask, number: Decimal) -> None:
    plain, places, shown = ask(
        "({decimal}, text) => [decimal.plain(text), decimal.places(text), decimal.grouped(text)]", str(number)
    )

    assert plain == f"{number:f}"
    assert places == max(0, -int(number.as_tuple().exponent))
    assert shown.replace(",", "") == plain
    assert all(len(part) == 3 for part in shown.partition(".")[0].split(",")[1:])


@pytest.mark.parametrize(
    ("text", "places", "shown"),
    [
        ("92708.1", 2, "92,708.10"),
        ("1E-8", 0, "0.00000001"),
        ("1.5E+3", 0, "1,500"),
        ("0.0", 0, "0.0"),
        ("7", 2, "7.00"),
    ],
)
def test_numbers_have_as_many_places_as_their_pair(ask: Ask, text: str, places: int, shown: str) -> None:
    assert ask("({decimal}, [text, places]) => decimal.grouped(text, places)", [text, places]) == shown


@each_time
@given(number=decimals, text=st.text(max_size=30))
def test_numbers_of_a_frame_stay_the_text_that_was_sent(ask: Ask, number: Decimal, text: str) -> None:
    note = f'{text}"open":1,"rev":2.50'

    parsed = ask(
        """({exact}, [number, note]) => exact.parseExact(
          `{"note":${JSON.stringify(note)},"timestamp":1606166220000,"open":${number},"rev":3406029140527872}`)""",
        [str(number), note],
    )

    assert parsed == {"note": note, "timestamp": 1606166220000, "open": str(number), "rev": "3406029140527872"}


series = st.fixed_dictionaries(
    {
        "exchange": st.sampled_from(["sim", "kraken"]),
        "pair": st.integers(0, 250).map(lambda number: f"P{number}-USD"),
        "interval": st.sampled_from(["1m", "5m"]),
        "snapshot": st.sampled_from([3, 60]),
        "maxRate": st.sampled_from([None, 1]),
    }
)
subscriptions = st.one_of(
    st.lists(series, max_size=12),
    st.just(
        [{"exchange": "sim", "pair": f"P{n}-USD", "interval": "5m", "snapshot": 3, "maxRate": 1} for n in range(230)]
    ),
)


def key(subscription: dict[str, Any]) -> str:
    return f"{subscription['exchange']}:{subscription['pair']}:{subscription['interval']}"


@each_time
@given(current=subscriptions, wanted=subscriptions)
def test_commands_lead_from_what_is_subscribed_to_what_is_wanted(
    ask: Ask, current: list[dict[str, Any]], wanted: list[dict[str, Any]]
) -> None:
    before = {key(each): each for each in current}
    after = {key(each): each for each in wanted}
    cursors = {name: f"epoch:{number}" for number, name in enumerate(after) if number % 2}

    commands = ask(
        """({subscriptions}, [before, after, cursors]) =>
          subscriptions.commands(...[before, after, cursors].map(each => new Map(Object.entries(each))))""",
        [before, after, cursors],
    )

    have = dict(before)
    for command in commands:
        params = command["params"]
        assert 1 <= len(params["pairs"]) <= 100
        for pair in params["pairs"]:
            name = f"{params['exchange']}:{pair}:{params['interval']}"
            if command["method"] == "unsubscribe":
                del have[name]
            else:
                assert params.get("cursors", {}).get(pair) == cursors.get(name)
                have[name] = {name: params.get(name) for name in ("exchange", "interval", "snapshot")} | {
                    "pair": pair,
                    "maxRate": params.get("max_rate"),
                }
    assert have.keys() == after.keys()
    # A longer snapshot than is wanted has been had already.
    assert all(
        have[name]["maxRate"] == each["maxRate"] and have[name]["snapshot"] >= each["snapshot"]
        for name, each in after.items()
    )
    assert commands == [] or before != after


NOW = 1_800_000_000_000
LINK = {"phase": "open", "retryAt": 0, "frameAt": NOW - 100, "askedAt": 0, "clockOffset": 0}
FEED = {"exchange": "sim", "feed": "live", "since": NOW - 60_000}
SERIES = {"heardAt": NOW - 1_000, "behindSince": 0, "isFollowed": True}


@pytest.mark.parametrize(
    ("link", "feed", "series", "state", "text"),
    [
        ({}, FEED, {}, "live", "Live"),
        ({}, FEED, {"heardAt": NOW - 61_000}, "live", "Live, quiet market"),
        ({"phase": "connecting"}, None, {"heardAt": 0}, "connecting", "Connecting"),
        ({}, None, {}, "connecting", "Connecting"),
        ({"phase": "waiting", "retryAt": NOW + 3_200}, FEED, {}, "reconnecting", "Reconnecting in 4 s"),
        ({"phase": "waiting", "retryAt": NOW - 1}, FEED, {}, "reconnecting", "Reconnecting"),
        ({"askedAt": NOW - 2_000}, FEED, {}, "live", "Live"),
        ({"askedAt": NOW - 3_000}, FEED, {}, "stale", "Stale: the server does not answer"),
        ({}, FEED, {"isFollowed": False}, "stale", "Stale: not followed any more"),
        ({}, FEED | {"feed": "down"}, {}, "stale", "Stale: not connected to sim"),
        ({}, FEED | {"feed": "stale"}, {}, "stale", "Stale: nothing heard from sim"),
        ({}, FEED | {"feed": "stale", "since": None}, {}, "stale", "Stale: sim was never heard of"),
        ({}, FEED, {"behindSince": NOW - 4_000}, "live", "Live"),
        ({}, FEED, {"behindSince": NOW - 6_000}, "stale", "Stale: live updates are behind history"),
    ],
)
def test_the_badge_tells_a_quiet_market_from_a_blind_page(
    ask: Ask, link: dict[str, Any], feed: Any, series: dict[str, Any], state: str, text: str
) -> None:
    said = ask("({verdict}, given) => verdict.verdict(...given)", [LINK | link, feed, SERIES | series, NOW])

    assert said == {"state": state, "text": text}


@each_time
@given(attempt=st.integers(0, 40), chance=st.floats(0, 1, exclude_max=True))
def test_attempts_to_connect_come_apart_and_never_far_apart(ask: Ask, attempt: int, chance: float) -> None:
    delay = ask("({backoff}, [attempt, chance]) => backoff.backoff(attempt, () => chance)", [attempt, chance])

    most = min(30_000, 500 * 2**attempt)
    assert most / 2 <= delay <= most


PAIRS = {"sim": ["BTC-USD", "ETH-EUR"], "kraken": ["ADA-USD"]}
INTERVALS = ["1m", "5m", "1d"]


@each_time
@given(
    where=st.sampled_from([(exchange, pair) for exchange, pairs in PAIRS.items() for pair in pairs]),
    interval=st.sampled_from(INTERVALS),
    theme=st.sampled_from(["auto", "light", "dark"]),
    view=st.sampled_from(["chart", "table"]),
)
def test_a_selection_survives_its_address(
    ask: Ask, where: tuple[str, str], interval: str, theme: str, view: str
) -> None:
    selected = {"exchange": where[0], "pair": where[1], "interval": interval, "theme": theme, "view": view}

    read = ask(
        "({selection}, [selected, ...known]) => selection.parse(selection.search(selected), ...known)",
        [selected, PAIRS, INTERVALS],
    )

    assert read == {"selection": selected, "notes": []}


def test_what_an_address_asks_in_vain_is_said(ask: Ask) -> None:
    read = ask(
        "({selection}, [search, ...known]) => selection.parse(search, ...known)",
        ["?exchange=kraken&pair=BTC-USD&interval=2m&utm=1", PAIRS, INTERVALS],
    )

    assert read == {
        "selection": {"exchange": "kraken", "pair": "ADA-USD", "interval": "1m", "theme": "auto", "view": "chart"},
        "notes": ["BTC-USD is no pair of kraken; this is ADA-USD.", "2m is no interval; this is 1m."],
    }
