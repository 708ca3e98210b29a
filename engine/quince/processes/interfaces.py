"""What a running process needs of whoever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from quince_persistence.records import EventRow, Result
from quince_persistence.records.steps import Recorded, Telling


class StepStore(Protocol):
    """What running processes ask of the store; see `StoreContract`."""

    def results(self, pids: Sequence[int], *, small: int | None = None) -> Sequence[Result]: ...

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None: ...

    def recorded(self, pid: int, key: str) -> Recorded | None: ...

    def record_once(self, pid: int, owner: str, epoch: int, key: str, result: bytes) -> Future[bool]: ...

    def events(self, pid: int) -> Sequence[EventRow]: ...


class Host(Protocol):
    """What a running process needs from whoever runs it."""

    troubles: dict[int, str]

    @property
    def id(self) -> str: ...

    @property
    def store(self) -> StepStore: ...

    def new_pid(self, *, within: float | None = None) -> int:
        """A fresh pid. Raises StoreUnavailable, also if there is none within so many seconds."""

    def under_terms(self, pid: int, step: str, seconds: float | None, on_failure: str | None) -> None:
        """From now on the step of a process has so many seconds (None: as many as it needs), and says this
        of what happens when it fails."""

    def ordered(self, pid: int) -> bool | None:
        """What has been said of late to the step of a process, and has not come through to it: that it is to
        stop, or not any more; None: nothing. From any thread; never blocks."""

    def revision(self, path: str) -> str | None:
        """The revision of the code of a class that is loaded here, if it has one."""

    def tell(self, telling: Telling) -> None:
        """A step has said something while it runs. From any thread; never blocks for long."""

    def name_of(self, cls: Any) -> str:
        """The class path of a process class."""
