"""Each checker holds on good evidence and fails on evidence with one planted violation."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from ingest.candle import State
from ingest.codec import encode_candle
from tests.chaos.checkers import CHECKERS
from tests.chaos.evidence import Evidence, StoredCandle
from tests.conftest import minute
from tests.unit.chaos.evidence_of_a_good_run import (
    BEGAN_AT,
    MINUTES,
    UPDATES,
    Plant,
    all_versions,
    close_of,
    follow_minutes,
    good_evidence,
    key_of,
    letter,
    line,
    record,
    version,
    with_record,
    write_log,
)

FINAL_OF_0 = 3
POISON = len(all_versions())


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return good_evidence(tmp_path)


def reports(evidence: Evidence) -> dict[str, int]:
    """How many violations each checker reports, those that report none left out."""
    return {name: len(found) for name, checker in CHECKERS.items() if (found := checker(evidence))}


def test_every_checker_holds_on_good_evidence(evidence: Evidence) -> None:
    assert {name: checker(evidence) for name, checker in CHECKERS.items()} == {key: [] for key in CHECKERS}


def test_every_checker_says_in_its_first_sentence_what_it_proves() -> None:
    openings = {name: (checker.__doc__ or "").partition(":")[0] for name, checker in CHECKERS.items()}

    assert openings == {name: name for name in CHECKERS}


# -- I1 ---------------------------------------------------------------------------------------------------------------


def lose_a_candle(evidence: Evidence) -> None:
    del evidence.stored[key_of(2)]
    evidence.documents -= 1


def store_an_older_version(evidence: Evidence) -> None:
    older = version(2, 0)
    evidence.stored[key_of(2)] = StoredCandle(older.rev, older.state.value, older.values)


def store_other_values(evidence: Evidence) -> None:
    held = evidence.stored[key_of(2)]
    evidence.stored[key_of(2)] = replace(held, values=(*held.values[:4], Decimal("0.002186")))


def store_another_state(evidence: Evidence) -> None:
    evidence.stored[key_of(2)] = replace(evidence.stored[key_of(2)], state="provisional")


def store_what_kafka_never_had(evidence: Evidence) -> None:
    evidence.stored["sim", "ETH-USD", minute(0)] = evidence.stored[key_of(0)]
    evidence.documents += 1


def store_a_twin(evidence: Evidence) -> None:
    evidence.documents += 1


def write_two_versions_with_one_rev(evidence: Evidence) -> None:
    twin = structs.replace(version(0, UPDATES - 1, State.FINAL), volume=Decimal("0.5"))
    evidence.acknowledged.append(record(encode_candle(twin), POISON + 1))


def drop_a_dead_letter(evidence: Evidence) -> None:
    evidence.acknowledged.append(record(b"\xff\xfe", POISON + 1))


def bury_a_good_candle(evidence: Evidence) -> None:
    # One older than what is stored, so that the store is right all the same.
    older = encode_candle(structs.replace(version(0, 0), rev=version(0, 0).rev - 1))
    evidence.acknowledged.append(record(older, POISON + 1))
    evidence.dead_letters.append(letter(older, POISON + 1))
    evidence.metrics['bridge-persist:bridge_dead_letters_total{bridge="persist"}'] = 2


@pytest.mark.parametrize(
    "plant",
    [
        lose_a_candle,
        store_an_older_version,
        store_other_values,
        store_another_state,
        store_what_kafka_never_had,
        store_a_twin,
        write_two_versions_with_one_rev,
        drop_a_dead_letter,
        bury_a_good_candle,
    ],
)
def test_i1_reports_a_store_that_differs_from_kafka(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)
    follow_minutes(evidence)

    assert reports(evidence) == {"I1": 1}


def test_i1_lets_a_deleted_topic_take_its_last_moments_with_it(evidence: Evidence) -> None:
    # The last two versions of the last minute came a second and two before the topic was deleted.
    first_of_last = version(MINUTES - 1, 0)
    evidence.stored[key_of(MINUTES - 1)] = StoredCandle(
        first_of_last.rev, first_of_last.state.value, first_of_last.values
    )
    with_record(evidence, POISON, incarnation="second")
    evidence.recreated = True

    assert CHECKERS["I1"](evidence) == []


def test_i1_does_not_let_a_deleted_topic_take_what_was_in_it_for_long(evidence: Evidence) -> None:
    store_an_older_version(evidence)
    with_record(evidence, POISON, incarnation="second")
    evidence.recreated = True

    assert len(CHECKERS["I1"](evidence)) == 1


# -- I2 ---------------------------------------------------------------------------------------------------------------


def test_i2_reports_a_commit_above_a_row_without_effect(evidence: Evidence) -> None:
    evidence.commits[0] = replace(evidence.commits[0], committed=5)

    assert reports(evidence) == {"I2": 1}


# -- I3 ---------------------------------------------------------------------------------------------------------------


def without_the_last_frame_of_2_in_kafka(evidence: Evidence) -> None:
    """The exchange sent one more update of minute 2 than Kafka has."""
    updates = [version(number, update) for number in range(MINUTES) for update in range(UPDATES)]
    updates.insert(3 * UPDATES, version(2, UPDATES))
    write_log(evidence.sim_log, updates)


def gap(begin: int, end: int) -> dict[str, object]:
    return {"exchange": "sim", "event": "gap", "pairs": ["BTC-USD"], "from": begin, "to": end}


def lost(number: int) -> dict[str, object]:
    return {"exchange": "sim", "event": "lost", "series": "sim|BTC-USD|1m", "timestamp": minute(number)}


def test_i3_reports_a_frame_that_nobody_knows_of(evidence: Evidence) -> None:
    without_the_last_frame_of_2_in_kafka(evidence)

    assert reports(evidence) == {"I3": 1}


def test_i3_takes_a_later_frame_in_kafka_for_what_superseded_earlier_ones(evidence: Evidence) -> None:
    # Minute 0 loses its first two updates, and its third and the final version stay.
    del evidence.acknowledged[:2]

    assert CHECKERS["I3"](evidence) == []


@pytest.mark.parametrize(
    ("event", "covered"),
    [
        (gap(minute(2) + 30_000, minute(3)), True),
        (gap(minute(1) + 59_000, minute(2) + 1), True),
        (gap(minute(3), minute(4)), False),
        (gap(minute(1), minute(2)), False),
        (gap(minute(2), minute(3)) | {"pairs": ["ETH-USD"]}, False),
        (gap(minute(2), minute(3)) | {"exchange": "kraken"}, False),
        (lost(2), True),
        (lost(3), False),
    ],
)
def test_i3_asks_gaps_and_losses_in_the_time_of_the_exchange(
    evidence: Evidence, event: dict[str, object], covered: bool
) -> None:
    without_the_last_frame_of_2_in_kafka(evidence)
    evidence.events.append(event)

    assert (CHECKERS["I3"](evidence) == []) is covered


@pytest.mark.parametrize(
    ("symbol", "price"),
    [
        ("BTC-USD", [minute(2), 2, 1, 4, 3, 5]),
        ("BTC-USD", [minute(2), -2, 4, 1, 3, 5]),
        ("BTC-USD", [minute(2) * 2, 2, 4, 1, 3, 5]),
        ("BTC-USD", [minute(2), "two", None]),
        ("DOGE-USD", [minute(2), 2, 4, 1, 3, 5]),
    ],
)
def test_i3_counts_no_frame_that_cannot_be_a_candle_or_was_not_asked_for(
    evidence: Evidence, symbol: str, price: list[object]
) -> None:
    garbage = {"seqnum": 99, "event": "updated", "channel": "prices", "symbol": symbol, "price": price}
    with evidence.sim_log.open("a") as log:
        entry = {"at": minute(MINUTES), "connection": 1, "exchange": "blockchain", "frame": garbage}
        log.write(json.dumps(entry) + "\n")

    assert CHECKERS["I3"](evidence) == []


@pytest.mark.parametrize(("until", "is_open"), [(minute(3) - 1, True), (minute(3), False)])
def test_i3_leaves_open_what_came_in_or_after_the_minute_of_the_last_beat(
    evidence: Evidence, until: int, is_open: bool
) -> None:
    without_the_last_frame_of_2_in_kafka(evidence)
    evidence.events[-1]["until"] = until

    assert (CHECKERS["I3"](evidence) == []) is is_open


# -- I4 ---------------------------------------------------------------------------------------------------------------


def show_an_older_version(evidence: Evidence) -> None:
    evidence.clients[0].frames.insert(2, (BEGAN_AT + 1.6, line(version(0, 0))))


def show_an_older_minute(evidence: Evidence) -> None:
    evidence.clients[0].frames.insert(4, (BEGAN_AT + 4.6, line(version(0, 2))))


def show_what_kafka_never_had(evidence: Evidence) -> None:
    evidence.clients[0].frames[-2][1]["close"] = close_of(9, 9)


def end_before_the_last_version(evidence: Evidence) -> None:
    evidence.clients[0].frames.pop()


def tell_nothing(evidence: Evidence) -> None:
    evidence.clients[0].frames.clear()


@pytest.mark.parametrize(
    "plant",
    [
        show_an_older_version,
        show_an_older_minute,
        show_what_kafka_never_had,
        end_before_the_last_version,
        tell_nothing,
    ],
)
def test_i4_reports_a_client_that_goes_back_or_stays_behind(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I4": 1}


def test_i4_allows_an_older_version_after_a_reconnect(evidence: Evidence) -> None:
    show_an_older_version(evidence)
    evidence.clients[0].connected = [(BEGAN_AT, BEGAN_AT + 1.55), (BEGAN_AT + 1.58, evidence.ended_at)]

    assert CHECKERS["I4"](evidence) == []


def test_i4_asks_no_client_that_was_gone_at_the_end_for_the_last_version(evidence: Evidence) -> None:
    end_before_the_last_version(evidence)
    evidence.clients[0].connected = [(BEGAN_AT, evidence.ended_at - 10)]

    assert CHECKERS["I4"](evidence) == []


# -- I5 ---------------------------------------------------------------------------------------------------------------

LAST_OF_2 = 3 * UPDATES - 1


def test_i5_reports_a_client_that_was_not_told_the_last_values_of_a_minute(evidence: Evidence) -> None:
    del evidence.clients[0].frames[LAST_OF_2]

    assert reports(evidence) == {"I5": 1}


def test_i5_reports_a_client_that_was_told_nothing_of_a_minute(evidence: Evidence) -> None:
    del evidence.clients[0].frames[2 * UPDATES : 3 * UPDATES]

    assert reports(evidence) == {"I5": 1}


def test_i5_blames_the_live_side_not_the_client_for_values_that_were_overtaken(evidence: Evidence) -> None:
    del evidence.clients[0].frames[LAST_OF_2]
    order = evidence.published
    # Places in the log: minute 2 has its updates at 8, 9, 10 and its final version at 11; minute 3 begins at 12.
    moved = [*order[:10], order[12], order[10], order[11], *order[13:]]
    evidence.published = [replace(each, number=number) for number, each in enumerate(moved)]

    found = CHECKERS["I5"](evidence)

    assert [each.partition(" was published after ")[1] for each in found] == [" was published after "]


def test_i5_forgives_values_whose_successor_was_heard_before_messages_were_missed(evidence: Evidence) -> None:
    del evidence.clients[0].frames[LAST_OF_2]
    successor = replace(evidence.published[12], number=-2)
    evidence.published.insert(0, successor)

    assert CHECKERS["I5"](evidence) == []


def test_i5_asks_nothing_where_our_own_subscriber_missed_messages(evidence: Evidence) -> None:
    del evidence.clients[0].frames[LAST_OF_2]
    del evidence.published[9]

    assert CHECKERS["I5"](evidence) == []


def test_i5_forgives_what_fell_out_of_the_live_window(evidence: Evidence) -> None:
    del evidence.clients[0].frames[2 * UPDATES : 3 * UPDATES]
    last = evidence.published[-1]
    far = replace(last, number=last.number + 1, key=key_of(2 + 60), at=evidence.clients[0].frames[2 * UPDATES][0])
    evidence.published.append(far)

    assert CHECKERS["I5"](evidence) == []


def test_i5_forgives_what_redis_forgot_before_the_server_could_read_it(evidence: Evidence) -> None:
    told_next_at = evidence.clients[0].frames[3 * UPDATES][0]
    del evidence.clients[0].frames[2 * UPDATES : 3 * UPDATES]
    heard = [each for each in evidence.published if each.at < told_next_at]
    emptied = replace(heard[-1], epoch="another", number=1, at=told_next_at - 0.001)
    evidence.published = [*heard, emptied]

    assert CHECKERS["I5"](evidence) == []


def test_i5_reports_that_nothing_could_be_judged(evidence: Evidence) -> None:
    evidence.published.clear()
    evidence.clients = [replace(evidence.clients[0], name=f"steady {number}") for number in range(100)]

    assert reports(evidence) == {"I5": 1}


# -- I6 ---------------------------------------------------------------------------------------------------------------


def samples(seconds: int, bytes_per_second: float, begin: float = BEGAN_AT) -> list[tuple[float, int]]:
    return [(begin + second, 60_000_000 + int(second * bytes_per_second)) for second in range(seconds)]


@pytest.mark.parametrize("program", ["bridge-persist", "bridge-fanout", "workers-persist-2", "ws"])
def test_i6_reports_memory_that_grows(evidence: Evidence, program: str) -> None:
    evidence.memory[program] = samples(100, 200_000)
    evidence.metrics[f"{program}:process_starts"] = 1

    assert reports(evidence) == {"I6": 1}


def test_i6_allows_a_warm_up_and_single_peaks(evidence: Evidence) -> None:
    warm_up = [(BEGAN_AT + second, 30_000_000 + min(second, 40) * 1_000_000) for second in range(100)]
    warm_up[70] = (warm_up[70][0], 500_000_000)
    evidence.memory["ws"] = warm_up

    assert CHECKERS["I6"](evidence) == []


def test_i6_looks_at_each_life_of_a_process_alone(evidence: Evidence) -> None:
    flat = samples(70, 0)
    grown = [(at + 100, size + 50_000_000) for at, size in flat]
    evidence.memory["ws"] = [*flat, (BEGAN_AT + 90, 0), *grown]

    assert CHECKERS["I6"](evidence) == []


# -- I7 ---------------------------------------------------------------------------------------------------------------


def repeat_a_row(evidence: Evidence) -> None:
    evidence.pages[0].insert(2, evidence.pages[0][2])


def swap_two_rows(evidence: Evidence) -> None:
    page = evidence.pages[0]
    page[1], page[2] = page[2], page[1]


@pytest.mark.parametrize("plant", [repeat_a_row, swap_two_rows])
def test_i7_reports_a_page_that_does_not_strictly_descend(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I7": 1}


# -- I8 ---------------------------------------------------------------------------------------------------------------


def hide_a_restart(evidence: Evidence) -> None:
    evidence.metrics["bridge-fanout:process_starts"] = 1


def hide_repeated_jobs(evidence: Evidence) -> None:
    del evidence.metrics['bridge-persist:bridge_redispatched_total{bridge="persist"}']


def hide_an_eviction(evidence: Evidence) -> None:
    evidence.metrics['ws:ws_closed_total{reason="stalled"}'] = 1


def hide_a_dead_letter(evidence: Evidence) -> None:
    del evidence.metrics['bridge-persist:bridge_dead_letters_total{bridge="persist"}']


@pytest.mark.parametrize("plant", [hide_a_restart, hide_repeated_jobs, hide_an_eviction, hide_a_dead_letter])
def test_i8_reports_what_no_metric_shows(evidence: Evidence, plant: Plant) -> None:
    plant(evidence)

    assert reports(evidence) == {"I8": 1}


def test_i8_expects_no_more_of_a_bridge_that_was_restarted_than_it_could_count(evidence: Evidence) -> None:
    hide_repeated_jobs(evidence)
    evidence.memory["bridge-persist"][60] = (BEGAN_AT + 60, 0)
    evidence.metrics["bridge-persist:process_starts"] = 2

    assert CHECKERS["I8"](evidence) == []
