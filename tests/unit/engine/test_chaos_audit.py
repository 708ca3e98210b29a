"""The audit of the chaos run finds what it is there to find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quince_persistence.codec import encode
from quince_persistence.records import State
from quince_persistence.store import Store
from tests.contracts.store_backends import born, held, step
from tests.integration.chaos_audit import Audit, audit

BLOCK = "tests.integration.chaos_flows:Block"
ALONE = (0, 1)
"""The shape of a tree of one process."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path}/quince.db") as opened:
        yield opened


def ended(store: Store, *tokens: str) -> int:
    (claim,) = held(store, "w", class_path=BLOCK)
    outputs = encode({"tokens": list(tokens), "total": 1}, "outputs")
    step(store, claim, State.FINISHED, outputs=outputs, exit_status=0)
    return claim.row.pid


def compared(store: Store, folder: Path, roots: list[int], lines: list[str], frozen: set[int]) -> Audit:
    ledger = folder / "ledger"
    ledger.write_text("".join(f"{line}\n" for line in lines))
    return audit(store, roots, ALONE, ledger, frozen)


def test_a_step_may_run_again_before_its_commit(store: Store, tmp_path: Path) -> None:
    pid = ended(store, "b", "c")
    found = compared(store, tmp_path, [pid], [f"{pid} 0 a 7", f"{pid} 0 b 8", f"{pid} 1 c 8"], set())
    assert found.wrong == []
    assert (found.processes, found.executions, found.again, found.thawed) == (1, 3, 1, 0)


def test_a_step_that_runs_after_its_commit_is_doubled(store: Store, tmp_path: Path) -> None:
    pid = ended(store, "a", "c")
    lines = [f"{pid} 0 a 7", f"{pid} 0 b 8", f"{pid} 1 c 8"]
    assert "ran again (in 8) after" in compared(store, tmp_path, [pid], lines, set()).wrong[0]
    thawed = compared(store, tmp_path, [pid], lines, {8})
    assert (thawed.wrong, thawed.thawed) == ([], 1)


def test_what_is_lost_is_found(store: Store, tmp_path: Path) -> None:
    pid = ended(store, "a", "b")
    lost = compared(store, tmp_path, [pid, pid + 1], [f"{pid} 0 a 7", f"{pid} 1 b 7"], set())
    assert lost.wrong == [f"the tree of {pid + 1} has 0 processes, not 1"]
    never = compared(store, tmp_path, [pid], [f"{pid} 0 a 7"], set())
    assert "never ran" in never.wrong[0]
    short = ended(store, "a")
    missing = compared(
        store, tmp_path, [pid, short], [f"{pid} 0 a 7", f"{pid} 1 b 7", f"{short} 0 a 7"], set()
    )
    assert missing.wrong == [f"process {short} finished with 1 steps, not 2"]


def test_what_is_left_behind_is_found(store: Store, tmp_path: Path) -> None:
    (pid,) = born(store, class_path=BLOCK)
    (stranger,) = born(store, class_path=BLOCK)
    found = compared(store, tmp_path, [pid], [f"{pid + 100} 0 a 7"], set())
    words = " ".join(found.wrong)
    assert f"process {pid} is created" in words
    assert f"there is a tree of {stranger}, which nobody submitted" in words
    assert "backlog" in words
    assert f"step 0 of process {pid + 100} ran, but there is no such process" in words
