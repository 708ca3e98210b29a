"""A workspace for one test: in memory, with a worker in this program, and a clock that can be moved."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from quince import import_order
from quince.concurrency import settle
from quince.messages import worker_of_run
from quince.moments import Duration, seconds_of
from quince.patience import on_loop
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince.testing.arguments import file_name
from quince.testing.flaky_services import calls_of, write_program
from quince.testing.grounds import place_of
from quince.testing.memory import MemoryDatabase
from quince.testing.skipping import SkippingClock
from quince.worker.worker import Worker
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace, prepare, standing_in
from quince_messaging.errors import MessagingError
from quince_messaging.transports import memory as broker
from quince_persistence import clock as store_clock
from quince_persistence.records import ProcessRow, Selection

LONGEST_LOOK = 0.02
"""Seconds between two looks at whether all is at rest."""
SETTLE_SECONDS = 30.0
PROGRAMS = ".quince/programs"
MEMORY = "memory://"
LEAVE_SECONDS = 1.0
"""Seconds that steps have at the end of a test; those that go on longer are left alone."""
LAST_SECONDS = 30.0


class Sandbox:
    """What a test has; made by the fixture `quince_sandbox`, or by `with sandbox() as box:`.

    Attributes:
        workspace: Where `submit`, `run`, `find` and all else take place meanwhile, if not told otherwise.
        clock: Its time: `clock.advance(hours=6)`.
    """

    def __init__(self, workspace: Workspace, worker: Worker, database: MemoryDatabase) -> None:
        self.workspace = workspace
        self.clock = SkippingClock(self)
        self._worker = worker
        self._database = database
        self._closed = False

    @property
    def folder(self) -> Path:
        """The workspace's folder, which is the working directory; it is gone after the test."""
        return self.workspace.location.folder

    def settle(self, timeout: Duration = SETTLE_SECONDS) -> None:
        """Return when nothing goes on by itself any more: every process has ended, or waits for time to
        pass, for a signal, for a limit or for a person.

        Args:
            timeout: Seconds that it may take.

        Raises:
            TimeoutError: It took longer; names what is still at work, and why.
            RuntimeError: The sandbox is closed.
            ValueError: The timeout is no number of seconds.
        """
        seconds = seconds_of(timeout)
        self._require_open()
        until, pause = time.monotonic() + seconds, 0.0
        while busy := self._busy() or self._after_a_look():
            if time.monotonic() > until:
                raise TimeoutError(f"not at rest after {seconds:g} s: {self._story(busy)}")
            self._hand_over(busy)
            time.sleep(pause)
            pause = min(LONGEST_LOOK, pause + 0.001)

    def program(
        self, name: str, *, prints: str = "", fails: int = 0, complains: str = "failed", exit_status: int = 1
    ) -> Callable[[], list[str]]:
        """Until the end of the test there is a program of this name, in the place of one that is installed.

        Args:
            prints: What it writes to its standard output.
            fails: How often it ends badly first.
            complains: What it writes to its standard error then.
            exit_status: With which it ends then.

        Returns:
            A function that tells the arguments of each call so far.

        Raises:
            ValueError: One of them makes no sense; says which.
            RuntimeError: The sandbox is closed.
        """
        self._require_open()
        file_name("program()", name)
        folder = self.folder / PROGRAMS
        if not folder.is_dir():
            folder.mkdir(parents=True)
            os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        file = folder / name
        write_program(file, prints=prints, fails=fails, complains=complains, exit_status=exit_status)
        return lambda: calls_of(file)

    def store_away(self) -> AbstractContextManager[None]:
        """`with box.store_away():` the store answers nobody, as a server that is restarted: `submit` raises
        `StoreUnavailable`, and steps that have ended wait to be committed.

        Raises:
            RuntimeError: The sandbox is on disk, or closed.
        """
        self._require_memory("store_away()")
        return self._database.away()

    def broker_away(self) -> AbstractContextManager[None]:
        """`with box.broker_away():` the broker answers nobody, as a server that is restarted: what is
        submitted is kept, and begins when it is back; `run`, which connects anew, raises `ConnectionFailed`.

        Raises:
            RuntimeError: The sandbox is on disk, or closed.
        """
        self._require_memory("broker_away()")
        _ = self.workspace.communicator  # as of a program that was connected before
        return broker.away(self._broker)

    @property
    def _broker(self) -> str:
        return self.workspace.location.broker.removeprefix(MEMORY)

    def close(self) -> None:
        """No more of it: what is away comes back, so that all can end in order."""
        self._closed = True
        self._database.back()
        broker.back(self._broker)

    def _require_memory(self, what: str) -> None:
        self._require_open()
        if self.workspace.location.opener is None:
            raise RuntimeError(f"{what} is for a sandbox in memory, and this one is in {self.folder}")

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("the sandbox is closed: it is there until its test, or its block, ends")

    def look(self) -> None:
        """Have the worker see to everything that is due.

        Raises:
            RuntimeError: The sandbox is closed.
        """
        self._require_open()
        try:
            self._await(self._worker.look())
        except MessagingError:  # of what needs no broker, all is seen to
            if not broker.is_away(self._broker):
                raise

    def _await(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._worker.loop).result(SETTLE_SECONDS)

    def _busy(self) -> list[ProcessRow]:
        moment, tasks = store_clock.now(), not broker.is_away(self._broker)
        return [
            row
            for row in self.workspace.store.select(Selection(live=True))
            if (row.ready and (tasks or row.owner is not None))
            or row.intent is not None
            or (row.due is not None and row.due <= moment)
            or (row.deadline is not None and row.deadline <= moment)
        ]

    def _after_a_look(self) -> list[ProcessRow]:
        """Those that are at work once the worker has seen to what it sees to now and then."""
        self.look()
        return self._busy()

    def _hand_over(self, busy: list[ProcessRow]) -> None:
        """To the worker what stands on a queue that it does not consume yet."""
        for queue in {row.queue for row in busy if row.owner is None} - {*self._worker.queues}:
            if worker_of_run(queue) is None:
                self._await(self._worker.consume(queue))

    def _story(self, busy: list[ProcessRow]) -> str:
        return "; ".join(
            f"process {row.pid} ({row.class_path}) {row.state} in {row.step}" for row in busy[:5]
        )


@contextmanager
def sandbox(folder: Path | str | None = None) -> Iterator[Sandbox]:
    """A workspace for the block, and nothing of it afterwards: no file, thread, program or variable.

    It is the one that is found from everywhere in this program, its folder is the working directory, and a
    worker in this program runs what is submitted. Sandboxes may be nested, but not used side by side.

    Args:
        folder: An existing, empty one: the workspace is on disk there, and stays; other programs and the
            command line may use it. Else it lives in memory.

    Raises:
        RuntimeError: Another thread or task of this program has one open.
        ValueError: The folder is none.
    """
    if folder is not None and not isinstance(folder, (str, Path)):
        raise ValueError(f"sandbox(): folder is {folder!r}, and must be a path, or nothing")
    with ExitStack() as stack:
        stack.enter_context(_alone())
        stack.enter_context(surroundings())
        database = stack.enter_context(MemoryDatabase.lent())
        location = _in_memory(database, stack) if folder is None else place_of(Path(folder).resolve())
        prepare(location)
        stack.enter_context(contextlib.chdir(location.folder))
        workspace = stack.enter_context(Workspace(location))
        stack.enter_context(standing_in(workspace))
        worker = stack.enter_context(_at_work(workspace))
        box = Sandbox(workspace, worker, database)
        stack.callback(box.clock.reset)
        stack.callback(box.close)
        yield box


_open: list[tuple[int, object]] = []
"""By which thread and task each of those that are open was opened; the innermost is the last."""
_guard = threading.Lock()


@contextmanager
def _alone() -> Iterator[None]:
    """The working directory, the environment and the clock are the program's: of two that are open, one lies
    in the other."""
    task = asyncio.current_task() if on_loop() else None
    mine = threading.get_ident(), task
    with _guard:
        if _open and (_open[-1][0] != mine[0] or _open[-1][1] not in (None, task)):
            raise RuntimeError(
                "another thread or task of this program has a sandbox open: they may be nested, but not used "
                "side by side; tests that run at the same time need programs of their own (pytest-xdist)"
            )
        _open.append(mine)
    try:
        yield
    finally:
        with _guard:
            _open.remove(mine)


@contextmanager
def surroundings() -> Iterator[None]:
    """Let a workspace be found by its folder alone; put back then what the interpreter has looked like."""
    path, variables = list(sys.path), dict(os.environ)
    for name in (STORE_VARIABLE, BROKER_VARIABLE):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for folder in {*sys.path} - {*path}:
            import_order.forget(folder)
        sys.path[:] = path
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)


def _in_memory(database: MemoryDatabase, stack: ExitStack) -> Location:
    folder = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="quince-", ignore_cleanup_errors=True))
    )
    return Location(
        folder.resolve(),
        "sqlite://",
        f"{MEMORY}sandbox-{secrets.token_hex(4)}",
        opener=database.store,
    )


@contextmanager
def _at_work(workspace: Workspace) -> Iterator[Worker]:
    worker = Worker(
        workspace.location,
        name="sandbox",
        registry=workspace.registry,
        checked=True,
        grace=lambda: LEAVE_SECONDS,
    )
    started, ended = threading.Event(), Future[None]()
    ended.add_done_callback(lambda _: started.set())
    thread = threading.Thread(
        target=settle,
        args=(ended, lambda: asyncio.run(worker.run(started))),
        name="quince-sandbox",
        daemon=True,
    )
    thread.start()
    started.wait()
    if ended.done():
        ended.result()
    try:
        yield worker
    finally:
        worker.stop()
        try:
            ended.result(LAST_SECONDS)
        except TimeoutError:
            raise TimeoutError(
                "the worker of the sandbox does not end: a coroutine holds up its event loop"
            ) from None
        thread.join()
