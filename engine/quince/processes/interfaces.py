"""What a running process needs of whoever runs it."""

from __future__ import annotations

from typing import Any, Protocol

from quince_persistence.contract import StoreContract


class Host(Protocol):
    """What a running process needs from whoever runs it."""

    troubles: dict[int, str]

    @property
    def id(self) -> str: ...

    @property
    def store(self) -> StoreContract: ...

    def new_pid(self, *, within: float | None = None) -> int:
        """A fresh pid. Raises StoreUnavailable, also if there is none within so many seconds."""

    def name_of(self, cls: Any) -> str:
        """The class path of a process class."""
