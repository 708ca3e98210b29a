"""What a step says while it runs, where no thread can be had that tells it."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quince.processes import telling
from quince.processes.telling import Teller, progress_of


def test_a_step_may_say_something_where_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with the end of the step; and, when there are threads again, before it."""
    told: list[Any] = []
    speaker: Any = SimpleNamespace(
        row=SimpleNamespace(pid=1, epoch=1),
        host=SimpleNamespace(id="w", tell=told.append),
        status="half way",
        record=SimpleNamespace(run=0, told=0, noted=False, progress=None, reports=[]),
    )
    teller = Teller()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        teller.note(speaker)
    teller.close(speaker, rest=True)
    assert [one.status for one in told] == ["half way"]
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.01)
    teller.note(speaker)
    worker = next(thread for thread in threading.enumerate() if thread.name == "quince-progress")
    worker.join(10)
    assert [one.status for one in told] == ["half way"] * 2


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (3, 3), (True, 1), (2.5, 2.5), (Decimal("2.5"), 2.5), (Fraction(5, 2), 2.5), (10**30, 1e30), (-1, -1),
        (np.int64(3), 3), (np.uint8(3), 3), (np.bool_(True), 1.0), (np.float32(2.5), 2.5),
        (np.float16(0.5), 0.5), (np.array(3), 3), (np.array(2.5), 2.5),
    ],
)  # fmt: skip
def test_progress_takes_numbers_of_every_kind(given: Any, number: float) -> None:
    progress = progress_of(given, given, None)
    assert progress.done == progress.total == number
    assert type(progress.done) is type(progress.total) is type(number)


@pytest.mark.parametrize(
    "given",
    [
        None, "3", b"3", [3], (), {}, object(), 3j, np.complex64(3), np.array([3]), np.array([1, 2]),
        math.nan, -math.inf, Decimal("NaN"), Decimal("1e999"), 10**400, np.float64("inf"), timedelta(1),
        int, np.datetime64(1, "s"),
    ],
)  # fmt: skip
def test_progress_says_what_is_no_number(given: Any) -> None:
    with pytest.raises(TypeError, match=r"progress\(done=...\) is a number, and not "):
        progress_of(given, None, None)
