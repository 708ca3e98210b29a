"""What the parts of a workspace need of it."""

from __future__ import annotations

from typing import Protocol

from quince.workspace.background import BackgroundSender
from quince_messaging.contract import Communicator
from quince_persistence.contract import StoreContract


class WatcherOwner(Protocol):
    """The workspace whose processes are watched."""

    @property
    def store(self) -> StoreContract: ...

    @property
    def communicator(self) -> Communicator: ...

    @property
    def background(self) -> BackgroundSender: ...
