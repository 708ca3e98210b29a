"""What makes no sense in a test of workflows is told in one sentence, by what it was given to."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quince.testing import excepted, failing, finished, run_step, sandbox
from tests import flows

NO_SENSE: list[tuple[Callable[[], Any], str]] = [
    (lambda: failing(times=-1), "times is -1, and must be a whole number from 0 on"),
    (lambda: failing(times=math.inf), "times is inf"),  # type: ignore[arg-type]
    (lambda: failing(error="no"), "error is 'no', and must be an exception"),  # type: ignore[arg-type]
    (lambda: failing(error=UnicodeDecodeError), "UnicodeDecodeError cannot be made of a sentence"),
    (lambda: failing(5), "5 is no function; a value is given as returns=5"),  # type: ignore[arg-type]
    (lambda: failing(len, returns=3), "leave returns out"),
    (lambda: finished([1]), r"outputs is \[1\], and must be a mapping"),  # type: ignore[arg-type]
    (lambda: finished({}, "x"), "exit_status is 'x', and must be a whole number"),  # type: ignore[arg-type]
    (lambda: excepted(5), "error is 5, and must be an exception"),  # type: ignore[arg-type]
    (lambda: run_step(flows.Family, "launch", ctx=[1]), r"ctx is \[1\], and must be a mapping"),  # type: ignore[arg-type]
    (lambda: run_step(flows.Family, "launch", inputs=5), "inputs is 5"),  # type: ignore[arg-type]
    (lambda: run_step(flows.add, inputs={"x": 1}, ctx={"a": 1}), "add is no work chain, and has no ctx"),
    (lambda: sandbox(5).__enter__(), "folder is 5, and must be a path"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "said"), NO_SENSE)
def test_what_makes_no_sense(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_what_makes_no_sense_to_a_sandbox_and_to_one_that_is_closed(tmp_path: Path) -> None:
    with sandbox() as box:
        for given in (math.inf, math.nan, -1, "soon", None, 1e20):
            with pytest.raises(ValueError, match=r"advance\(\) takes how much time is to pass"):
                box.clock.advance(given)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="hours is '2 h', and must be a number"):
            box.clock.advance(hours="2 h")  # type: ignore[arg-type]
        before = box.clock.now
        box.clock.advance("1 h")
        box.clock.advance(timedelta(hours=1))
        assert 7200 <= (box.clock.now - before).total_seconds() < 7260
        for name in ("", "..", "a/b", "a\0b", 5, "x" * 300):
            with pytest.raises(ValueError, match=r"program\(\): the name is "):
                box.program(name)  # type: ignore[arg-type]
        for odd in (
            {"fails": -1},
            {"fails": "1"},
            {"exit_status": 0},
            {"exit_status": 300},
            {"prints": b"x"},
        ):
            with pytest.raises(ValueError, match=rf"program\(\): {next(iter(odd))} is "):
                box.program("sbatch", **odd)
        with pytest.raises(ValueError, match="'soon' is no duration"):
            box.settle("soon")
    for late in (
        box.settle,
        box.look,
        box.clock.advance,
        box.store_away,
        box.broker_away,
        lambda: box.program("x"),
    ):
        with pytest.raises(RuntimeError, match="the sandbox is closed"):
            late()
    with sandbox(tmp_path) as box, pytest.raises(RuntimeError, match="is for a sandbox in memory"):
        box.store_away()


def test_two_sandboxes_lie_in_each_other_and_not_side_by_side() -> None:
    said = []

    def beside() -> None:
        with (
            pytest.raises(RuntimeError, match="they may be nested, but not used side by side") as refused,
            sandbox(),
        ):
            pass
        said.append(refused.value)

    with sandbox() as outer, sandbox() as inner:
        assert Path.cwd() == inner.folder != outer.folder
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
    assert said
    with sandbox():
        pass
