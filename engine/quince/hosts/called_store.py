"""What running processes ask of the store, where there is none: in a step host."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from quince.concurrency import settle
from quince.hosts.link import HostLink
from quince_persistence.codec import fold
from quince_persistence.records import EventRow, Result
from quince_persistence.records.steps import Recorded


class CalledStore:
    """What running processes use of `StoreContract`: the worker is asked. It tries again while the store is
    away, unless it is to answer within some seconds."""

    def __init__(self, link: HostLink) -> None:
        self._link = link

    def results(self, pids: Sequence[int], *, small: int | None = None) -> Sequence[Result]:
        found: list[Result] = self._link.call(0, "results", list(pids), small)
        return found

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None:
        found: bytes | None = self._link.call(0, "outputs", pid, within=within)
        return found

    def recorded(self, pid: int, key: str) -> Recorded | None:
        found: Recorded | None = self._link.call(pid, "recorded", key)
        return found

    def record_once(self, pid: int, owner: str, epoch: int, key: str, result: bytes) -> Future[bool]:
        future: Future[bool] = Future()
        contents: dict[str, bytes] = {}
        blob = fold(result, contents)
        settle(future, lambda: self._link.call(pid, "record_once", owner, epoch, key, blob, contents))
        return future

    def events(self, pid: int) -> Sequence[EventRow]:
        found: list[EventRow] = self._link.call(pid, "events")
        return found
