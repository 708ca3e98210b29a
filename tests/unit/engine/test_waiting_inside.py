"""Waiting, inside a step, for processes of its own making: in `run()`, and the books of the lent slots."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quince import ProcessExcepted, Workspace, WouldDeadlock, run
from quince.settings import STORE_VARIABLE
from quince.troubles import awaited_inside, grave, sentence_of_waits, sentences_of, trouble_of
from quince.worker import lent_slots
from quince.worker.slots import Slots
from quince.worker.waiting import Waiting
from quince.workspace.location import Location
from tests import waiting_flows as flows

KINDS = [kind for kind in flows.KINDS if kind is not flows.by_result_on_the_loop]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The one that steps find too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    state = tmp_path / ".quince"
    with Workspace(Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_run_runs_what_its_steps_wait_for(home: Workspace, kind: Any) -> None:
    assert run(kind, x=7, workspace=home) == {"result": 7}


@pytest.mark.parametrize("kind", [flows.by_threads, flows.by_executor], ids=lambda kind: kind.__name__)
def test_runs_beside_each_other_whose_steps_wait_in_threads(home: Workspace, kind: Any) -> None:
    """Which of their steps it is that waits, nobody knows."""
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda _: run(kind, x=7, workspace=home), range(3)))
    assert ends == [{"result": 7}] * 3


def test_a_coroutine_that_blocks_the_worker_of_a_run_is_refused(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted, match=r"write `await handle`, or .*to_context") as caught:
        run(flows.by_result_on_the_loop, x=7, workspace=home)
    assert isinstance(caught.value.__cause__, WouldDeadlock)


def test_no_more_than_so_many_wait_inside(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent_slots, "MOST_COROUTINES", 4)
    assert run(flows.nested, depth=4, workspace=home) == {"result": 4}
    with pytest.raises(ProcessExcepted, match=r"4 steps of run wait inside like this one.*to_context"):
        run(flows.nested, depth=5, workspace=home)


def test_a_step_does_not_wait_for_itself(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted) as caught:
        run(flows.itself, workspace=home)
    error = caught.value.__cause__
    assert isinstance(error, WouldDeadlock)
    assert error.awaited == [error.pid]


def test_a_chain_is_not_waited_for_by_its_child(home: Workspace) -> None:
    assert "WouldDeadlock" in run(flows.Circle, workspace=home)["text"]


async def test_a_slot_is_lent_once_and_taken_back_at_once() -> None:
    slots = Slots(1)
    assert slots.take(1) == 1
    waiting = Waiting(slots, 0.0)
    waiting.lend_slot()
    waiting.lend_slot()
    assert slots.take(2) == 1
    waiting.take_back_slot()
    waiting.take_back_slot()
    assert (waiting.has_slot, slots.take(1)) == (True, 0)
    slots.give()
    assert slots.take(1) == 0  # one more was at work than there are slots
    slots.give()
    assert slots.take(5) == 1


def test_a_worker_says_who_waits_inside_for_whom() -> None:
    said = [sentence_of_waits({12: {40}, 13: {42, 41}, 14: set()}), *sentences_of({13: "the store is away"})]
    assert [awaited_inside(pid, said) for pid in (12, 13, 14, 1, 40)] == [[40], [41, 42], [], [], []]
    assert trouble_of(13, said) == "the store is away"
    assert trouble_of(12, said) is None
    assert grave(said) == ["process 13: the store is away"]
