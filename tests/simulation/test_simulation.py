"""The simulation holds, is the same for the same seed, and finds what is broken on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import bindparam

from quince import firing_times
from quince.firing_times import Plan, plan
from quince.hosts.failures import HostDied
from quince.recovery import due_schedules
from quince.recovery.sweeper import Sweeper
from quince.worker.host_deaths import HostDeaths
from quince.worker.notices import _Rounds
from quince.worker.step_host import StepHost
from quince_persistence.reading import reads
from quince_persistence.reading.schedule_rows import SCHEDULES
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.notices import NoticeRow
from quince_persistence.records.schedules import Overlap, ScheduleRow
from quince_persistence.records.steps import Recorded
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import schedules
from quince_persistence.store import Store
from quince_persistence.writing.lifecycle import release
from quince_persistence.writing.operations import steps, sweep
from quince_persistence.writing.operations.base import ClaimedOperation
from quince_persistence.writing.operations.fire import Fire
from quince_persistence.writing.operations.notices import TakeNotices
from quince_persistence.writing.operations.restart import RestartProcess, _Origin
from quince_persistence.writing.operations.schedules import HoldSchedule, locked
from quince_persistence.writing.operations.sweep import end_overdue
from quince_persistence.writing.unit_of_work import UnitOfWork
from tests.crew import ROOT
from tests.simulation.simulation import simulate

pytestmark = pytest.mark.timeout(600)

PARTS = 10
"""The seeds are run in so many tests, for the sake of their time limits."""


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_done_twice(part: int, simulation_seeds: int) -> None:
    wrong = [outcome for seed in range(part, simulation_seeds, PARTS) if (outcome := simulate(seed)).wrong]
    story = "\n".join(f"seed {outcome.seed}: {'; '.join(outcome.wrong)}" for outcome in wrong)
    assert not wrong, f"{story}\nOne of them again: python -m tests.simulation --first SEED --trace"


def test_the_same_seed_gives_the_same_trace() -> None:
    first = [simulate(seed) for seed in range(30, 36)]
    again = [simulate(seed) for seed in reversed(range(30, 36))]
    assert first == again[::-1]
    assert len({outcome.digest for outcome in first}) == len(first)


def test_the_same_seed_gives_the_same_trace_in_another_interpreter() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--first", "7"],
        capture_output=True, text=True, cwd=ROOT, timeout=120, check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    ).stdout  # fmt: skip
    assert simulate(7).digest in printed


def unfenced(operation: Any, unit: UnitOfWork) -> Any:
    """Whoever writes owns it."""
    row = unit.rows.get(operation._pid)
    return operation.fenced() if row is None else operation.change(unit, row)


def forgets_records(store: Store, pid: int, _key: str) -> Recorded | None:
    """No once-block was ever recorded."""
    row = store.get(pid)
    return None if row is None else Recorded(row.owner, row.epoch, None)


async def never_sweeps(_sweeper: Sweeper) -> None:
    """Nobody looks for what was lost."""


async def blames_everybody(deaths: HostDeaths, error: HostDied) -> None:
    """Whoever was in a step host when that died is to blame."""
    error.own = True
    await record(deaths, error)


record = HostDeaths.record


def takes_nothing_back(_host: StepHost) -> list[Any]:
    """Those who wait behind a step that takes long get another host, and keep the turn that they had."""
    taken, _host.guests = list(_host.guests.values())[1:], dict(list(_host.guests.items())[:1])
    return taken


def gives_back_nothing(row: MutableRow) -> bool:
    """Who was given limits keeps them, whatever becomes of it."""
    return (row.asked is not None and bool(row.asked[0])) or row.ended is None


def goes_alone(unit: UnitOfWork, row: MutableRow) -> list[ControlOutcome]:
    """Whom a deadline ends leaves those below it to themselves."""
    with patch.object(unit, "family", lambda pids: [unit.rows[pid] for pid in pids]):
        return end_overdue(unit, row)


def begins_anew(restart: RestartProcess, _unit: UnitOfWork) -> Any:
    """A restart is one from the first step, whatever was asked for."""
    return _Origin()


def waits_for_its_clock(row: ScheduleRow, now: float) -> Plan:
    """A clock that was set back has to come by again before the next moment."""
    if row.planned > now:
        return Plan((), row.state.moment, row.next_at, row.last_at)
    return plan(row, now)


def keeps_its_time(hold: HoldSchedule, unit: UnitOfWork) -> ScheduleRow:
    """A pause is written down, and the schedule fires as before."""
    if hold._paused and (row := locked(unit, hold._name)) is not None:
        hold._moment, hold._next_at = row.state.moment, row.next_at
    return put_on_hold(hold, unit)


put_on_hold = HoldSchedule.apply


def forgets_at_once(rounds: _Rounds, taken: Sequence[NoticeRow]) -> None:
    """What is to be sent is forgotten before it was."""
    rounds._settle(taken)
    send_notices(rounds, taken)


send_notices = _Rounds._send


def takes_for_nothing(take: TakeNotices, of: Collection[str], owner: str, most: int, hold: float) -> None:
    """What somebody sends is taken by others, too."""
    take_notices(take, of, owner, most, 0.0)


take_notices = TakeNotices.__init__


def tells_of_attempts(unit: UnitOfWork, row: MutableRow) -> list[ControlOutcome]:
    """Who is set free without having ended is told to have failed."""
    unit.happenings.has_ended(row, well=False)
    return release(unit, row)


MUTATIONS: dict[str, list[tuple[Any, str, Any]]] = {
    "writes are not fenced": [(ClaimedOperation, "apply", unfenced)],
    "once-blocks are not remembered": [(Store, "recorded", forgets_records)],
    "the death of a step host is charged to all in it": [(HostDeaths, "record", blames_everybody)],
    "a step that waits for its turn runs there and elsewhere": [(StepHost, "take_back", takes_nothing_back)],
    "limits are given back by nobody": [(MutableRow, "wants_limits", property(gives_back_nothing))],
    "a deadline ends no children": [(sweep, "end_overdue", goes_alone)],
    "a restart begins with the first step": [(RestartProcess, "_origin", begins_anew)],
    "a schedule fires beside what it has made": [(Fire, "_overlap", property(lambda _: Overlap.ALLOW))],
    "a schedule leaves out what was missed": [(firing_times, "_made_up", lambda *_: False)],
    "a schedule waits for a clock that was set back": [(due_schedules, "plan", waits_for_its_clock)],
    "a schedule fires although it is paused": [
        (HoldSchedule, "apply", keeps_its_time),
        (reads, "DUE", SCHEDULES.where(schedules.c.next_at <= bindparam("now"))),
    ],
    "notices are forgotten before they are sent": [(_Rounds, "_send", forgets_at_once)],
    "notices are sent by several": [(TakeNotices, "__init__", takes_for_nothing)],
    "a wait is told as a failure": [(steps, "release", tells_of_attempts)],
    "lost doorbells are not rung again": [(Sweeper, "_sweep", never_sweeps)],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_broken_is_found(mutation: str) -> None:
    for module, name, broken in MUTATIONS[mutation]:
        patch.object(module, name, broken).start()
    try:
        assert any(simulate(seed).wrong for seed in range(400))
    finally:
        patch.stopall()
