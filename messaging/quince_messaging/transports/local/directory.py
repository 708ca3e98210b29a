"""The folder that the communicators of one machine share: who is there, and who has died.

    DIR/PREFIX/tasks.sqlite   the durable task queue
    DIR/PREFIX/tasks.gate     locked by those who write to it
    DIR/PREFIX/peers/ID.lock  held (flock) by communicator ID while it lives; holds its socket's path
    DIR/PREFIX/peers/ID.sock  where it listens (in a short folder elsewhere if the path is too long)

The kernel frees the lock of a process that dies, however it dies: a lock that can be taken is the
proof of death, and whoever takes it is the one who cleans up.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pwd
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from quince_messaging.errors import ConnectionFailed

LOCK_SUFFIX = ".lock"
NEWBORN = 60  # seconds in which a lock file may be there and not yet locked
LONGEST_SOCKET_PATH = 103  # bytes: 107 on Linux, 103 on macOS and the BSDs
_PEER = re.compile(r"[0-9]+-[0-9a-z]+")


class Directory:
    """The shared folder of one prefix. Constructing it touches nothing."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.root = directory.absolute()
        self.folder = self.root / prefix
        self.peers = self.folder / "peers"
        self.tasks = self.folder / "tasks.sqlite"
        self.task_lock = self.folder / "tasks.gate"

    def prepare(self) -> None:
        """Make the folders, private to this user. Any number of processes may do so at once.

        Not even root enters those of another user: what it made there, the other could not read.

        Raises:
            ConnectionFailed: They cannot be made, or are not this user's.
        """
        if (somebody := self._other_owner()) is not None:
            raise ConnectionFailed(
                f"local://{self.root} cannot be used: {somebody}, and is private to that user; "
                "choose another folder, or run this as that user"
            )
        try:
            for path in (*reversed(self.peers.parents), self.peers):
                path.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would give those above to everybody
            self.folder.chmod(0o700)
            self.peers.chmod(0o700)
            self._make_private(self.tasks)
            self._make_private(self.task_lock)
        except OSError as error:
            raise self.unusable(error) from error

    def unusable(self, error: OSError) -> ConnectionFailed:
        """The error to raise when something in the folder cannot be made."""
        where = f": {error.filename}" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "make room on its disk" if full else "choose a folder that you may write to"
        return ConnectionFailed(f"local://{self.root} cannot be used ({error.strerror}{where}); {cure}")

    def _other_owner(self) -> str | None:
        """Whose folder it is, or that in which it cannot be seen, if that is another user."""
        for path in (self.folder, *self.folder.parents):
            try:
                owner = path.stat().st_uid
            except FileNotFoundError:
                return None  # it is to be made
            except OSError:
                continue
            return None if owner == os.geteuid() else f"{path} belongs to {_name_of(owner)}"
        return None

    def _make_private(self, path: Path) -> None:
        # Only if it is new: closing a SQLite file would drop this process's other locks on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def others(self, own: str) -> list[str]:
        """The communicators that have a lock file here, alive or not."""
        try:
            names = [path.name for path in self.peers.iterdir()]
        except FileNotFoundError:
            return []
        return [name[: -len(LOCK_SUFFIX)] for name in names if name.endswith(LOCK_SUFFIX) and own not in name]

    def sweep(self) -> None:
        """Remove what communicators left that died before anybody could see them."""
        for path in self.peers.glob("*.new"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > NEWBORN and _is_free(path):
                    self.remove(_text(path), path)

    def address(self, peer: str) -> str | None:
        """Where `peer` listens, or None if it has left."""
        try:
            return _text(self._lock_path(peer)) or None
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def release_dead(self, peer: str) -> Iterator[bool | None]:
        """Find out whether a communicator is dead; if so, be the only one who cleans up after it.

        Yields:
            True: it is dead and this caller holds its lock. The body of the `with` hands its tasks back,
            then its files are removed. False: its lock is held. None: it has left already.
        """
        path = self._lock_path(peer)
        try:
            held = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            yield None
            return
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            if not _same_file(held, path):
                yield None
                return
            address = _text(path)
            yield True
            self.remove(address, path)
        finally:
            os.close(held)

    def remove(self, address: str, lock_path: Path) -> None:
        """Remove the files of one that is gone."""
        socket_path = Path(address)
        if socket_path.name == f"{lock_path.stem}.sock":
            socket_path.unlink(missing_ok=True)
            if socket_path.parent != self.peers:
                with contextlib.suppress(OSError):  # the short folder is still in use, or gone
                    socket_path.parent.rmdir()
        lock_path.unlink(missing_ok=True)

    def _lock_path(self, peer: str) -> Path:
        return self.peers / f"{peer}{LOCK_SUFFIX}"

    def socket_path(self, peer: str) -> str:
        """Where a communicator listens: beside its lock file, or elsewhere if that path is too long."""
        path = str(self.peers / f"{peer}.sock")
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        return str(_short_folder(self.peers) / f"{peer}.sock")


def _text(lock_path: Path) -> str:
    """The path of the socket that stands in a lock file."""
    return os.fsdecode(lock_path.read_bytes())


def is_peer(name: str) -> bool:
    """Whether it could be the name of a communicator; it becomes part of paths."""
    return _PEER.fullmatch(name) is not None


def _name_of(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} (user {user})"
    except KeyError:
        return f"user {user}"


def _is_free(lock_path: Path) -> bool:
    held = os.open(lock_path, os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _short_folder(long: Path) -> Path:
    """A folder of this user's under the temporary directory, named after a hash of the long path."""
    digest = hashlib.sha256(os.fsencode(long.resolve())).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(base) / f"quince-{os.getuid()}-{digest}"
    if len(os.fsencode(folder)) + 24 > LONGEST_SOCKET_PATH:
        folder = Path("/tmp") / folder.name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ConnectionFailed(f"no socket can be made in {folder} ({error.strerror})") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConnectionFailed(f"{folder} is not a private folder of this user; remove it and try again")
    return folder
