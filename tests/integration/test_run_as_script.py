"""`run()` executes users' code as a script would: on its thread, in its debugger, as it is defined now."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from quince import InvalidInput, Process, WorkChain, Workspace, process, run
from quince.worker.inline import RunInterrupted
from quince.workspace.location import Location
from tests.crew import environment


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location(tmp_path, f"sqlite:///{tmp_path}/quince.db", f"local://{tmp_path}/messages")


def script(place: Location, text: str, answers: str = "") -> str:
    """What a script prints."""
    file = place.folder / "my-script.py"
    file.write_text(
        "import sys, threading\nfrom quince import WorkChain, process, run\n" + textwrap.dedent(text)
    )
    done = subprocess.run(
        [sys.executable, str(file)], env=environment(place), cwd=place.folder, input=answers,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_breakpoint_in_a_child_of_a_chain(place: Location) -> None:
    """On the main thread, with the terminal; what it changes there is what goes on."""
    said = script(
        place,
        """
        @process
        def child(x: int) -> int:
            breakpoint()
            return x
        class Chain(WorkChain):
            @classmethod
            def define(cls, spec):
                super().define(spec)
                spec.output("x")
                spec.outline(cls.first, cls.last)
            def first(self):
                self.to_context(child=self.submit(child, x=1))
            def last(self):
                self.out("x", self.ctx.child.outputs["result"])
        if __name__ == "__main__":
            print("ended", run(Chain)["x"])
        """,
        "p threading.current_thread() is threading.main_thread()\np 6 * x + 36\n!x = 7\nc\n",
    )
    assert "(Pdb) True\n" in said
    assert "(Pdb) 42\n" in said
    assert "ended 7" in said


def test_what_only_a_main_thread_may_do(place: Location) -> None:
    """And what a tracer of that thread sees, as coverage does."""
    said = script(
        place,
        """
        import asyncio, multiprocessing, signal
        lines = set()
        def trace(frame, event, _):
            lines.add(frame.f_code.co_name)
            return None
        def double(x):
            return 2 * x
        @process
        def everything() -> list:
            signal.signal(signal.SIGALRM, lambda *_: None)
            asyncio.run(asyncio.sleep(0))
            with multiprocessing.Pool(1) as pool:
                return pool.map(double, [1, 2])
        if __name__ == "__main__":
            sys.settrace(trace)
            print(run(everything)["result"], "everything" in lines)
        """,
    )
    assert said == "[2, 4] True\n"


@process
def which_thread() -> int:
    return threading.get_ident()


def test_steps_run_where_run_was_called(place: Location) -> None:
    """In any thread; but not beside a loop that runs there, as a notebook's does."""
    with Workspace(place) as home:
        here = threading.get_ident()
        assert run(which_thread, workspace=home) == {"result": here}

        async def cell() -> object:
            return run(which_thread, workspace=home)["result"]

        assert asyncio.run(cell()) != here
        assert asyncio.run(asyncio.to_thread(run, which_thread, workspace=home)) != {"result": here}


class Fan(WorkChain):
    """Its children block beside each other: on the calling thread, and on others."""

    @classmethod
    def define(cls, spec):  # type: ignore[no-untyped-def]
        super().define(spec)
        spec.input("barrier", valid_type=int)
        spec.output("threads")
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        self.to_context(all=[self.submit(meets) for _ in range(self.inputs.barrier)])

    def collect(self) -> None:
        self.out("threads", sorted(child.outputs["result"] for child in self.ctx.all))


barrier = threading.Barrier(3)


@process
def meets() -> int:
    barrier.wait(20)
    return threading.get_ident()


def test_steps_run_beside_each_other_all_the_same(place: Location) -> None:
    with Workspace(place) as home:
        threads = run(Fan, barrier=3, workspace=home)["threads"]
    assert len(set(threads)) == 3
    assert threading.get_ident() in threads


@process
def interrupted() -> None:
    os.kill(os.getpid(), 2)
    time.sleep(20)


@process
def survives() -> bool:
    try:
        os.kill(os.getpid(), 2)
        time.sleep(20)
    except KeyboardInterrupt:
        return True
    return False


def test_an_interrupt_is_the_step_s_and_then_that_of_run(place: Location) -> None:
    with Workspace(place) as home:
        began = time.monotonic()
        with pytest.raises(RunInterrupted, match="is killed") as raised:
            run(interrupted, workspace=home)
        assert time.monotonic() - began < 15
        row = home.store.get(raised.value.pid)
        assert row is not None
        assert row.state == "killed"
        assert run(survives, workspace=home) == {"result": True}


def test_the_class_that_was_defined_last_runs(
    place: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that is run again, with other ports; a module that is loaded again."""
    cell = """
class Cell(Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input({name!r}, valid_type=int)
        spec.output({name!r})
    def run(self):
        self.out({name!r}, self.inputs[{name!r}] * {factor})
"""
    module = tmp_path / "loaded_again.py"
    monkeypatch.syspath_prepend(tmp_path)
    names = {"Process": Process, "__name__": __name__}
    with Workspace(place) as home:
        monkeypatch.setattr(sys.modules[__name__], "Cell", None, raising=False)
        for name, factor in (("old", 1), ("new", 2)):
            exec(cell.format(name=name, factor=factor), names)
            monkeypatch.setattr(sys.modules[__name__], "Cell", names["Cell"])
            assert run(names["Cell"], workspace=home, **{name: 3}) == {name: 3 * factor}  # type: ignore[call-overload]
        with pytest.raises(InvalidInput):
            run(names["Cell"], workspace=home, old=3)  # type: ignore[call-overload]
        module.write_text(f"from quince import Process\n{cell.format(name='old', factor=1)}")
        loaded = importlib.import_module("loaded_again")
        assert run(loaded.Cell, old=3, workspace=home) == {"old": 3}
        module.write_text(f"from quince import Process\n{cell.format(name='newer', factor=2)}")
        importlib.reload(loaded)
        assert run(loaded.Cell, newer=3, workspace=home) == {"newer": 6}
    del sys.modules["loaded_again"]
