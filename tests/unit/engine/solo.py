"""One process claimed on a store in memory, stepped by hand: no worker, no broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quince.processes import checkpoint
from quince.processes.creation import new_process
from quince.processes.execution import Execution, execution_of
from quince.processes.process import Process
from quince.workspace.class_loader import ClassLoader
from quince_persistence.records import Claim, State
from quince_persistence.records.steps import Step, Telling
from quince_persistence.store import Store


class Solo:
    """A worker's place in the life of one process.

    Attributes:
        id, store, troubles: What a running process asks of its host.
        executions: Those that run here.
    """

    def __init__(self, store: Store, worker_id: str = "w1") -> None:
        self.id = worker_id
        self.store = store
        self.troubles: dict[int, str] = {}
        self.tellings: list[Telling] = []
        self._registry = ClassLoader(Path.cwd())
        self.executions: list[Execution] = []  # which live as long as their worker

    def new_pid(self, *, within: float | None = None) -> int:
        return self.store.allocate_pids(1, within=within)[0]

    def ordered(self, pid: int) -> bool | None:
        return None

    def under_terms(self, pid: int, step: str, seconds: float | None, on_failure: str | None) -> None: ...

    def revision(self, path: str) -> str | None:
        return self._registry.revision(path)

    def tell(self, telling: Telling) -> None:
        """What steps say is kept."""
        self.tellings.append(telling)

    def name_of(self, cls: Any) -> str:
        return self._registry.name_of(cls)

    def submitted(self, cls: type[Process], **inputs: Any) -> int:
        new = new_process(cls, inputs, pid=self.new_pid(), class_path=self.name_of(cls))
        return self.store.insert([new]).result()[0]

    def claimed(self, pid: int) -> Claim:
        (claim,) = self.store.claim([pid], self.id).result()
        return claim

    def process(self, cls: type[Process], **inputs: Any) -> Any:
        """A process that stands before its first step."""
        return self.restored(cls, self.submitted(cls, **inputs))

    def restored(self, cls: type[Process], pid: int) -> Any:
        """A process that goes on from what the store holds."""
        execution, _ = checkpoint.restore(cls, self.claimed(pid), self)
        self.executions.append(execution)
        return execution.process

    def committed(self, process: Any) -> None:
        """Its state of now, in the store, as after a step."""
        execution = execution_of(process)
        row = execution.row
        step = Step(row.pid, self.id, row.epoch, State.RUNNING, checkpoint=checkpoint.save(execution))
        assert not self.store.commit(step).result().fenced

    def again(self, process: Any, cls: type[Process] | None = None) -> Any:
        """The process as the next worker makes it, after this one has died."""
        self.store.release_worker(self.id).result()
        return self.restored(cls or type(process), process.pid)


@contextmanager
def solo() -> Iterator[Solo]:
    with Store("sqlite://") as store:
        yield Solo(store)
