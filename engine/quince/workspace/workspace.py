"""A workspace: the pair of a store and a broker, and how it is found.

In this order: arguments; `QUINCE_STORE` and `QUINCE_BROKER`; `quince.toml` or `.quince/` in the
working directory or a folder above it; else `.quince/` is made in the working directory.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import quince_messaging
from quince.errors import ProcessNotFound, WorkspaceError
from quince.private_files import write_private
from quince.text import close_to
from quince.workspace.background import BackgroundSender
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import Location, locate
from quince.workspace.watcher import Watcher
from quince_messaging.contract import Communicator
from quince_persistence.codec import find_classes_by
from quince_persistence.databases.sqlite_url import file_of
from quince_persistence.errors import PersistenceError
from quince_persistence.store import Store
from quince_persistence.writing.transaction import PATIENCE_SECONDS


@dataclass(eq=False)
class Workspace:
    """An open store and, when first needed, an open communicator. Usable from any thread.

    Attributes:
        location: Where it is.
        background: Sends what follows from controls.
    """

    location: Location
    _store: Store | None = None
    _communicator: Communicator | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _dialling: threading.RLock = field(default_factory=threading.RLock)
    background: BackgroundSender = field(default_factory=BackgroundSender, init=False)
    registry: ClassLoader = field(init=False)
    watcher: Watcher = field(init=False)

    @classmethod
    def at(
        cls, folder: Path | str | None = None, *, store: str | None = None, broker: str | None = None
    ) -> Workspace:
        """A workspace of one's own, closed by `with` or `close()`: `with Workspace.at("study") as home: ...`

        Nothing is opened or made before it is used.

        Args:
            folder: Its folder; the one that is found from here if not given.
            store: SQLAlchemy URL, instead of what the folder says.
            broker: URI of the messages, instead of what the folder says.

        Raises:
            WorkspaceError: there is no such folder, or its `quince.toml` cannot be used; says why.
        """
        return cls(locate(folder, store=store, broker=broker))

    def __post_init__(self) -> None:
        self.registry = ClassLoader(self.location.folder, self.location.allowed)
        find_classes_by(self.registry)
        self.watcher = Watcher(self)
        _all.add(self)

    def renew(self) -> None:
        """In a forked child: nothing here waits for, or speaks through, what is the parent's. (The store
        sees to itself.)"""
        _parents.append(self._communicator)
        self._communicator = None
        self._lock, self._dialling = threading.RLock(), threading.RLock()
        self.background, self.watcher = BackgroundSender(), Watcher(self)

    @property
    def store(self) -> Store:
        """The store, opened at first use.

        Raises:
            PersistenceError: it cannot be opened: one sentence with the way out.
        """
        with self._lock:
            if self._store is None:
                self._store = open_store(self.location)
            return self._store

    @property
    def communicator(self) -> Communicator:
        """The blocking communicator, connected at first use.

        Raises:
            MessagingError: nobody answers: one sentence with the way out.
            PersistenceError: the store cannot be opened, whose name is part of all names on the broker.
        """
        with self._dialling:
            if self._communicator is None:
                prepare(self.location)
                names = self.location.names(self.store.identity)
                self._communicator = quince_messaging.connect(self.location.broker, prefix=names)
            return self._communicator

    def not_found(self, *pids: int) -> ProcessNotFound:
        """The error that says that these processes are not in this workspace."""
        names = ", ".join(map(str, sorted(pids)))
        sentence = f"there is no process {names} in this workspace ({self.location.folder})"
        if self._may_be_pruned(pids):
            sentence += ": it was pruned, or never was"
        return ProcessNotFound(sentence)

    def _may_be_pruned(self, pids: Sequence[int]) -> bool:
        try:
            return min(pids) <= self.store.pruned_to()
        except PersistenceError:  # that is not the answer to what was asked
            return False

    def no_key(self, key: str) -> ProcessNotFound:
        """The error that says that no process has this key, with one that is nearly the same."""
        near = close_to(key, self.store.keys_near(key))
        folder = self.location.folder
        return ProcessNotFound(f"no process has the key {key!r} in this workspace ({folder}){near}")

    def close(self) -> None:
        """Close what was opened. May be called twice."""
        self.background.flush()
        with self._dialling, self._lock:
            communicator, self._communicator = self._communicator, None
            store, self._store = self._store, None
        try:
            if communicator is not None:
                communicator.close()
        finally:
            if store is not None:
                store.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def prepare(location: Location) -> None:
    """Make the folder of the workspace's own files, unseen by git.

    Raises:
        WorkspaceError: it cannot be made.
    """
    try:
        if not location.state.is_dir():
            location.state.mkdir(parents=True, mode=0o700, exist_ok=True)
            write_private(location.state / ".gitignore", "*\n")
    except OSError as error:
        raise WorkspaceError(
            f"cannot make the workspace's folder {location.state}: {error.strerror}; "
            "run in a folder that you may write to, or name one with `quince init`"
        ) from error


def open_store(location: Location, *, patience: float = PATIENCE_SECONDS) -> Store:
    """A store of one's own on this place (the caller closes it).

    Args:
        patience: Seconds that it waits for a database that does not answer, or is locked.

    Raises:
        WorkspaceError: it cannot be made; or it was moved away under a daemon, and none is made there.
        PersistenceError: it cannot be opened.
    """
    prepare(location)
    location.require_not_lost()
    store = Store(location.store, patience=patience) if location.opener is None else location.opener()
    store.open()
    return store


def make_store(location: Location) -> None:
    """Make the folder of the workspace's own files and, where it is a file, the store; what is there stays.

    Workers under a daemon make no store: it would be another one than the one they have lost.

    Raises:
        WorkspaceError: it cannot be made; or it was moved away under a daemon, and none is made there.
        PersistenceError: it cannot be opened.
    """
    prepare(location)
    file = file_of(location.store)
    if file is not None and not file.exists():
        open_store(location).close()


_open: dict[Location, Workspace] = {}
_standing_in: list[Workspace] = []
_open_lock = threading.Lock()
_all: weakref.WeakSet[Workspace] = weakref.WeakSet()
_parents: list[object] = []
"""In a forked child: communicators of its parent, kept so that none of them is closed."""


def _renew_all() -> None:
    global _open_lock
    _open_lock = threading.Lock()
    for workspace in list(_all):
        workspace.renew()


os.register_at_fork(after_in_child=_renew_all)


def resolve(workspace: Workspace | Path | str | None) -> Workspace:
    """The workspace that an argument means: itself, that of a folder, or the one found from here.

    One that is found stays open, and is found again, until the interpreter ends.
    """
    if isinstance(workspace, Workspace):
        return workspace
    if workspace is not None and not isinstance(workspace, (str, Path)):
        raise WorkspaceError(
            f"workspace= takes a Workspace, a folder, or None for the one found from here, not {workspace!r}"
        )
    if workspace is None and _standing_in:
        return _standing_in[-1]
    location = locate(workspace)
    with _open_lock:
        return _open.setdefault(location, Workspace(location))


@contextmanager
def standing_in(workspace: Workspace) -> Iterator[None]:
    """In the block, this is the workspace that is found from everywhere in this program."""
    _standing_in.append(workspace)
    try:
        yield
    finally:
        _standing_in.remove(workspace)


@atexit.register
def _close_all() -> None:
    for workspace in _open.values():
        workspace.close()
