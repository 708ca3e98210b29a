"""What a step needs of its worker and of the store, where there is neither."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from quince.testing.stand_ins import results_of, row_of
from quince_persistence.records import EventRow, Result, SignalRow, State
from quince_persistence.records.steps import Recorded, Telling


class Alone:
    """Stands for both (see `Engine`), for one step.

    Attributes:
        error: That which has ended the process.
    """

    id = "run_step"
    checked = True
    on_failure = "fail"

    def __init__(self, cls: type[Any]) -> None:
        self.troubles: dict[int, str] = {}
        self.error: BaseException | None = None
        self.store = self
        self._cls = cls
        self._pids = itertools.count(2)
        self._records: dict[str, bytes] = {}

    def new_pid(self, *, within: float | None = None) -> int:
        return next(self._pids)

    def tell(self, telling: Telling) -> None:
        """Nobody listens."""

    def name_of(self, cls: Any) -> str:
        return f"{cls.__module__}:{cls.__qualname__}"

    def under_terms(self, pid: int, step: str, seconds: float | None, on_failure: str | None) -> None:
        """It takes as long as it takes."""

    async def load_class(self, path: str) -> type[Any]:
        return self._cls

    def ordered(self, pid: int) -> bool | None:
        return None  # what is said here comes through at once

    def revision(self, path: str) -> str | None:
        return None

    async def ends(self, pid: int, pids: Sequence[int]) -> Sequence[Result]:
        return self.results(pids)

    async def signals(self, pid: int) -> Sequence[SignalRow]:
        return ()

    def excepted(self, pid: int, error: BaseException) -> None:
        self.error = error

    def lend_slot(self, pid: int, store: str, awaited: Sequence[int], vague: bool) -> str | None:
        return None

    def take_back_slot(self, pid: int) -> None:
        """Nothing was lent."""

    def results(self, pids: Sequence[int], *, small: int | None = None) -> Sequence[Result]:
        ended = results_of(pids)
        known = {result.row.pid for result in ended}
        begun = [Result(row_of(pid, "", State.CREATED), None, None) for pid in pids if pid not in known]
        return [*ended, *begun]

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None:
        return next((result.outputs for result in results_of([pid])), None)

    def recorded(self, pid: int, key: str) -> Recorded | None:
        return Recorded(self.id, 1, self._records.get(key))

    def record_once(self, pid: int, owner: str, epoch: int, key: str, result: bytes) -> Future[bool]:
        self._records[key] = result
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    def events(self, pid: int) -> Sequence[EventRow]:
        return ()
