"""What the dashboard missed is read again: its modules in a browser, history and live side played by the test."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Locator, Page, Route, WebSocketRoute, expect

from ingest.revision import make_rev
from tests.system.stack import Stack

MINUTE = 60_000
LOOK_MS = 5_000
#: Longer than until a refused command is looked at again, and than a connection may be quiet without a ping.
RETRY_MS, QUIET_MS = 1_600, 4_600
#: A live window of five candles: a minute's outage of twenty is a long one.
LIVE_WINDOW = 5
BEGIN = 1_800_000_000_000 // MINUTE * MINUTE
PROVISIONAL, FINAL = 2, 3


def candle(number: int, rank: int = FINAL) -> dict[str, Any]:
    """The candle of one minute; its rank stands for its state."""
    return {
        "timestamp": BEGIN + number * MINUTE,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), str(10_000 + number)),
        "state": "final" if rank == FINAL else "provisional",
        "minutes": 1,
        "rev": str(make_rev(rank, 1_800_000_000_000_000 + number)),
    }


@dataclass
class Store:
    """What /api/candles answers from, and what it was asked."""

    candles: dict[int, dict[str, Any]] = field(default_factory=dict)
    #: The beginning of each range that was asked for.
    repairs: list[int] = field(default_factory=list)

    def take(self, *candles: dict[str, Any]) -> None:
        """Store these versions."""
        self.candles |= {each["timestamp"]: each for each in candles}

    def times(self) -> list[int]:
        """All open times, ascending."""
        return sorted(self.candles)

    def answer(self, route: Route) -> None:
        """Answer as the REST server does: newest first, `next` where there is more."""
        query = {name: int(values[0]) for name, values in _numbers(route.request.url)}
        if "from" in query and "page" not in query:
            self.repairs.append(query["from"])
        times = [
            time
            for time in reversed(self.times())
            if query.get("from", 0) <= time <= query.get("to", time) and time < query.get("page", time + 1)
        ]
        page = times[: query["limit"]]
        body = {"candles": [self.candles[time] for time in page], "next": page[-1] if len(times) > len(page) else None}
        # Prices, volumes and revs are numbers on the wire.
        text = json.dumps(body)
        for name in ("open", "high", "low", "close", "volume", "rev"):
            text = _unquoted(text, name)
        route.fulfill(body=text.replace('": ', '":'), content_type="application/json")


def _numbers(url: str) -> list[tuple[str, list[str]]]:
    return [(name, values) for name, values in parse_qs(urlsplit(url).query).items() if values[0].isdigit()]


def _unquoted(text: str, name: str) -> str:
    parts = text.split(f'"{name}": "')
    return parts[0] + "".join(f'"{name}": {part.replace(chr(34), "", 1)}' for part in parts[1:])


@contextmanager
def opened_page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page whose clock the test sets, and which can load modules."""
    page = browser.new_page()
    page.clock.install(time=(BEGIN + MINUTE) / 1000)
    page.goto(f"{stack.rest_url}/status")
    yield page
    page.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """One for a test."""
    with opened_page(browser, stack) as page:
        yield page


class Follower:
    """One `Series` in a page, with a store that the test fills."""

    def __init__(self, page: Page, store: Store) -> None:
        self.page, self.store = page, store
        page.route("**/api/candles?*", store.answer)
        page.evaluate(
            """async ([minute, liveWindow]) => {
              const { Series } = await import("/static/data/series.js");
              window.series = new Series(
                {exchange: "sim", pair: "BTC-USD", interval: "1m"}, minute, liveWindow,
                {changed: () => {}, trouble: () => {}});
            }""",
            [MINUTE, LIVE_WINDOW],
        )

    def start(self) -> None:
        """Begin to read history."""
        self.page.evaluate("() => series.start()")

    def hear(self, *candles: dict[str, Any]) -> None:
        """Tell it candles as the live side would, ascending; none: an answer that says that it is there."""
        self.page.evaluate("candles => series.receive(candles, 0)", list(candles))

    def hear_hole(self, begin: int, end: int) -> None:
        """Tell it what the live side says that it cannot make up for."""
        self.page.evaluate("([begin, end]) => series.repair(begin, end)", [begin, end])

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass at once: every timer fires once at most, as after a sleep."""
        self.page.clock.fast_forward(milliseconds)

    def wait_until_asked(self, count: int) -> None:
        """Let time pass until a range has been asked for so many times."""
        for _ in range(2 * count + 20):
            if len(self.store.repairs) >= count:
                return
            self.look_again()
        raise AssertionError(f"asked {len(self.store.repairs)} times instead of {count}")

    def look_again(self) -> None:
        """Let the time of one look pass while the live side is there, and what was asked then be answered."""
        self.hear()
        self.pass_time(LOOK_MS)
        # Requests are answered in the order in which they were made.
        self.page.evaluate("() => fetch('/livez')")

    def wait_for(self, candles: dict[int, dict[str, Any]], *, looking: bool = False) -> None:
        """Wait until it has exactly these; ``looking``: let time pass meanwhile."""
        expected = {str(time): each["rev"] for time, each in candles.items()}
        test = """expected => {
          const held = Object.fromEntries(series.book.all().map(each => [each.timestamp, each.rev]));
          return Object.keys(held).length === Object.keys(expected).length
            && Object.entries(expected).every(([time, rev]) => held[time] === rev);
        }"""
        for _ in range(20 if looking else 0):
            if self.page.evaluate(test, expected):
                return
            self.look_again()
        self.page.wait_for_function(test, arg=expected, polling=20, timeout=15_000)


def following_fifty(page: Page) -> tuple[Store, Follower]:
    """A store of fifty final candles, and a series that has read them."""
    store = Store()
    store.take(*(candle(number) for number in range(50)))
    follower = Follower(page, store)
    follower.start()
    follower.wait_for(store.candles)
    return store, follower


def test_after_a_sleep_and_a_restart_of_the_server_nothing_is_missing(page: Page) -> None:
    store = Store()
    store.take(*(candle(number, PROVISIONAL) for number in range(50)))
    follower = Follower(page, store)
    follower.start()
    follower.wait_for(store.candles)
    follower.hear(*(candle(number, PROVISIONAL) for number in range(45, 50)))
    # Meanwhile: three hours, and what was not proven complete has been.
    store.take(*(candle(number) for number in range(45, 230)))

    # History is looked at before the connection is back.
    follower.pass_time(180 * MINUTE)
    page.wait_for_function("time => series.book.get(time)", arg=BEGIN + 229 * MINUTE, polling=20)
    follower.hear()
    follower.hear_hole(0, BEGIN + 224 * MINUTE)
    follower.hear(*(candle(number) for number in range(225, 230)))

    follower.wait_for(store.candles)


def test_a_look_alone_leaves_no_hole_after_a_sleep(page: Page) -> None:
    store, follower = following_fifty(page)
    follower.hear(candle(49))
    store.take(*(candle(number) for number in range(50, 230)))

    follower.pass_time(180 * MINUTE)

    follower.wait_for(store.candles)


def test_versions_that_came_while_the_live_side_was_away_are_read(page: Page) -> None:
    store, follower = following_fifty(page)
    follower.hear(candle(49))
    for number in range(50, 70):
        store.take(candle(number, PROVISIONAL))
        follower.pass_time(MINUTE)
        page.wait_for_function("time => series.book.get(time)", arg=BEGIN + number * MINUTE, polling=20)

    store.take(*(candle(number) for number in range(50, 70)))
    follower.hear()
    follower.hear_hole(0, BEGIN + 64 * MINUTE)
    follower.hear(*(candle(number) for number in range(65, 70)))

    follower.wait_for(store.candles)


@pytest.mark.parametrize("stored", [50, 0], ids=["hours-behind", "empty"])
@pytest.mark.parametrize("is_history_first", [True, False], ids=["history-first", "snapshot-first"])
def test_what_history_has_not_yet_is_asked_for_until_it_has_it(
    page: Page, stored: int, *, is_history_first: bool
) -> None:
    store = Store()
    store.take(*(candle(number) for number in range(stored)))
    follower = Follower(page, store)
    snapshot = [candle(number) for number in range(225, 230)]
    if is_history_first:
        follower.start()
        follower.wait_for(store.candles)
        follower.hear(*snapshot)
    else:
        follower.hear(*snapshot)
        follower.start()

    # It catches up, while nobody does anything.
    if stored:
        follower.wait_until_asked(3)
    store.take(*(candle(number) for number in range(150)))
    follower.wait_until_asked(len(store.repairs) + 2)
    store.take(*(candle(number) for number in range(150, 230)))
    follower.wait_for(store.candles, looking=True)

    # What has been read is not asked for again.
    asked = list(store.repairs)
    for _ in range(3):
        follower.look_again()
    assert store.repairs == asked


def test_what_history_never_has_is_not_asked_for_for_ever(page: Page) -> None:
    store, follower = following_fifty(page)
    follower.hear(candle(230))

    follower.wait_until_asked(100)
    for _ in range(100):
        follower.look_again()

    # Ten minutes at a look every five seconds.
    assert 115 <= len(store.repairs) <= 125


def test_a_long_hole_is_read_whole(page: Page) -> None:
    store, follower = following_fifty(page)
    follower.hear(candle(49))

    # More than twenty pages.
    store.take(*(candle(number) for number in range(50, 13_000)))
    follower.hear(candle(12_999))

    follower.wait_for(store.candles)


PAIRS = ("BTC-USD", "ETH-EUR", "SOL-USD")


class Server:
    """A WebSocket server that refuses commands when it is told to, and knows what is subscribed to."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, int] = {}
        #: Whether to refuse what comes next, one after the other; what comes after these is taken.
        self.refusals: list[bool] = []
        self.taken: list[tuple[str, str]] = []

    def connect(self, socket: WebSocketRoute) -> None:
        """Serve a connection."""
        socket.on_message(lambda text: self._command(socket, json.loads(text)))

    def _command(self, socket: WebSocketRoute, command: dict[str, Any]) -> None:
        def answer(**body: Any) -> None:
            socket.send(json.dumps({"id": command["id"], **body}))

        if self.refusals and self.refusals.pop(0):
            answer(error={"code": "rate_limited", "message": "Too many commands."})
        elif command["method"] == "ping":
            answer(result={"time": BEGIN})
        else:
            params = command["params"]
            for pair in params["pairs"]:
                self.taken.append((command["method"], pair))
                if command["method"] == "subscribe":
                    self.subscriptions[pair] = params["snapshot"]
                else:
                    self.subscriptions.pop(pair, None)
                answer(result={"exchange": params["exchange"], "pair": pair, "interval": params["interval"]})


class Subscriber:
    """One `Live` in a page, connected to a server."""

    def __init__(self, page: Page, stack: Stack, server: Server) -> None:
        self.page, self.server = page, server
        # The page itself asks the real one.
        url = f"{stack.ws_url}/played"
        page.route_web_socket(url, server.connect)
        page.evaluate(
            """async url => {
              const { Live } = await import("/static/data/live.js");
              window.refused = [];
              const nothing = () => {};
              window.live = new Live(url, {candles: nothing, hole: nothing, status: nothing, changed: nothing,
                refused: message => refused.push(message)});
              live.start();
            }""",
            url,
        )
        page.wait_for_function("() => live.facts.phase === 'open' && !live.facts.askedAt", polling=20)

    def want(self, wanted: dict[str, int]) -> None:
        """Be subscribed to these pairs, with snapshots of so many candles."""
        subscriptions = [
            {"exchange": "sim", "pair": pair, "interval": "1m", "snapshot": snapshot, "maxRate": None}
            for pair, snapshot in wanted.items()
        ]
        self.page.evaluate("wanted => live.want(wanted)", subscriptions)

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, and what was sent then be answered."""
        self.page.clock.fast_forward(milliseconds)
        self.page.evaluate("() => fetch('/livez')")


wishes = st.lists(st.dictionaries(st.sampled_from(PAIRS), st.sampled_from([3, 60])), min_size=1, max_size=8)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=wishes, refusals=st.lists(st.booleans(), max_size=16), pauses=st.lists(st.booleans(), max_size=8))
@example(wishes=[{"BTC-USD": 60}, {"ETH-EUR": 60}], refusals=[True], pauses=[])
@example(wishes=[{"BTC-USD": 60}, {}, {"BTC-USD": 60}], refusals=[False, True], pauses=[])
def test_refused_commands_end_in_what_is_wanted(
    browser: Browser, stack: Stack, wishes: list[dict[str, int]], refusals: list[bool], pauses: list[bool]
) -> None:
    with opened_page(browser, stack) as page:
        server = Server()
        subscriber = Subscriber(page, stack, server)
        server.refusals = list(refusals)
        for number, wanted in enumerate(wishes):
            subscriber.want(wanted)
            if number < len(pauses) and pauses[number]:
                subscriber.pass_time(RETRY_MS)
        page.evaluate("() => fetch('/livez')")
        server.taken.clear()

        # Each repetition may be refused again.
        for _ in range(len(refusals) + 1):
            subscriber.pass_time(RETRY_MS)

        # Whoever got a longer snapshot than is wanted has been served.
        assert server.subscriptions.keys() == wishes[-1].keys()
        assert all(server.subscriptions[pair] >= snapshot for pair, snapshot in wishes[-1].items())
        # Nothing was repeated that nobody wanted any more.
        assert all((method == "subscribe") == (pair in wishes[-1]) for method, pair in server.taken)
        assert page.evaluate("() => refused") == []


def test_commands_of_many_choices_are_repeated_together(page: Page, stack: Stack) -> None:
    server = Server()
    subscriber = Subscriber(page, stack, server)
    server.refusals = [True] * 60

    # As whoever holds a key down in the list of pairs.
    for number in range(30):
        subscriber.want({f"P{number}-USD": 60})
    page.evaluate("() => fetch('/livez')")
    server.refusals.clear()
    subscriber.pass_time(RETRY_MS)
    subscriber.pass_time(RETRY_MS)

    assert server.subscriptions == {"P29-USD": 60}
    assert [pair for method, pair in server.taken if method == "subscribe"] == ["P29-USD"]
    assert page.evaluate("() => refused") == []


def test_a_refused_ping_says_nothing(page: Page, stack: Stack) -> None:
    server = Server()
    subscriber = Subscriber(page, stack, server)
    server.refusals = [True]

    subscriber.pass_time(QUIET_MS)
    page.wait_for_function("() => !live.facts.askedAt", polling=20)

    assert server.refusals == []
    assert page.evaluate("() => refused") == []


def five_minutes(number: int) -> dict[str, Any]:
    """The candle of five minutes that opens so many times five minutes after the beginning."""
    return candle(5 * number)


def overview_of(page: Page, stores: dict[str, Store], followed: Sequence[str]) -> Locator:
    """An overview of pairs of the simulated exchange, which are all stored; returns its cards."""
    page.route("**/api/candles?*", lambda route: stores[_pair(route.request.url)].answer(route))
    known = [{"exchange": "sim", "pair": pair, "interval": "5m", "earliest": 0, "newest": 0} for pair in stores]
    page.route("**/api/pairs", lambda route: route.fulfill(json=known))
    page.evaluate(
        """async followed => {
          const { config } = await import("/static/config.js");
          for (const exchange of Object.keys(config.pairs)) delete config.pairs[exchange];
          config.pairs.sim = followed;
          const { Overview } = await import("/static/view/overview.js");
          const { Watched } = await import("/static/watched.js");
          const list = document.createElement("ul");
          list.id = "cards";
          list.className = "overview";
          document.body.append(list);
          window.watched = new Watched(new Overview(list, () => {}), () => Date.now(), () => {});
          watched.addFollowed();
          await watched.addStored();
          await watched.read();
        }""",
        list(followed),
    )
    return page.locator("#cards a")


def _pair(url: str) -> str:
    return parse_qs(urlsplit(url).query)["pair"][0]


def test_a_card_whose_newest_candle_is_old_says_so_and_its_day_ends_now(page: Page) -> None:
    store = Store()
    store.take(*(five_minutes(number) for number in range(-400, 1)))
    card = overview_of(page, {"BTC-USD": store}, ["BTC-USD"])
    price, change, age = card.locator(".last"), card.locator(".change"), card.locator(".age")
    expect(card).not_to_have_attribute("data-old", "")
    expect(age).to_be_hidden()
    expect(change).to_have_text(f"▲ +{(10_000 / (10_000 - 287 * 5) - 1) * 100:.2f} %")

    page.clock.fast_forward(25 * MINUTE)
    page.evaluate("() => watched.refresh(1)")
    expect(card).to_have_attribute("data-old", "")
    expect(age).to_have_text("21 min old")
    expect(change).to_have_text(f"▲ +{(10_000 / (10_000 - 282 * 5) - 1) * 100:.2f} %")
    page.clock.fast_forward(72 * 60 * MINUTE)
    page.evaluate("() => watched.refresh(1)")

    expect(age).to_have_text("3 d old")
    expect(change).to_have_text("")
    expect(price).to_have_text("10,000")


def test_a_card_says_that_its_pair_is_not_followed(page: Page) -> None:
    followed, left = Store(), Store()
    followed.take(five_minutes(0))
    left.take(five_minutes(-30 * 288))
    cards = overview_of(page, {"LTC-USD": left, "BTC-USD": followed}, ["BTC-USD"])

    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("BTC-USD")
    expect(cards.nth(0).locator(".age")).to_be_hidden()
    expect(cards.nth(1)).to_contain_text("LTC-USD")
    expect(cards.nth(1)).to_have_attribute("data-old", "")
    expect(cards.nth(1).locator(".age")).to_have_text("not followed, 30 d old")
    expect(cards.nth(1).locator(".change")).to_have_text("")


def test_pairs_without_a_subscription_are_read_again(page: Page) -> None:
    stores = {pair: Store() for pair in ("BTC-USD", "ETH-EUR", "LTC-USD")}
    for store in stores.values():
        store.take(five_minutes(0))
    cards = overview_of(page, stores, ["BTC-USD", "ETH-EUR"])
    for store in stores.values():
        store.take(five_minutes(1))

    page.evaluate("() => watched.refresh(1)")

    # The first is subscribed to, and the last not followed.
    expect(cards.locator(".last")).to_have_text(["10,000", "10,005", "10,000"])
    assert [len(store.repairs) for store in stores.values()] == [0, 1, 0]


def test_a_pair_whose_first_candle_comes_later_is_read_then(page: Page) -> None:
    store = Store()
    card = overview_of(page, {"BTC-USD": store}, ["BTC-USD"])
    store.take(*(five_minutes(number) for number in range(-10, 1)))

    page.evaluate("() => watched.refresh(1)")

    expect(card.locator(".last")).to_have_text("10,000")
    expect(card.locator(".change")).to_have_text(f"▲ +{(10_000 / 9_950 - 1) * 100:.2f} %")
