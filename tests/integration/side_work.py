"""A worker inside of the test's own program, whose side work can be struck."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from quince.processes.creation import new_process
from quince.worker.worker import Worker
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_messaging.side_tasks import OWNERS, SideTask, SideTasks
from tests.flows import Double

PATH = "tests.flows:Double"


class AtWork:
    """A worker on a thread, ready when the block begins."""

    def __init__(self, location: Location, slots: int = 8) -> None:
        self.before = set(OWNERS)
        self.worker = Worker(location, slots=slots, name="inside", linger=0.1)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._error: BaseException | None = None

    def _main(self) -> None:
        try:
            asyncio.run(self.worker.run(self._ready))
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        assert self._error is None, self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worker.leave()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._error is None, self._error

    def kept(self) -> list[tuple[SideTasks, SideTask]]:
        """All that is kept going for this worker, in its communicator too."""
        owners = [owner for owner in set(OWNERS) - self.before if not owner.closed]
        return [(owner, kept) for owner in owners for kept in list(owner.kept.values())]


def until(holds: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Wait until something holds; what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError(f"it never came to this: {what}")


def strike(kept: SideTask, failure: BaseException | None) -> None:
    """Let it fail where it stands: what it waits for brings a failure; None: a stranger cancels it."""
    before = kept.begun

    def now() -> None:
        task: Any = kept.task
        if kept.begun != before or task is None or task.done():
            return
        waiter = task._fut_waiter
        if failure is None:
            task.cancel()
        elif waiter is not None and not waiter.done():
            waiter.cancel() if isinstance(failure, asyncio.CancelledError) else waiter.set_exception(failure)

    def begun_again() -> bool:
        task: Any = kept.task
        if kept.begun == before and task is not None:
            task.get_loop().call_soon_threadsafe(now)
        return kept.begun > before

    until(begun_again, f"{kept.name} is begun again after {failure!r}")


def without_a_doorbell(home: Workspace, n: int = 1) -> list[int]:
    """Processes that are ready, and nobody was told."""
    pids = home.store.allocate_pids(n)
    processes = [new_process(Double, {"value": pid}, pid=pid, class_path=PATH) for pid in pids]
    return list(home.store.insert(processes).result())


def ended(home: Workspace, pids: list[int]) -> bool:
    """All of them have finished."""
    rows = [home.store.get(pid) for pid in pids]
    return all(row is not None and row.state.value == "finished" for row in rows)
