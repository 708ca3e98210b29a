"""What running a step needs of the worker, wherever the step runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quince.processes.interfaces import Host
from quince.processes.process import Process
from quince.processes.running_step import Lender
from quince_persistence.records import Result, SignalRow


class Engine(Host, Lender, Protocol):
    """The worker, or what stands for it in a step host.

    Attributes:
        checked: Each checkpoint is round-tripped.
        on_failure: What happens, `fail` or `pause`, when a step fails of which nobody else has said it.
    """

    @property
    def checked(self) -> bool: ...

    @property
    def on_failure(self) -> str: ...

    async def load_class(self, path: str) -> type[Process]:
        """The class of a class path, imported if it is not there yet."""

    async def ends(self, pid: int, pids: Sequence[int]) -> Sequence[Result]:
        """How these processes stand, for process `pid`; outputs that are not small are left out."""

    async def signals(self, pid: int) -> Sequence[SignalRow]:
        """The signals that a process has not used yet."""

    def excepted(self, pid: int, error: BaseException) -> None:
        """A process ends with this exception."""
