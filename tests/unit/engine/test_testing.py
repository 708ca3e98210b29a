"""What `quince.testing` tells apart, without a worker; and its points, in processes that really die."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from quince.testing import CrashReport, Outcome, Point, Verdict, When
from quince.testing.faulty import FaultyStore, Journal
from quince.testing.outcomes import Ending, Portrait, draw
from quince.testing.points import CRASHED, Points
from quince.testing.report import compare, may_begin
from quince_persistence.store import Store
from tests.contracts.store_backends import held

ENDING = Ending("finished", 0, None, {"x": "4"}, ["first", "second"], ["first", "second"])
PORTRAIT = Portrait({"Chain": ENDING, "Chain/1 Part": ENDING}, [])


def changed(**fields: object) -> Portrait:
    """The portrait, with another ending of its child."""
    child = msgspec.structs.replace(ENDING, **fields)
    return Portrait({**PORTRAIT.processes, "Chain/1 Part": child}, [])


def test_the_same_end_is_no_difference() -> None:
    assert compare(PORTRAIT, PORTRAIT) == []
    assert compare(PORTRAIT, changed(begun=["first", "first", "second"])) == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (changed(state="excepted"), "state is 'excepted'"),
        (changed(outputs={"x": "5"}), "outputs"),
        (changed(exit_status=1), "exit status is 1"),
        (changed(committed=["first", "second", "second"]), "committed the steps"),
        (changed(begun=["first", "second", "first"]), "ran after its commit"),
        (changed(begun=["first", "first", "first", "second"]), "ran after its commit"),
        (Portrait({"Chain": ENDING}, []), "Chain/1 Part is missing"),
        (Portrait({**PORTRAIT.processes, "Chain/2 Part": ENDING}, []), "Chain/2 Part is there though"),
        (Portrait(PORTRAIT.processes, ["1 tasks are still on the queue"]), "still on the queue"),
        (Portrait(PORTRAIT.processes, [], late=True), "not at rest"),
    ],
)
def test_every_difference_is_told(found: Portrait, word: str) -> None:
    (sentence,) = compare(PORTRAIT, found)
    assert word in sentence


def test_only_one_step_may_begin_twice() -> None:
    committed = ["first", "work", "work", "last"]
    assert may_begin(committed, committed)
    assert may_begin(committed, ["first", "work", "work", "work", "last"])
    assert may_begin([], [])
    assert not may_begin(committed, ["first", "first", "work", "work", "work", "last"])
    assert not may_begin(committed, ["first", "work", "last"])
    assert not may_begin(committed, ["first", "work", "work", "last", "work"])


def test_each_death_may_begin_one_step_again() -> None:
    committed = ["first", "work", "last"]
    twice = ["first", "first", "work", "last", "last"]
    assert may_begin(committed, twice, deaths=2)
    assert may_begin(committed, ["first", "first", "first", "work", "last"], deaths=2)
    assert not may_begin(committed, twice, deaths=1)
    assert not may_begin(committed, [*twice, "last"], deaths=2)
    assert not may_begin(committed, ["first", "work", "first", "work", "last"], deaths=2)


def test_points_are_counted_by_what_and_when() -> None:
    points = Points()
    with points.around("commit"):
        points.before("send")
    points.before("commit")
    assert points.passed == [
        Point("commit", When.BEFORE),
        Point("send", When.BEFORE),
        Point("commit", When.AFTER),
        Point("commit", When.BEFORE, 2),
    ]
    assert [str(point) for point in points.passed[2:]] == ["after commit", "before commit (time 2)"]


def test_a_worker_dies_at_its_point_and_cleans_up_nothing() -> None:
    program = (
        "from quince.testing.points import *\n"
        "points = Points(Point('commit', When.AFTER, 2))\n"
        "try:\n"
        "    for number in range(3):\n"
        "        with points.around('commit'):\n"
        "            print(number, flush=True)\n"
        "finally:\n"
        "    print('cleaned up', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == CRASHED
    assert done.stdout.split() == ["0", "1"]


def test_a_once_block_that_ran_after_its_record_is_told(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/quince.db") as store:
        (claim,) = held(store, "w")
        file = tmp_path / "steps"
        faulty = FaultyStore(store, Points(), Journal(file))
        for result in (b"first", b"second"):
            assert draw(store, file, 0, [], late=False).left_behind[1:-1] == []
            faulty.record_once(claim.row.pid, "w", claim.row.epoch, "job", result).result()
        (sentence,) = (s for s in draw(store, file, 0, [], late=False).left_behind if "once" in s)
        assert sentence.endswith("the once-block 'job' ran after its record")


def test_the_story_names_the_point_and_what_differed() -> None:
    good = Outcome(Point("commit of Chain.first", When.BEFORE), 0.0, Verdict.SAME)
    bad = Outcome(
        Point("sending of tasks", When.AFTER, 2), 0.0, Verdict.DIFFERENT, ["Chain/1 Part is missing"], "kept"
    )
    report = CrashReport("flows:Chain", [good, bad], 0.5)
    assert not report.passed
    assert report.crashes == 2
    assert "crashed after sending of tasks (time 2)" in report.story()
    assert "Chain/1 Part is missing" in report.story()
    assert dataclasses.replace(report, outcomes=[good]).passed
    again = msgspec.structs.replace(bad, second=Point("claim of processes", When.BEFORE))
    story = dataclasses.replace(report, outcomes=[again]).story()
    assert "crashed after sending of tasks (time 2), then before claim of processes" in story
