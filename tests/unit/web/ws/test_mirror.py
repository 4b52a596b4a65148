"""What one process holds of a series' window."""

from collections.abc import Iterable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.candle import Candle
from tests.conftest import minute
from tests.unit.web.ws.live_values import BTC, version, window
from web.ws.cursors import Memory
from web.ws.messages import Fetch
from web.ws.mirror import Change, Mirror
from web.ws.stream import Cursor, Stream
from workers.live import Window

NOW_MS = minute(50) + 30_000


class Pair:
    """Stream and mirror together, as a series that is served has them."""

    def __init__(self, size: int = 60, memory: Memory | None = None) -> None:
        self.stream = Stream(BTC)
        self.mirror = Mirror(BTC, size, memory or Memory())

    def load(self, read: Window) -> tuple[list[Change], Fetch | None]:
        self.stream.load(read)
        return self.mirror.load(read, self.stream.cursor, NOW_MS)

    def receive(self, seq: int, candle: Candle, epoch: str = "a") -> list[Change]:
        self.stream.receive((epoch, seq), candle)
        return self.mirror.receive((epoch, seq), candle, self.stream.cursor)


def told(changes: Iterable[Change]) -> list[tuple[Candle, Cursor | None]]:
    return [(change.candle, change.cursor) for change in changes]


def fetch(first: int, last: int) -> Fetch:
    return Fetch("sim", "BTC-USD", "1m", minute(first), minute(last))


def everything() -> Fetch:
    return Fetch("sim", "BTC-USD", "1m", 0, minute(50))


def test_a_change_is_told_with_the_cursor_it_leads_to() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0))))

    changes = pair.receive(11, version(0, 2)) + pair.receive(12, version(1))

    assert told(changes) == [(version(0, 2), ("a", 11)), (version(1), ("a", 12))]


def test_older_minutes_are_told_as_well_and_older_versions_are_not() -> None:
    pair = Pair()
    pair.load(window(10, (9, version(0, 5)), (10, version(1))))

    changes = pair.receive(11, version(0, 6)) + pair.receive(12, version(0, 4)) + pair.receive(13, version(0, 6))

    assert told(changes) == [(version(0, 6), ("a", 11))]


def test_what_comes_after_a_missing_message_does_not_move_the_cursor_past_it() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0))))

    at_once = pair.receive(12, version(1))
    from_the_window, gap = pair.load(window(12, (11, version(0, 2)), (12, version(1))))

    assert told(at_once) == [(version(1), ("a", 10))]
    assert (told(from_the_window), gap) == ([(version(0, 2), ("a", 11))], None)
    assert pair.mirror.cursor == ("a", 12)


def test_a_window_tells_what_changed_in_the_order_of_the_changes() -> None:
    pair = Pair()
    pair.load(window(10, (9, version(0)), (10, version(1))))

    changes, gap = pair.load(window(14, (14, version(0, 2)), (12, version(1, 2)), (13, version(2))))

    assert told(changes) == [
        (version(1, 2), ("a", 12)),
        (version(2), ("a", 13)),
        (version(0, 2), ("a", 14)),
    ]
    assert gap is None


def test_a_frame_is_made_once() -> None:
    change = Change(version(0), ("5f3a9c", 813))

    assert change.frame is change.frame
    assert change.frame[4:] == (
        b'{"type":"candle","exchange":"sim","pair":"BTC-USD","interval":"1m","cursor":"5f3a9c:813","candle":'
        b'{"timestamp":1606166220000,"open":18383.38,"high":18385.85,"low":18376.035,"close":18382.06,"volume":1,'
        b'"state":"open","rev":%d}}' % version(0).rev
    )


# -- cursors --------------------------------------------------------------------------------------------------------


def test_a_cursor_brings_each_candle_that_changed_since_once() -> None:
    pair = Pair()
    pair.load(window(10, (8, version(0)), (9, version(1)), (10, version(2))))
    pair.receive(11, version(2, 2))

    resumption = pair.mirror.resume(("a", 8), NOW_MS)

    assert (resumption.recovered, told(resumption.changes)) == (
        True,
        [(version(1), ("a", 9)), (version(2, 2), ("a", 11))],
    )


def test_a_cursor_at_the_end_brings_nothing() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0))))

    assert pair.mirror.resume(("a", 10), NOW_MS) == (True, [], None)


def test_the_floor_itself_is_not_below_the_floor() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0)), floor=7))

    assert [pair.mirror.resume(("a", seq), NOW_MS).recovered for seq in (6, 7)] == [False, True]


def test_trimming_raises_the_floor() -> None:
    pair = Pair(size=2)
    pair.load(window(10, (9, version(0)), (10, version(1))))

    pair.receive(11, version(2))

    assert [pair.mirror.resume(("a", seq), NOW_MS).recovered for seq in (8, 9)] == [False, True]
    assert pair.mirror.newest(10, []) == [version(1), version(2)]


def test_another_epoch_or_a_number_not_reached_cannot_be_recovered() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0))))

    assert [pair.mirror.resume(cursor, NOW_MS).recovered for cursor in (("b", 9), ("a", 11), None)] == [False] * 3
    assert [pair.mirror.is_behind(cursor) for cursor in (("b", 90), ("a", 11), ("a", 10))] == [False, True, False]


def test_before_anything_is_known_nothing_is_recovered() -> None:
    assert Pair().mirror.resume(("a", 1), NOW_MS) == (False, [], everything())


def test_what_may_be_missing_begins_where_the_window_began_at_the_cursor() -> None:
    pair = Pair(size=2)
    pair.load(window(10, (9, version(0)), (10, version(1))))
    for number in range(2, 7):
        pair.receive(9 + number, version(number))

    first, second = pair.mirror.resume(("a", 10), NOW_MS), pair.mirror.resume(("a", 3), NOW_MS)

    assert (first.recovered, first.fetch) == (False, fetch(0, 4))
    assert (second.recovered, second.fetch) == (False, Fetch("sim", "BTC-USD", "1m", 0, minute(4)))


# -- what is missing ------------------------------------------------------------------------------------------------


def test_a_server_that_was_emptied_leaves_a_gap_up_to_what_it_holds_again() -> None:
    pair = Pair()
    pair.load(window(800, *((790 + number, version(number)) for number in range(10))))
    pair.stream.check(("a", 800))
    pair.stream.check(("a", 1))

    changes, gap = pair.load(window(1, (1, version(10))))

    assert told(changes) == [(version(10), ("a", 1))]
    assert gap == fetch(0, 50)
    assert pair.mirror.resume(("a", 800), NOW_MS) == (False, [], everything())


def test_another_epoch_may_hold_an_older_copy_so_everything_since_may_be_missing() -> None:
    pair = Pair()
    pair.load(window(10, (9, version(0)), (10, version(1))))

    changes, gap = pair.load(window(12, (9, version(0)), (11, version(1, 2)), (12, version(2)), epoch="b"))

    assert told(changes) == [(version(1, 2), ("b", 11)), (version(2), ("b", 12))]
    assert gap == fetch(0, 50)
    assert told(pair.mirror.resume(("b", 9), NOW_MS).changes) == told(changes)


def test_a_new_epoch_remembers_what_cursors_of_the_old_one_lack() -> None:
    memory = Memory()
    pair = Pair(memory=memory)
    pair.load(window(10, (9, version(3)), (10, version(4))))
    pair.load(window(1, (1, version(9)), epoch="b"))

    again = Pair(memory=memory)  # nobody wanted the series for a while
    again.load(window(1, (1, version(9)), epoch="b"))

    assert again.mirror.resume(("a", 10), NOW_MS) == (False, [], fetch(3, 50))


def test_numbers_missed_beyond_the_floor_leave_a_gap() -> None:
    pair = Pair(size=3)
    pair.load(window(10, (9, version(0)), (10, version(1))))

    _, gap = pair.load(window(30, (28, version(7)), (29, version(8)), (30, version(9)), floor=27))

    assert gap == fetch(0, 6)


def test_a_window_read_before_a_message_breaks_nothing() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0))))
    pair.receive(11, version(0, 2))

    changes, gap = pair.load(window(10, (10, version(0))))

    assert (changes, gap, pair.mirror.cursor) == ([], None, ("a", 11))
    assert told(pair.mirror.resume(("a", 10), NOW_MS).changes) == [(version(0, 2), ("a", 11))]


def test_a_restored_older_copy_takes_nothing_back() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0, 5))))

    changes, _ = pair.load(window(3, (3, version(0, 4)), epoch="b"))

    assert (changes, pair.mirror.newest(1, [])) == ([], [version(0, 5)])


# -- snapshots ------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_overlaid_with_what_is_held_the_newer_version_wins() -> None:
    pair = Pair()
    pair.load(window(10, (9, version(2, 5)), (10, version(3))))

    candles = pair.mirror.newest(4, [version(3, 9), version(2, 4), version(1), version(0), version(-1)])

    assert candles == [version(0), version(1), version(2, 5), version(3, 9)]


def test_only_what_cannot_lack_changes_counts_as_complete() -> None:
    pair = Pair()
    pair.load(window(10, (9, version(0)), (10, version(1))))
    counts = [pair.mirror.complete_count]
    pair.load(window(1, (1, version(50)), epoch="b"))
    counts.append(pair.mirror.complete_count)
    pair.receive(2, version(51), epoch="b")
    counts.append(pair.mirror.complete_count)

    assert (counts, pair.mirror.count) == ([2, 0, 1], 4)


def test_a_snapshot_is_encoded_once_until_something_changes() -> None:
    pair = Pair()
    pair.load(window(10, (10, version(0))))

    first = pair.mirror.snapshot(5)
    again = pair.mirror.snapshot(5)
    pair.receive(11, version(0, 2))

    assert first is again
    assert msgspec.json.decode(pair.mirror.snapshot(5))["cursor"] == "a:11"


# -- whatever happens -----------------------------------------------------------------------------------------------


class Server:
    """The live side's script, as far as one series is concerned."""

    def __init__(self, size: int) -> None:
        self.size, self.epoch, self.seq, self.floor = size, 0, 0, 0
        self.held: dict[int, tuple[int, Candle]] = {}

    def publish(self, candle: Candle) -> int | None:
        held = self.held.get(candle.timestamp)
        if held is not None and held[1].rev >= candle.rev:
            return None
        if held is None and len(self.held) >= self.size and candle.timestamp < min(self.held):
            return None
        self.seq += 1
        self.held[candle.timestamp] = self.seq, candle
        while len(self.held) > self.size:
            self.floor = max(self.floor, self.held.pop(min(self.held))[0])
        return self.seq

    def empty(self) -> None:
        self.epoch, self.seq, self.floor, self.held = self.epoch + 1, 0, 0, {}

    def window(self) -> Window:
        return window(
            self.seq, *(self.held[each] for each in sorted(self.held)), epoch=str(self.epoch), floor=self.floor
        )


steps = st.lists(
    st.tuples(st.sampled_from(["hear", "hear", "hear", "miss", "empty"]), st.integers(0, 6), st.integers(1, 9)),
    max_size=40,
)


@settings(max_examples=150)
@given(steps, st.integers(1, 4), st.lists(st.booleans(), max_size=80))
def test_a_client_that_stops_anywhere_and_resumes_has_everything_or_is_told_what_to_fetch(
    happened: list[tuple[str, int, int]], size: int, cuts: list[bool]
) -> None:
    server, memory = Server(size), Memory()
    pair = Pair(size, memory)
    truth: dict[int, Candle] = {}
    client: dict[int, Candle] = {}
    cursor: Cursor | None = None
    is_connected, cut = False, iter(cuts)

    def give(change: Change) -> None:
        nonlocal cursor, is_connected
        if is_connected and next(cut, False):
            is_connected = False
        if is_connected:
            take(change.candle)
            cursor = change.cursor or cursor

    def take(candle: Candle) -> None:
        if candle.timestamp not in client or client[candle.timestamp].rev < candle.rev:
            client[candle.timestamp] = candle

    def go_and_fetch(missing: Fetch | None) -> None:
        for timestamp, candle in truth.items():
            if missing is not None and missing.from_ <= timestamp <= missing.to:
                take(candle)

    def resume() -> None:
        nonlocal cursor, is_connected
        resumption = pair.mirror.resume(cursor, NOW_MS)
        is_connected = True
        if resumption.recovered:
            for change in resumption.changes:
                give(change)
            return
        go_and_fetch(resumption.fetch)
        for candle in pair.mirror.newest(pair.mirror.count, []):
            take(candle)
        cursor = pair.mirror.cursor

    def load() -> None:
        changes, gap = pair.load(server.window())
        if is_connected:
            go_and_fetch(gap)
        for change in changes:
            give(change)

    for kind, number, change_number in happened:
        if kind == "empty":
            server.empty()
            continue
        candle = version(number, change_number)
        if kind == "miss" and candle.timestamp < min([*server.held, pair.mirror._oldest or 0]):
            continue  # a window that reaches back unheard and is lost at once: nobody can know
        seq = server.publish(candle)
        if seq is None:
            continue
        truth[candle.timestamp] = max(candle, truth.get(candle.timestamp, candle), key=lambda each: each.rev)
        if kind == "hear":
            _, is_missing = pair.stream.receive((str(server.epoch), seq), candle)
            changes = pair.mirror.receive((str(server.epoch), seq), candle, pair.stream.cursor)
            for change in changes:
                give(change)
            if is_missing or not pair.stream.loaded:
                load()
            if not is_connected:
                resume()
    if server.held:
        load()
        while not is_connected:
            resume()

        assert client == truth
