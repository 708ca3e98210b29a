"""One living communicator in the shared folder: its identity, its lock file, its socket."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
from pathlib import Path

from quince_messaging.errors import ConnectionFailed
from quince_messaging.transports.local.directory import LOCK_SUFFIX, Directory


def register(directory: Directory) -> Registration:
    """A new communicator in the folder: a fresh identity, its lock held, and a socket path to bind.

    Raises:
        ConnectionFailed: its files cannot be made.
    """
    peer = f"{os.getpid()}-{secrets.token_hex(4)}"
    address = directory.socket_path(peer)
    new = directory.peers / f"{peer}.new"
    try:
        lock = _new_lock(new, address)
    except OSError as error:
        raise directory.unusable(error) from error
    return Registration(directory, peer, address, lock, new)


class Registration:
    """The files of one living communicator. Its lock is held until `remove`, or until the process dies."""

    def __init__(self, directory: Directory, peer: str, address: str, lock: int, new: Path) -> None:
        self.peer = peer
        self.address = address
        self._directory = directory
        self._lock: int | None = lock
        self._path = new
        self._published = 0
        """The inode of the lock file that the others see."""

    def listen(self) -> socket.socket:
        """A socket that listens at its address.

        Raises:
            ConnectionFailed: none can be made there.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Again, because the last communicator in the short folder may just have removed it.
            Path(self.address).parent.mkdir(mode=0o700, exist_ok=True)
            listener.bind(self.address)
        except OSError as error:
            listener.close()
            raise ConnectionFailed(f"cannot listen at {self.address} ({error.strerror})") from error
        return listener

    def in_place(self) -> bool:
        """Whether its lock file is where the others look for it."""
        try:
            return os.stat(self._path).st_ino == self._published  # noqa: PTH116 - half the time of pathlib's
        except OSError:
            return False

    def restore(self) -> socket.socket:
        """Make its files again, after somebody has removed them; then `publish` them again.

        Returns:
            A socket that listens at its address; nothing arrives at the old one any more.

        Raises:
            OSError, ConnectionFailed: they cannot be made.
        """
        peers = self._directory.peers
        peers.mkdir(mode=0o700, exist_ok=True)
        new = peers / f"{self.peer}.new"
        new.unlink(missing_ok=True)
        lock = _new_lock(new, self.address)
        if self._lock is not None:
            os.close(self._lock)
        self._lock, self._path = lock, new
        Path(self.address).unlink(missing_ok=True)
        return self.listen()

    def publish(self) -> None:
        """Show it to the others; its socket must be listening by now."""
        path = self._directory.peers / f"{self.peer}{LOCK_SUFFIX}"
        self._path.rename(path)
        self._path = path
        self._published = path.stat().st_ino

    def remove(self) -> None:
        """Remove its files and free its lock. May be called twice."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):  # something else is there, which is not ours to remove
            self._directory.remove(self.address, self._path)
        os.close(self._lock)
        self._lock = None

    def descriptors(self) -> list[int]:
        """The lock, to be released in a forked child."""
        return [] if self._lock is None else [self._lock]


def _new_lock(path: Path, address: str) -> int:
    """A new lock file, its lock held."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, os.fsencode(address))
    except OSError:
        path.unlink(missing_ok=True)
        os.close(lock)
        raise
    return lock
