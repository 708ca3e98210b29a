"""What steps print is kept within bounds, and can be read while they run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path

from quince.concurrency import aside
from quince.hosts.output_files import OutputFiles, host_name
from quince.worker.interfaces import Owner
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.worker")

LOOK_SECONDS = 0.25
FLOOD_SECONDS = 0.05
"""Seconds until the next look while somebody prints more in that time than is kept."""
DISCARD_SECONDS = 600.0


class OutputWatch:
    """Looks now and then at what the hosts of a worker print.

    Args:
        hosts: Process ids of those that run one step at a time.
    """

    def __init__(self, owner: Owner, hosts: Callable[[], Collection[int]]) -> None:
        self.files = OutputFiles(owner.location.folder)
        self._owner = owner
        self._hosts = hosts
        self._growing: dict[Path, int] = {}
        self._discarded = 0.0

    async def watch(self) -> None:
        """For ever."""
        await aside(self.files.sweep)
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            hosts = self._hosts()
            flood = bool(hosts or self._growing) and await aside(self._look, hosts)
            pause = FLOOD_SECONDS if flood else LOOK_SECONDS
            if time.monotonic() - self._discarded > DISCARD_SECONDS:
                self._discarded = time.monotonic()
                await aside(self._discard)

    def host_ended(self, ospid: int) -> None:
        """A host has ended: what it has printed last gets its name."""
        if ospid:
            self.files.host_ended(host_name(self._owner.id, ospid))

    def _look(self, hosts: Collection[int]) -> bool:
        """Look after the files to which hosts print, and those to which something of a step that has ended
        still does. Returns whether one was too large."""
        flood = False
        sizes: dict[Path, int] = {}
        files = {file for ospid in hosts if (file := self.files.host_prints_to(ospid)) is not None}
        for file in files.union(self._growing):
            size = self.files.look_at(file)
            if size != self._growing.get(file):
                sizes[file] = size
            flood |= size > self.files.most
        self._growing = sizes
        return flood

    def _discard(self) -> None:
        self.files.forget_pruned(self._pruned)
        count = self.files.discard(self._ended)
        if count:
            _log.info(
                "what %(count)d processes had printed that ended long ago is removed from %(file)s",
                count=count,
                file=self.files.folder,
                worker=self._owner.id,
            )

    def _pruned(self, pids: Collection[int]) -> Collection[int]:
        last = self._owner.store.pruned_to()
        gone = [pid for pid in pids if pid <= last]
        there = {result.row.pid for result in self._owner.store.results(gone, small=0)} if gone else set()
        return [pid for pid in gone if pid not in there]

    def _ended(self, pids: Collection[int]) -> Collection[int]:
        rows = self._owner.store.results(list(pids), small=0)
        living = {result.row.pid for result in rows if not result.row.terminated}
        return [pid for pid in pids if pid not in living]
