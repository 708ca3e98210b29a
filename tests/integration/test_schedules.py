"""Schedules with real workers: fired in time, once, by whoever lives; overlapping; missed; by hand."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quince import (
    InvalidInput,
    InvalidSchedule,
    ProcessHandle,
    ProcessState,
    ScheduleHandle,
    UnknownTarget,
    Workspace,
    get_schedule,
    process,
    schedule,
    schedules,
)
from quince.firing_times import after
from quince_persistence.errors import ScheduleTaken, UnknownSchedule
from quince_persistence.records import ProcessRow, Selection
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince


def made(home: Workspace, name: str) -> list[ProcessRow]:
    """The processes of a schedule, the oldest first."""
    rows = home.store.select(Selection())
    mine = (row for row in rows if row.options.labels.get("schedule") == name)
    return sorted(mine, key=lambda row: row.created)


def whats(handle: ScheduleHandle) -> list[str]:
    return [line.what for line in handle.history()]


def test_three_workers_fire_each_moment_once_also_killed_ones(home: Workspace, crew: Crew) -> None:
    handle = schedule(flows.Double, name="often", every=1, overlap="allow", value=3, workspace=home)
    workers = crew.start(3)
    for number, worker in enumerate(workers[:2], start=1):
        eventually(lambda number=number: len(made(home, "often")) >= number)  # type: ignore[misc]
        worker.kill()
    eventually(lambda: len(made(home, "often")) >= 4)
    handle.pause()
    rows = made(home, "often")
    moments = sorted(row.options.labels["scheduled"] for row in rows)
    assert len(set(moments)) == len(moments)
    told = [line.moment for line in handle.history() if line.what == "fired"]
    assert sorted(filter(None, told)) == moments
    missed = [datetime.fromisoformat(moment) for moment in moments]
    assert missed[-1] - missed[0] == timedelta(seconds=len(missed) - 1)  # none between them
    assert all(ProcessHandle(row.pid, home).result(30) == {"value": 6} for row in rows)
    assert any("made by schedule often" in line for line in ProcessHandle(rows[0].pid, home).why().evidence)
    time.sleep(1.5)
    assert len(made(home, "often")) == len(rows)  # it is paused
    handle.remove()
    assert schedules(workspace=home) == []


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_what_overlaps(home: Workspace, crew: Crew, overlap: str) -> None:
    crew.start()
    handle = schedule(flows.Approval, name="slow", every=1, overlap=overlap, workspace=home)
    wanted = {"skip": "skipped", "queue": "fired", "replace": "fired"}[overlap]
    if overlap == "queue":
        eventually(lambda: len(handle.row.state.queued) >= 2)
        eventually(lambda: made(home, "slow")[0].state is ProcessState.WAITING)
        ProcessHandle(made(home, "slow")[0].pid, home).signal("approval", "yes")
        eventually(lambda: len(made(home, "slow")) == 2)
        assert made(home, "slow")[0].state is ProcessState.FINISHED
    else:
        eventually(lambda: whats(handle).count(wanted) >= 2)
    handle.pause()
    rows = made(home, "slow")
    living = [row for row in rows if row.ended is None]
    assert len(living) == 1
    if overlap == "skip":
        assert len(rows) == 1
        assert f"{rows[0].pid} has not ended" in str(handle.history()[-2].text)
    if overlap == "replace":
        assert {row.exit_message for row in rows if row.ended} == {
            "replaced by the next firing of schedule slow"
        }


def test_what_nobody_was_there_for(home: Workspace, crew: Crew) -> None:
    """The schedules have begun three days ago, and no worker has run since."""
    store, now = home.store, home.store.clock()
    hour = datetime.fromtimestamp(now - 3 * 86_400 - 1800, UTC).hour
    policies = ("none", "last", "all", "within 36 h")
    for policy in policies:
        handle = schedule(
            flows.add, name=policy, cron=f"0 {hour} * * *", catch_up=policy, overlap="allow", inputs={"x": 1},
            workspace=home,
        )  # fmt: skip
        record, inputs = handle.row.schedule, store.schedule_inputs(policy) or b""
        first = after(record, now - 3 * 86_400 - 5400)
        store.put_schedule(
            policy, record, inputs, moment=first, next_at=first, author="ada", replaces=True
        ).result()
    crew.start()
    handles = [get_schedule(policy, workspace=home) for policy in policies]
    eventually(lambda: all((handle.row.next_at or 0) > now for handle in handles))
    eventually(lambda: all(row.ended for policy in policies for row in made(home, policy)))
    assert [len(made(home, policy)) for policy in policies] == [0, 1, 4, 2]
    assert [whats(handle)[2:].count("missed") for handle in handles] == [1, 1, 0, 1]


def test_by_hand_and_back_filled(home: Workspace, crew: Crew) -> None:
    handle = schedule(
        flows.add, name="nightly", cron="0 2 * * *", tz="Europe/Berlin", inputs={"x": 1},
        labels={"study": "argon"}, queue="default", priority=3, workspace=home,
    )  # fmt: skip
    assert handle.next is not None
    assert (handle.next.hour, str(handle.next.tzinfo)) == (2, "Europe/Berlin")
    handle.pause(author="ada")
    by_hand = handle.trigger()
    assert by_hand != handle.trigger()
    done = handle.backfill("2026-03-28", "2026-03-30")
    assert (len(done.made), done.queued) == (0, 3)
    assert handle.backfill("2026-03-28", "2026-03-29").queued == 0  # they are to be made already
    crew.start()
    assert by_hand.result(30) == {"result": 2}
    handle.play()
    eventually(lambda: len(made(home, "nightly")) == 5)
    eventually(lambda: all(row.ended for row in made(home, "nightly")))
    filled = [row for row in made(home, "nightly") if "triggered" not in str(row.key)][2:]
    assert [row.options.labels["scheduled"] for row in filled] == [
        "2026-03-28T02:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00",
    ]  # fmt: skip
    assert {(row.options.labels["study"], row.priority) for row in filled} == {("argon", 3)}
    known = handle.backfill("2026-03-28", "2026-03-30").known
    assert sorted(one.pid for one in known) == sorted(row.pid for row in filled)
    for first, last, said in (
        ("2026-03-30", "2026-03-28", "no moment"),
        ("2999-01-01", "2999-02-01", "no moment"),
        ("yesterday", "today", "is no moment"),
        ("0001-01-01", date(2026, 1, 1), "more than 5000"),
    ):
        with pytest.raises(InvalidSchedule, match=said):
            handle.backfill(first, last)


def test_what_is_refused(home: Workspace) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cron": "0 2 * *"}, "is no cron expression"),
        ({"cron": "0 0 30 2 *"}, "30 2"),
        ({"cron": "0 2 * * *", "tz": "Berlin"}, "there is no time zone 'Berlin'"),
        ({}, "either a cron expression"),
        ({"cron": "0 2 * * *", "every": 5}, "either a cron expression"),
        ({"every": "often"}, "is no duration"),
        ({"every": 0}, "whole number of seconds"),
        ({"every": 1.5}, "whole number of seconds"),
        ({"every": "1 h", "overlap": "maybe"}, "must be one of: skip, queue, replace, allow"),
        ({"every": "1 h", "catch_up": "some"}, "must be one of: none, last, all, within 1 d"),
        ({"every": "1 h", "catch_up": "within"}, "catch-up is 'within' what"),
        ({"every": "1 h", "catch_up": "within -1 d"}, "is no duration"),
        ({"every": "1 h", "jitter": "-5"}, "is no duration"),
        ({"every": "1 h", "starting": "soon"}, "is no moment"),
        ({"every": "1 h", "starting": date(9999, 1, 1)}, "would never fire: starting 9999-01-01 is too far"),
        ({"every": "1 h", "replace": "yes"}, "replace is 'yes', and must be True or False"),
        ({"every": "1 h", "name": ""}, "name of the schedule"),
        ({"every": "1 h", "name": "a\0b"}, "name of the schedule"),
        ({"every": "1 h", "name": "x" * 101}, "name of the schedule"),
        ({"every": "1 h", "name": 5}, "name of a schedule is a text"),
    ]
    for given, said in wrong:
        with pytest.raises(InvalidSchedule, match=said):
            schedule(flows.add, inputs={"x": 1}, workspace=home, **{"name": "s", **given})
    with pytest.raises(InvalidInput):
        schedule(flows.add, name="s", every="1 h", inputs={"x": "one"}, workspace=home)

    @process
    def local(x: int) -> int:
        return x

    with pytest.raises(UnknownTarget):
        schedule(local, name="s", every="1 h", inputs={"x": 1}, workspace=home)
    with pytest.raises(UnknownSchedule, match="schedule ls"):
        get_schedule("s", workspace=home)
    assert schedules(workspace=home) == []
    schedule(flows.add, name="s", every="1 h", inputs={"x": 1}, workspace=home)
    with pytest.raises(ScheduleTaken, match="replace=True"):
        schedule(flows.add, name="s", every="2 h", inputs={"x": 1}, workspace=home)
    other = schedule(flows.add, name="s", every="2 h", inputs={"x": 1}, replace=True, workspace=home)
    assert other.row.schedule.every == 7200
    assert other.next is not None
    assert timedelta(hours=1, minutes=59) < other.next - datetime.now(UTC) < timedelta(hours=2, minutes=1)


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Quince:
    (tmp_path / "folder").mkdir()
    return Quince(tmp_path / "folder", forks)


def test_from_the_shell(quince: Quince) -> None:
    flow = quince.folder / "flow.py"
    flow.write_text("from quince import process\n\n@process\ndef night(x: int) -> int:\n    return x\n")
    words = (
        "schedule",
        "add",
        "nightly",
        "flow.py:night",
        "x=5",
        "--cron",
        "0 2 * * *",
        "--tz",
        "Europe/Berlin",
    )
    added = quince(*words, "--overlap", "allow", "--label", "study=argon", "--jitter", "5 min")
    assert added.status == 0
    assert added.out.startswith("nightly added: fires next 20")
    assert "no worker is running" in added.err
    assert quince(*words).complaint().startswith("there is a schedule 'nightly' already")
    replaced = quince(*words, "--overlap", "allow", "--replace", "--json")
    assert replaced.document["zone"] == "Europe/Berlin"
    for more, said in (
        (("--every", "6 h"), "either a cron expression"),
        (("--tz", "Nowhere"), "there is no time zone"),
        (("--label", "a"), "write NAME=VALUE"),
    ):
        refused = quince("schedule", "add", "other", *words[3:], *more)
        assert (refused.status, said in refused.err) == (2, True), refused.err
    assert quince("schedule", "add", "other", "flow.py:night", "--every", "1 d", "x=one").status != 0
    (document,) = quince("schedule", "ls", "--json").document
    assert (document["cron"], document["last_pid"], document["paused"]) == ("0 2 * * *", None, False)
    assert "0 2 * * * Europe/Berlin" in quince("schedule", "ls").out
    assert "1 schedule" in quince("status").out
    pid = quince("schedule", "trigger", "nightly").out.strip()
    assert "made by schedule nightly" in quince("why", pid).out
    filled = quince("schedule", "backfill", "nightly", "--from", "2026-11-01", "--to", "2026-11-03").out
    assert filled == "nightly: 3 made, 0 follow one after the other\n"
    shown = quince("schedule", "show", "nightly")
    assert all(word in shown.out for word in ("input x", "triggered", "policies", "last process"))
    assert quince("schedule", "pause", "nightly", "weekly").status == 1
    assert "paused" in quince("schedule", "ls").out
    assert quince("schedule", "play", "nightly").out.startswith("nightly fires next")
    assert quince("schedule", "backfill", "nightly", "--from", "x", "--to", "y").status == 2
    (document,) = quince.good("schedule", "pause", "nightly", "--json").document
    assert document["paused"] is True
    (document,) = quince.good("schedule", "play", "nightly", "--json").document
    assert document["paused"] is False
    assert quince("schedule", "rm", "nowhere", "--json").document == []
    assert quince("schedule", "rm", "nightly").out == "nightly removed\n"
    assert quince("schedule", "show", "nightly").complaint().startswith("there is no schedule 'nightly'")
    assert "there are no schedules" in quince("schedule", "ls").err
    far_words = ("schedule", "add", "far", "flow.py:night", "x=5")
    far = quince(*far_words, "--every", "2 s", "--starting", "9999-01-01")
    assert (far.status, "would never fire" in far.err) == (2, True)
    quince.good(*far_words, "--every", "5400 s", "--cache")
    quince.good("schedule", "backfill", "far", "--from", "2026-11-01", "--to", "2026-11-01")
    listed = quince("schedule", "ls").out
    assert "every 1 h 30 min" in listed
    assert "never" not in listed
    assert quince("schedule", "ls", "--json").document[0]["cache"] is True


def test_what_ended_well_serves_and_a_damaged_one_harms_no_other(quince: Quince, tmp_path: Path) -> None:
    flow = quince.folder / "flow.py"
    flow.write_text("from quince import process\n\n@process\ndef night(x: int) -> int:\n    return x\n")
    for name in ("damaged", "good"):
        quince.good("schedule", "add", name, "flow.py:night", "x=5", "--every", "1 s", "--cache")
    with sqlite3.connect(quince.folder / ".quince" / "quince.db") as database:
        database.execute("UPDATE schedules SET body = '{' WHERE name = 'damaged'")
    quince.good("daemon", "start")
    try:
        served = quince.good("schedule", "trigger", "good").out.strip()
        quince.good("wait", served)
        eventually(lambda: len(quince("ps", "--all", "--label", "schedule=good", "--json").document) > 3)
        rows = quince("ps", "--all", "--label", "schedule=good", "--json").document
        assert sum(quince.row(row["pid"])["cached_from"] is not None for row in rows) >= len(rows) - 2
        eventually(lambda: "schedule damaged cannot be read" in quince("daemon", "logs").out)
    finally:
        quince("daemon", "stop", "--timeout", "5")
    for listed in (quince("schedule", "ls"), quince("schedule", "show", "damaged")):
        assert "schedule 'damaged' cannot be read" in listed.err
    assert "good" in quince("schedule", "ls").out
    assert quince("schedule", "ls", "--json").document[1].keys() == {"name", "unreadable"}
    assert "schedule damaged cannot be read" in quince("doctor").out
    assert quince("schedule", "pause", "damaged", "good").out == "good paused\n"
    quince.good("schedule", "rm", "damaged")


def test_a_class_that_cannot_be_loaded_any_more(quince: Quince) -> None:
    """Nothing is lost: the process is kept, and the schedule says why it does not run."""
    flow = quince.folder / "flow.py"
    text = "from quince import process\n\n@process\ndef night(x: int) -> int:\n    return x\n"
    flow.write_text(text)
    quince("schedule", "add", "nightly", "flow.py:night", "x=5", "--every", "2 s")
    flow.write_text("import nowhere\n")
    assert quince("daemon", "start").status == 0
    try:
        shown = ""

        def skipped() -> bool:
            nonlocal shown
            shown = quince("schedule", "show", "nightly").out
            return "skipped" in shown

        eventually(skipped)
        assert "nowhere" in shown
        assert "schedule nightly makes processes that cannot run" in quince("doctor").out
        flow.write_text(text)
        (document,) = quince("schedule", "ls", "--json").document
        assert quince("play", str(document["last_pid"])).status == 0
        assert quince("wait", str(document["last_pid"])).status == 0
    finally:
        quince("daemon", "stop", "--timeout", "5")
