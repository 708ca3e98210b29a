"""A process seen by the work chain that waits for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakMethod

from quince.errors import ResultUnavailable
from quince.processes.namespace import Namespace
from quince_persistence.codec import decode, register_type
from quince_persistence.records import TERMINAL, Result, State

TAG = "quince.child"
"""Marks a process in encoded values, by its pid and its class."""
Read = Callable[[int], bytes | None]


class ProcessReference:
    """Stands for a process, by its pid: what `self.submit` returned, or a handle."""

    __slots__ = ()
    pid: int


class ChildProcess(ProcessReference):
    """A process that was submitted by a step, as the later steps see it in their context.

    A checkpoint holds its pid alone; how it ended is read from the store when the chain goes on. Outputs
    that are not small are read when they are asked for, each time, and kept by nobody but who asked.

    Attributes:
        pid: Its pid.
        class_path: Its class.
    """

    __slots__ = ("__weakref__", "_gone", "_read", "_result", "class_path", "pid")

    def __init__(self, pid: int, class_path: str = "") -> None:
        self.pid = pid
        self.class_path = class_path
        self._result: Result | None = None
        self._read: WeakMethod[Read] | None = None
        self._gone = False

    @property
    def class_name(self) -> str:
        """The class without its module."""
        return self.class_path.rpartition(":")[2]

    @property
    def state(self) -> State:
        """Its state when the chain last woke; `created` if the chain has not waited for it yet."""
        return State.CREATED if self._result is None else self._result.row.state

    @property
    def known(self) -> bool:
        """It was in the store when the chain last woke."""
        return self._result is not None

    @property
    def terminated(self) -> bool:
        """It had ended, in whatever way, when the chain last woke."""
        return self.state in TERMINAL

    @property
    def is_finished_ok(self) -> bool:
        """It finished with exit status 0."""
        return self.state is State.FINISHED and self.exit_status == 0

    @property
    def exit_status(self) -> int | None:
        """0 if it finished well, another number if not; None if it has not finished."""
        return None if self._result is None else self._result.row.exit_status

    @property
    def exit_message(self) -> str | None:
        """What its exit code, its exception or its kill says to people."""
        return None if self._result is None else self._result.row.exit_message

    @property
    def outputs(self) -> Namespace:
        """Its outputs, by port, as items or attributes: a copy of them each time. Large ones are read from
        the store each time, too: keep what you need of them in a variable of the step.

        Raises:
            ResultUnavailable: it has not ended, or the chain has not waited for it; or it was pruned.
            StoreUnavailable: an `async` step cannot wait here for a store that is away; it is begun anew.
        """
        self.require_there()
        if self._result is None or not self.terminated:
            raise ResultUnavailable(
                self.pid, f"process {self.pid} has not ended; wait for it with to_context() or ToContext"
            )
        blob = self._unread() if self._result.unread else self._result.outputs
        return Namespace(decode(blob) if blob else {})

    def _unread(self) -> bytes | None:
        read = None if self._read is None else self._read()
        if read is None:
            raise ResultUnavailable(
                self.pid,
                f"the process that waited for process {self.pid} is over; ask get_process({self.pid})",
            )
        return read(self.pid)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a child has no {name!r}: wait for it with self.to_context(name=child), and read `outputs`, "
            "`state` and `exit_status` of self.ctx.name in the next step"
        )

    def load(self, result: Result) -> None:
        """Take in how it stands (the engine does this when the chain wakes)."""
        self._result = result
        self.class_path = result.row.class_path

    def lose(self) -> None:
        """Take in that the store does not know it any more."""
        self._gone = True

    def require_there(self) -> None:
        """
        Raises:
            ResultUnavailable: the store does not know it any more.
        """
        if self._gone:
            raise ResultUnavailable(
                self.pid, f"process {self.pid} is not there any more: it was pruned, with its outputs"
            )

    def read_by(self, read: Read) -> None:
        """How outputs are read that were not read with how it stands: a method of who asks for them."""
        self._read = WeakMethod(read)

    def __repr__(self) -> str:
        return f"<{self.class_name or 'process'} {self.pid} {self.state.value}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChildProcess) and other.pid == self.pid

    def __hash__(self) -> int:
        return hash(self.pid)


def as_child(process: ProcessReference) -> ChildProcess:
    """A process as a work chain sees it."""
    return process if isinstance(process, ChildProcess) else ChildProcess(process.pid)


def pid_of(process: Any) -> int | None:
    """The pid of a child, a handle, or a pid itself; None if it is nothing of the kind."""
    if isinstance(process, ProcessReference):
        return process.pid
    return process if isinstance(process, int) and not isinstance(process, bool) else None


_collector = threading.local()
_NONE: Mapping[int, int] = {}


@contextlib.contextmanager
def collect_children(replaced: Mapping[int, int] = _NONE) -> Iterator[list[ChildProcess]]:
    """The children met while decoding inside the block, so that they can be loaded in one read.

    Args:
        replaced: Which pids are read as which others.
    """
    found: list[ChildProcess] = []
    _collector.found, _collector.replaced = found, replaced
    try:
        yield found
    finally:
        _collector.found = _collector.replaced = None


@contextlib.contextmanager
def collect_references() -> Iterator[list[int]]:
    """The pids of children and handles that are encoded inside the block."""
    found: list[int] = []
    _collector.encoded = found
    try:
        yield found
    finally:
        _collector.encoded = None


def child_to_plain(process: ProcessReference) -> list[Any]:
    """How a process stands in what is stored; met by `collect_references`."""
    found = getattr(_collector, "encoded", None)
    if found is not None:
        found.append(process.pid)
    return [process.pid, process.class_path if isinstance(process, ChildProcess) else ""]


def child_from(plain: list[Any]) -> ChildProcess:
    """A process that stands in inputs, outputs or a context; met by `collect_children`."""
    replaced = getattr(_collector, "replaced", None) or _NONE
    child = ChildProcess(replaced.get(plain[0], plain[0]), plain[1])
    found = getattr(_collector, "found", None)
    if found is not None:
        found.append(child)
    return child


register_type(ChildProcess, TAG, child_to_plain, child_from)
