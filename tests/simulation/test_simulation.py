"""The simulation holds, is the same for the same seed, and finds what is broken on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from quince.recovery.sweeper import Sweeper
from quince_persistence.records import Recorded
from quince_persistence.store import Store
from quince_persistence.writing.operations.base import ClaimedOperation
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


MUTATIONS: dict[str, list[tuple[Any, str, Callable[..., Any]]]] = {
    "writes are not fenced": [(ClaimedOperation, "apply", unfenced)],
    "once-blocks are not remembered": [(Store, "recorded", forgets_records)],
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
