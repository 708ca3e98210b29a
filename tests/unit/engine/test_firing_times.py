"""When schedules fire: on days when clocks are set, in leap years, at ends of months; and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from quince.firing_times import Plan, after, between, check_cron, plan, text_of, with_jitter, zone_of
from quince_persistence.records.schedules import CatchUp, Schedule, ScheduleRow, ScheduleState

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def cron(expression: str, zone: str = "UTC", **fields: Any) -> Schedule:
    return Schedule("m:C", cron=expression, zone=zone, **fields)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def firings(schedule: Schedule, since: str, count: int) -> list[str]:
    """The next so many moments after a time in its zone."""
    moment, found = at(since, schedule.zone), []
    for _ in range(count):
        following = after(schedule, moment)
        assert following is not None
        moment = following
        found.append(text_of(schedule, moment))
    return found


@pytest.mark.parametrize(
    ("zone", "expression", "since", "expected"),
    [
        # Clocks go from 2:00 to 3:00: 2:30 does not exist that day.
        (BERLIN, "30 2 * * *", "2026-03-28T00:00",
         ["28T02:30:00+01:00", "29T03:00:00+02:00", "30T02:30:00+02:00"]),
        (NEW_YORK, "30 2 * * *", "2026-03-07T00:00",
         ["07T02:30:00-05:00", "08T03:00:00-04:00", "09T02:30:00-04:00"]),
        # They go from 2:00 to 2:30: 2:15 does not exist.
        (LORD_HOWE, "15 2 * * *", "2026-10-03T00:00",
         ["03T02:15:00+10:30", "04T02:30:00+11:00", "05T02:15:00+11:00"]),
        # They go from 3:00 back to 2:00: 2:30 exists twice, and counts once, the first time.
        (BERLIN, "30 2 * * *", "2026-10-24T00:00",
         ["24T02:30:00+02:00", "25T02:30:00+02:00", "26T02:30:00+01:00"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31T00:00",
         ["31T01:30:00-04:00", "01T01:30:00-04:00", "02T01:30:00-05:00"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-04T00:00",
         ["04T01:45:00+11:00", "05T01:45:00+11:00", "06T01:45:00+10:30"]),
        # Both the hour that is not there and the one after it: once.
        (BERLIN, "0 2,3 * * *", "2026-03-29T00:00",
         ["29T03:00:00+02:00", "30T02:00:00+02:00", "30T03:00:00+02:00"]),
        # Each hour goes on as time does.
        (BERLIN, "0 * * * *", "2026-03-29T00:30",
         ["29T01:00:00+01:00", "29T03:00:00+02:00", "29T04:00:00+02:00"]),
        (BERLIN, "30 * * * *", "2026-10-25T01:45",
         ["25T02:30:00+02:00", "25T02:30:00+01:00", "25T03:30:00+01:00"]),
        (LORD_HOWE, "*/30 * * * *", "2026-04-05T01:10",
         ["05T01:30:00+11:00", "05T01:30:00+10:30", "05T02:00:00+10:30"]),
    ],
)  # fmt: skip
def test_when_clocks_are_set(zone: str, expression: str, since: str, expected: list[str]) -> None:
    assert [text.partition("-")[2][3:] for text in firings(cron(expression, zone), since, 3)] == expected


def test_leap_days_and_ends_of_months() -> None:
    assert [text[:10] for text in firings(cron("0 0 29 2 *"), "2026-01-01", 2)] == [
        "2028-02-29",
        "2032-02-29",
    ]
    last = [text[:10] for text in firings(cron("0 0 L * *"), "2028-01-01", 3)]
    assert last == ["2028-01-31", "2028-02-29", "2028-03-31"]
    assert [text[:10] for text in firings(cron("0 0 31 * *"), "2026-01-31T01:00", 2)] == [
        "2026-03-31",
        "2026-05-31",
    ]
    assert [text[:10] for text in firings(cron("0 9 * * 1#1"), "2026-11-01", 2)] == [
        "2026-11-02",
        "2026-12-07",
    ]


def test_an_interval_is_the_same_over_the_change_of_clocks() -> None:
    start = at("2026-03-28T12:00", BERLIN)
    daily = Schedule("m:C", every=86_400.0, start=start, zone=BERLIN)
    assert firings(daily, "2026-03-28T00:00", 3) == [
        "2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00", "2026-03-30T13:00:00+02:00",
    ]  # fmt: skip
    assert after(daily, start) == start + 86_400.0


@pytest.mark.parametrize(
    "zone",
    ["", "Berlin", "Europe", "../../etc/passwd", "/etc/localtime", "Europe/\0", "UTC+1", "x" * 5000, "é"],
)
def test_what_is_no_zone(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        zone_of(zone)


@pytest.mark.parametrize(
    "expression",
    [
        "", "* * * *", "0 2 * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 9",
        "@daily",
        "a b c d e", "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "0 2 * * MON-", "0 0 * * MON#2/2", "\0",
        "９ 2 * * *",         "9" * 5000 + " * * * *", "0 0 1 * 1-L", "0 0 * * 1,2L/2",
    ],
)  # fmt: skip
def test_what_is_no_cron_expression(expression: str) -> None:
    with pytest.raises(ValueError, match="is no cron expression"):
        check_cron(expression)


def test_a_moment_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no cron expression|never comes"):
        check_cron("0 0 30 2 *")
    with pytest.raises(ValueError, match=r"no cron expression|never comes"):
        check_cron("0 0 31 4,6,9,11 *")


@given(some.text(max_size=30))
def test_garbage_is_refused_or_can_be_used(expression: str) -> None:
    try:
        check_cron(expression)
    except ValueError:
        return
    assert after(cron(expression), 0.0) is not None


FIELDS = [["0", "30", "*/20", "*"], ["1", "2", "2,3", "*", "*/2"], ["*", "1", "L"], ["*"], ["*", "0"]]


@given(
    some.tuples(*map(some.sampled_from, FIELDS)),
    some.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC", "America/Sao_Paulo", "Asia/Kathmandu"]),
    some.floats(at("1999-01-01"), at("2040-01-01")),
)
def test_moments_come_in_order_and_from_wherever_one_begins(
    fields: tuple[str, ...], zone: str, since: float
) -> None:
    schedule = cron(" ".join(fields), zone)
    first = after(schedule, since)
    assert first is not None
    moments = between(schedule, first, first + 90 * 86_400.0, 40)
    assert moments[0] == first > since
    assert all(before < later for before, later in pairwise(moments))
    for before, later in islice(pairwise(moments), 10):
        assert after(schedule, before) == later
        assert after(schedule, (before + later) / 2) == later


# What is due


def scheduled(
    schedule: Schedule, moment: str, last: float | None = None, planned: float = 0.0
) -> ScheduleRow:
    first = at(moment)
    state = ScheduleState(first)
    return ScheduleRow(
        "s", schedule, False, with_jitter("s", schedule, first), last, planned, None, 0.0, state
    )


def made(row: ScheduleRow, now: str) -> tuple[list[str], bool, str]:
    """Which firings are made, whether some were missed, and when the next is."""
    found = plan(row, at(now))
    assert found.moment is not None
    following = datetime.fromtimestamp(found.moment, UTC).isoformat()[5:16]
    return (
        [due.text[5:16] + ("!" if due.late else "") for due in found.due],
        found.missed is not None,
        following,
    )


def test_in_time_each_is_made_whatever_the_policy() -> None:
    for policy in CatchUp:
        row = scheduled(cron("0 2 * * *", catch_up=policy), "2026-11-30T02:00")
        assert made(row, "2026-11-30T02:00:00.2") == (["11-30T02:00"], False, "12-01T02:00")
        assert made(row, "2026-11-30T02:00:50") == (["11-30T02:00"], False, "12-01T02:00")
        assert made(row, "2026-11-30T01:59:59") == ([], False, "11-30T02:00")


@pytest.mark.parametrize(
    ("policy", "within", "now", "expected"),
    [
        (CatchUp.NONE, None, "2026-12-03T12:00", ([], True, "12-04T02:00")),
        (CatchUp.NONE, None, "2026-12-03T02:00:30", (["12-03T02:00"], True, "12-04T02:00")),
        (CatchUp.LAST, None, "2026-12-03T12:00", (["12-03T02:00!"], True, "12-04T02:00")),
        (CatchUp.LAST, None, "2026-11-30T12:00", (["11-30T02:00!"], False, "12-01T02:00")),
        (CatchUp.LAST, None, "2026-12-03T02:00:30", (["12-03T02:00"], True, "12-04T02:00")),
        (CatchUp.ALL, None, "2026-12-02T12:00",
         (["11-30T02:00!", "12-01T02:00!", "12-02T02:00!"], False, "12-03T02:00")),
        (CatchUp.ALL, 129_600.0, "2026-12-02T12:00", (["12-01T02:00!", "12-02T02:00!"], True, "12-03T02:00")),
        (CatchUp.ALL, 3600.0, "2026-12-02T12:00", ([], True, "12-03T02:00")),
    ],
)  # fmt: skip
def test_what_was_missed(policy: CatchUp, within: float | None, now: str, expected: object) -> None:
    row = scheduled(cron("0 2 * * *", catch_up=policy, within=within), "2026-11-30T02:00")
    assert made(row, now) == expected


def test_after_years_nothing_takes_long() -> None:
    for every in (cron("* * * * * *"), cron("* * * * *"), Schedule("m:C", every=1.0, start=0.0)):
        due, missed, following = made(scheduled(every, "2020-01-01T00:00"), "2026-11-30T02:00:00.5")
        assert (missed, following) == (
            True,
            "11-30T02:00" if every.cron == "* * * * * *" or every.every else "11-30T02:01",
        )
        assert len(due) <= 61
        assert not any(text.endswith("!") for text in due)
    everything = scheduled(cron("* * * * *", catch_up=CatchUp.ALL), "2020-01-01T00:00")
    found = plan(everything, at("2026-11-30T02:00"))
    assert (len(found.due), found.missed) == (500, None)
    assert found.moment == at("2020-01-01T08:20")


def test_a_clock_that_was_set_back() -> None:
    """It had fired for 2030: it goes on now, and not in 2030."""
    last = at("2030-01-01T02:00")
    row = scheduled(cron("0 2 * * *"), "2030-01-02T02:00", last=last, planned=last + 1)
    found = plan(row, at("2026-11-30T01:00"))
    assert (found.due, found.moment, found.last_at) == ((), at("2026-11-30T02:00"), None)
    assert found.missed is not None


def test_a_clock_that_was_set_back_before_it_has_fired() -> None:
    """It was added, or played, in 2030."""
    row = scheduled(cron("0 2 * * *"), "2030-01-02T02:00", planned=at("2030-01-01T03:00"))
    found = plan(row, at("2026-11-30T01:00"))
    assert (found.due, found.moment, found.next_at) == ((), *[at("2026-11-30T02:00")] * 2)


def test_a_clock_that_was_set_back_a_little() -> None:
    """Nothing follows from that, also if something is due."""
    row = scheduled(cron("0 2 * * *"), "2026-11-30T02:00", planned=at("2026-11-30T01:59:59.9"))
    assert plan(row, at("2026-11-30T01:59:59.8")) == Plan((), at("2026-11-30T02:00"), row.next_at, None)
    late = scheduled(cron("0 2 * * *"), "2026-11-30T02:00", planned=at("2026-11-30T02:00:00.2"))
    assert made(late, "2026-11-30T02:00:00.1") == (["11-30T02:00"], False, "12-01T02:00")


def test_each_moment_has_its_own_delay_and_keeps_it() -> None:
    schedule = cron("* * * * *", jitter=300.0)
    moments = between(schedule, 0.0, 6000.0, 100)
    delays = [(with_jitter("s", schedule, moment) or 0.0) - moment for moment in moments]
    assert delays == [(with_jitter("s", schedule, moment) or 0.0) - moment for moment in moments]
    assert len(set(delays)) == 100
    assert min(delays) >= 0
    assert 200 < max(delays) < 300
    row = scheduled(schedule, "2026-11-30T02:00")
    assert row.next_at is not None
    assert plan(row, row.next_at - 0.01).due == ()
    assert [due.late for due in plan(row, row.next_at).due[:1]] == [False]
