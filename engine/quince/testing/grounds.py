"""Where the lives of a crash test take place: every one on a fresh copy of the same workspace."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec

import quince_messaging
from quince.messages import task_for
from quince.testing import snapshot
from quince.workspace.location import Location
from quince.workspace.workspace import open_store
from quince_messaging.uri import folder_uri
from quince_persistence.databases.sqlite_url import file_url

SNAPSHOT = "snapshot"
"""File in the template of workspaces on servers: all rows of the store."""


class OnServers(msgspec.Struct, frozen=True):
    """A database and a virtual host, for one life at a time.

    Attributes:
        pid: Of the process that was submitted.
    """

    store: str
    broker: str
    pid: int

    def fresh(self, template: Path, folder: Path) -> Location:
        """Make both as they were when the workflow had been submitted."""
        folder.mkdir()
        snapshot.put(self.store, (template / SNAPSHOT).read_bytes())
        location = Location(folder, self.store, self.broker)
        with open_store(location) as store:
            names = location.names(store.identity)
        asyncio.run(self._ring(names))
        return location

    async def _ring(self, names: str | None) -> None:
        async with quince_messaging.connect_async(self.broker, prefix=names) as communicator:
            await communicator.purge()
            await communicator.send_tasks([task_for(self.pid)])


def embedded(template: Path, folder: Path) -> Location:
    """A copy of an embedded workspace."""
    shutil.copytree(template, folder)
    return place_of(folder)


def place_of(folder: Path) -> Location:
    """The embedded workspace in a folder, whatever the environment says."""
    state = folder / ".quince"
    return Location(folder, file_url(state / "quince.db"), folder_uri(state / "messages"))
