"""Bad manners of steps, all kinds of them at once, harm neither others nor the worker."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quince import Workspace, submit, submit_many
from quince.client.handle import ProcessHandle
from tests.crew import Crew
from tests.integration.bad_manners import (
    ASYNC_KINDS,
    DEADLY,
    KINDS,
    Ordinary,
    OrdinaryCoroutines,
    Tidy,
    rude,
    rude_async,
)

HARD_SECONDS = 10.0
"""So long the longest step of the rude ones takes. The ordinary ones do not wait for it."""


class Heartbeats(threading.Thread):
    """Watches when workers are heard."""

    def __init__(self, home: Workspace) -> None:
        super().__init__()
        self.latest = 0.0
        self._home = home
        self._heard: dict[str, float] = {}
        self._over = threading.Event()

    def __enter__(self) -> Heartbeats:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.05):
            for worker in self._home.store.workers():
                before = self._heard.setdefault(worker.id, worker.heartbeat)
                self.latest = max(self.latest, worker.heartbeat - before)
                self._heard[worker.id] = worker.heartbeat


def has_killed_its_host(handle: ProcessHandle) -> bool:
    lines = [str(line.body) for line in handle.history()]
    return any("its step host" in line and "not to blame" not in line for line in lines)


@pytest.mark.timeout(240)
def test_bad_manners(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    workers = crew.start(2, slots=64)
    clean = submit(Ordinary, x=0, workspace=home).result(30)["seen"]
    with Heartbeats(home) as heartbeats:
        handles = {
            name: submit(process, kind=name, folder=str(tmp_path), workspace=home)
            for kinds, process in ((KINDS, rude), (ASYNC_KINDS, rude_async))
            for name in kinds
        }
        functions = submit_many(Ordinary, [{"x": x} for x in range(60)], workspace=home)
        coroutines = submit_many(OrdinaryCoroutines, [{"x": x} for x in range(40)], workspace=home)
        for x, handle in enumerate(functions):
            done = handle.result(60)
            assert done["x"] == x + 1
            assert {name: seen for name, seen in done["seen"].items() if seen != clean[name]} == {}
        for x, handle in enumerate(coroutines):
            assert handle.result(60) == {"x": x + 1}
        ordinary = [one.row for one in [*functions, *coroutines]]
        for name, rude_one in handles.items():
            assert rude_one.result(60) == {"result": "done"}, name
    hard = handles["keeps_the_interpreter_lock"].row
    assert hard.epoch == 1, "nobody took its worker for dead"
    assert max(row.ended or 0.0 for row in ordinary) < (hard.ended or 0.0) or all(
        row.ended and row.ended - row.created < HARD_SECONDS for row in ordinary
    )
    assert heartbeats.latest < HARD_SECONDS
    known = {name for name, one in handles.items() if has_killed_its_host(one)}
    assert known - {"closes_all_files_in_a_coroutine"} == DEADLY, "of that one it may be uncertain"
    began = time.monotonic()
    families = [
        one for worker in workers for one in psutil.Process(worker.process.pid).children(recursive=True)
    ]
    for worker in workers:
        worker.process.send_signal(signal.SIGTERM)
    assert [worker.process.wait(60) for worker in workers] == [0, 0]
    assert time.monotonic() - began < 30, "what was left kept nobody"
    _, alive = psutil.wait_procs(families, 30)
    assert alive == []


HANDLES_SIGNALS = """
import asyncio, faulthandler, signal, warnings
from quince import process
faulthandler.enable()
warnings.simplefilter("error")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: None)

@process
def asks() -> str:
    return signal.getsignal(signal.SIGUSR1).__name__

@process
async def asks_in_a_coroutine() -> str:
    return signal.getsignal(signal.SIGUSR1).__name__
"""


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of this program, put back in the end."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    with warnings.catch_warnings():
        yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_module_that_handles_signals(home: Workspace, crew: Crew) -> None:
    """It is loaded as in a script, and what it has set at its import is there in each step."""
    (home.location.folder / "handlers.py").write_text(HANDLES_SIGNALS)
    (worker,) = crew.start()
    asks = home.registry.load_class("handlers.py:asks")
    coroutine = home.registry.load_class("handlers.py:asks_in_a_coroutine")
    for target in (asks, coroutine, asks, coroutine, coroutine):
        assert submit(target, workspace=home).result(30) == {"result": "<lambda>"}
    assert worker.stop() == 0


def test_a_host_in_which_nothing_was_left_is_used_again(home: Workspace, crew: Crew) -> None:
    crew.start()
    hosts = [host for _ in range(3) for host in submit(Tidy, workspace=home).result(30)["hosts"]]
    assert hosts == [hosts[0]] * 12
