"""The code that workers run: found as by `python file.py`, as it stands when a process begins or returns."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from quince import ProcessExcepted, ProcessHandle, ProcessHeld, Workspace
from quince.cli.history_view import history_lines
from quince.client.notify import enqueue
from quince.client.why import why
from quince.workspace.location import Location
from quince.workspace.revision import revision_of
from quince_persistence.codec import encode
from quince_persistence.records import NewProcess
from tests.crew import Crew, WorkerProcess, environment, eventually
from tests.forked import ForkServer


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location(tmp_path, f"sqlite:///{tmp_path}/quince.db", f"local://{tmp_path}/messages")


@pytest.fixture
def here(place: Location) -> Iterator[Workspace]:
    with Workspace(place) as workspace:
        yield workspace


@pytest.fixture
def worker(here: Workspace, worker_forks: ForkServer) -> Iterator[WorkerProcess]:
    """One worker, at work."""
    with closing(Crew(here.location, worker_forks)) as crew:
        yield crew.start()[0]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("from quince import Process, WorkChain, process, signal_\n" + textwrap.dedent(text))


def submitted(home: Workspace, path: str, *, version: str = "1", **inputs: Any) -> ProcessHandle:
    """A process of the class of this path, which is not imported here."""
    (pid,) = home.store.allocate_pids(1)
    new = NewProcess(pid, path, encode(inputs), class_version=version)
    home.store.insert([new]).result()
    row = home.store.get(pid)
    assert row is not None
    enqueue(home, [row])
    return ProcessHandle(pid, home)


def result(handle: ProcessHandle) -> Any:
    return handle.result(30)["result"]


def test_each_folder_has_its_own_modules(here: Workspace, worker: WorkerProcess) -> None:
    """Also those that a step imports; the workspace's own come after them, the standard library before."""
    for name in ("a", "b"):
        write(here.location.folder / name / "settings.py", f"WHO = 'settings of {name}'")
        write(here.location.folder / name / "helper.py", f"WHO = 'helper of {name}'")
        write(here.location.folder / name / "random.py", "")
        write(
            here.location.folder / name / "flow.py",
            """
            import sys
            from pathlib import Path
            from settings import WHO
            from common import WHICH
            BESIDE = Path(__file__).with_name("settings.py").is_file() and sys.path[0]
            @process
            def who() -> list:
                from helper import WHO as lazily
                from random import random
                return [WHO, lazily, WHICH, BESIDE, __name__, random() < 1]
            if __name__ == "__main__":
                raise AssertionError
            """,
        )
    write(here.location.folder / "common.py", "WHICH = 'common'")
    write(here.location.folder / "settings.py", "WHO = 'settings of the workspace'")
    handles = [submitted(here, f"{name}/flow.py:who") for name in "abab"]
    for handle, name in zip(handles, "abab", strict=True):
        expected = [
            f"settings of {name}",
            f"helper of {name}",
            "common",
            str(here.location.folder / name),
            "flow",
        ]
        assert result(handle) == [*expected, True]


@pytest.mark.parametrize("name", ["01_relax.py", "my flow.py", "my-flow.py", "v1.2.py", "sub/queue.py"])
def test_a_file_is_called_as_scripts_are(here: Workspace, worker: WorkerProcess, name: str) -> None:
    """What its main thread imports may do what only a main thread may; a child of its finds it again."""
    write(
        here.location.folder / name,
        """
        import asyncio, multiprocessing, signal, sys
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        asyncio.run(asyncio.sleep(0))
        def double(x):
            return 2 * x
        with multiprocessing.get_context("fork").Pool(1) as pool:
            FOUR = pool.map(double, [2])
        @process
        def four() -> list: return FOUR
        @process
        async def fails() -> list: raise ValueError("here")
        """,
    )
    assert result(submitted(here, f"{name}:four")) == [4]
    first = submitted(here, f"{name}:fails")
    first.wait(30)
    again = submitted(here, f"{name}:fails")  # now in a host of coroutines, on whose loop nothing is imported
    again.wait(30)
    for handle in (first, again):
        with pytest.raises(ProcessExcepted, match="ValueError: here") as raised:
            handle.result(1)
        assert f'{name}", line' in raised.value.traceback


def test_code_is_as_it_stands(here: Workspace, worker: WorkerProcess) -> None:
    """An edit within the same second, of the same size; a module that it imports; a class that was added."""
    flow, helper = here.location.folder / "flow.py", here.location.folder / "helper.py"
    write(helper, "def said(): return 'v1'")
    write(flow, "import helper\n@process\ndef f() -> str: return 'a ' + helper.said()")
    assert result(submitted(here, "flow:f")) == "a v1"
    write(helper, "def said(): return 'v2'")
    assert result(submitted(here, "flow:f")) == "a v2"
    write(flow, "import helper\n@process\ndef f() -> str: return 'b ' + helper.said()")
    assert result(submitted(here, "flow:f")) == "b v2"
    with flow.open("a") as file:
        file.write("\n@process\nasync def g() -> str: return 'g'")
    assert result(submitted(here, "flow:g")) == "g"
    assert result(submitted(here, "flow:g")) == "g"
    with flow.open("a") as file:
        file.write("\n@process\nasync def g() -> str: return 'h'")
    assert result(submitted(here, "flow:g")) == "h"


CHAIN = """
    import time
    from pathlib import Path
    class Chain(WorkChain):
        version = "{version}"
        @classmethod
        def define(cls, spec):
            super().define(spec)
            spec.output("result")
            spec.outline(cls.first, cls.second)
        @classmethod
        def migrate(cls, memory, version):
            memory["ctx"]["migrated"] = version
            return memory
        def first(self):
            Path("begun").touch()
            while not Path("go").exists():
                time.sleep(0.01)
            self.ctx.by = "{version}"
            self.to_context(answer=signal_("go"))
        def second(self):
            self.out("result", [self.ctx.by, "{version}", self.ctx.get("migrated")])
"""


def test_a_step_ends_with_what_it_began_with_and_returns_to_the_new(
    here: Workspace, worker: WorkerProcess
) -> None:
    """Whether it waited in memory or out of it; the new version has the old checkpoint migrated."""
    write(here.location.folder / "flow.py", CHAIN.format(version="1"))
    handles = [submitted(here, "flow:Chain") for _ in range(2)]
    eventually(lambda: (here.location.folder / "begun").exists())
    assert "changed" not in str(why(here, handles[0].pid))
    write(here.location.folder / "flow.py", CHAIN.format(version="2"))
    assert "flow.py has been changed since it was taken up" in str(why(here, handles[0].pid))
    (here.location.folder / "go").touch()
    for handle in handles:
        handle.signal("go")
    assert result(handles[0]) == ["1", "2", "1"]
    assert result(handles[1])[1] == "2"


def test_a_worker_imports_no_code_of_users(place: Location, here: Workspace) -> None:
    write(
        place.folder / "flow.py",
        """
        import helper
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: int
        @process
        async def leaf(x: int) -> int:
            raise SystemExit
        class Chain(WorkChain):
            @classmethod
            def define(cls, spec):
                super().define(spec)
                spec.output("result")
                spec.outline(cls.first, cls.second)
            def first(self):
                self.ctx.point = Point(3)
                self.to_context(leaf=self.submit(leaf, x=1))
            def second(self):
                self.out("result", self.ctx.point.x)
        """,
    )
    write(place.folder / "helper.py", "")
    program = """
        import sys
        from pathlib import Path
        from quince.worker.service import serve
        from quince.workspace.location import Location
        folder = sys.argv[1]
        serve(Location(Path(folder), *sys.argv[2:]))
        files = [str(getattr(module, "__file__", None)) for module in list(sys.modules.values())]
        print([file for file in files if file.startswith(folder)], "flow" in sys.modules)
    """
    words = [sys.executable, "-c", textwrap.dedent(program), str(place.folder), place.store, place.broker]
    with subprocess.Popen(words, env=environment(place), stdout=subprocess.PIPE, text=True) as process:
        assert result(submitted(here, "flow:Chain")) == 3
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert out.split()[-2:] == ["[]", "False"]


def test_the_history_says_which_code_ran(here: Workspace, worker: WorkerProcess) -> None:
    """Each end of a stretch of steps has it; a change between two of them is one line more."""
    folder = here.location.folder
    write(folder / "flow.py", CHAIN.format(version="1"))
    (folder / "go").touch()
    handle = submitted(here, "flow:Chain")
    eventually(lambda: handle.row.state == "waiting")
    before = revision_of("flow:Chain", folder)
    write(folder / "flow.py", CHAIN.format(version="2"))
    handle.signal("go")
    result(handle)
    after = revision_of("flow:Chain", folder)
    events = [event for event in here.store.events(handle.pid) if event.kind in ("state", "revision")]
    told = [
        (event.body["to"], event.body.get("revision")) for event in events if event.body["to"] != "running"
    ]
    assert told == [
        ("waiting", before), (after, None), ("finished", after)
    ]  # fmt: skip
    lines = "\n".join(line.plain for line in history_lines(events))
    assert f"running → waiting (code {before})" in lines
    assert f"its code was changed: {before} → {after}" in lines


def test_nothing_is_held_while_somebody_edits(here: Workspace, worker: WorkerProcess) -> None:
    """A file that cannot be imported for longer than one is half-written; it is old enough for that."""
    flow = here.location.folder / "flow.py"
    text = "@process\ndef f() -> str: return 'ran'\n"
    write(flow, text)
    assert result(submitted(here, "flow:f")) == "ran"
    write(flow, text + "def g(:")
    os.utime(flow, (time.time() - 60, time.time() - 60))
    handle = submitted(here, "flow:f")
    eventually(lambda: "somebody is editing it" in handle.why().sentence)
    write(flow, text)
    assert result(handle) == "ran"
    write(flow, text + "def g(:")
    os.utime(flow, (time.time() - 6000, time.time() - 6000))
    with pytest.raises(ProcessHeld, match=r"it cannot be loaded: .*SyntaxError"):
        submitted(here, "flow:f").result(30)


def test_what_another_worker_has_run_is_not_held_while_somebody_edits(
    here: Workspace, worker_forks: ForkServer
) -> None:
    """A worker that has never loaded the class returns to a process of it."""
    flow = here.location.folder / "flow.py"
    text = CHAIN.format(version="1")
    write(flow, text)
    (here.location.folder / "go").touch()
    with closing(Crew(here.location, worker_forks)) as crew:
        (first,) = crew.start()
        handle = submitted(here, "flow:Chain")
        eventually(lambda: handle.row.state == "waiting")
        first.stop()
        write(flow, text + "    def g(:")
        os.utime(flow, (time.time() - 60, time.time() - 60))
        crew.start()
        handle.signal("go")
        eventually(lambda: "somebody is editing it" in handle.why().sentence)
        write(flow, text)
        result(handle)


def test_what_one_checkout_lacks_another_one_runs(tmp_path: Path, worker_forks: ForkServer) -> None:
    """A class that is not there, and one that is older; what none has is held, with nothing to wait for."""
    urls = f"sqlite:///{tmp_path}/quince.db", f"local://{tmp_path}/messages"
    old, new = (Location(tmp_path / name, *urls) for name in ("old", "new"))
    for place in (old, new):
        place.folder.mkdir()
    write(old.folder / "flow.py", "@process\ndef f() -> str: return 'old'")
    write(
        new.folder / "flow.py",
        "@process\ndef f() -> str: return 'new'\n@process\ndef g() -> str: return 'new'",
    )
    with open(new.folder / "flow.py", "a") as file:  # noqa: PTH123
        file.write("\nf.process_class.version = '2'\n")
    with Workspace(new) as home, closing(Crew(old, worker_forks, names="old")) as others:
        others.start(1)
        with closing(Crew(new, worker_forks, names="new")) as crew:
            crew.start(1)
            versions = {"f": "2", "g": "1"}
            handles = [submitted(home, f"flow:{name}", version=versions[name]) for name in "gfgfgf"]
            assert [result(handle) for handle in handles] == ["new"] * 6
            with pytest.raises(ProcessHeld, match="has no 'h'"):
                submitted(home, "flow:h").result(30)
        with pytest.raises(ProcessHeld, match="this code is older"):
            submitted(home, "flow:f", version="2").result(30)
