"""A worker's claim to be alive: a held lock for its own host, a heartbeat in the store for the others."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from persistence.errors import PersistenceError, UnknownWorker
from persistence.records import WorkerRow

_log = logging.getLogger("quince.worker")

HEARTBEAT_SECONDS = 2.0
EXPIRY_SECONDS = 6.5


def new_worker_id() -> str:
    """`host:ospid:random`, never used again."""
    return f"{host_name()}:{os.getpid()}:{secrets.token_hex(4)}"


def host_name() -> str:
    """The name under which this host's locks are believed."""
    return os.environ.get("QUINCE_HOST") or socket.gethostname()


class Lease:
    """Held from `with` until its end, or the death of the operating-system process.

    The heartbeat has a thread of its own, so it goes on whatever the user's code does to the loop.

    Args:
        on_lost: Called, from any thread, when the worker finds that it was declared dead.
    """

    def __init__(self, store: Any, worker_id: str, lock: Path, on_lost: Callable[[], None]) -> None:
        self._store = store
        self._id = worker_id
        self.lock = lock
        self._on_lost = on_lost
        self._file: IO[str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="quince-heartbeat", daemon=True)

    def __enter__(self) -> Lease:
        self.lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self.lock.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._file is not None:
            self.lock.unlink(missing_ok=True)
            self._file.close()

    def beat(self) -> None:
        """Hand one heartbeat in."""
        try:
            self._store.heartbeat(self._id).add_done_callback(self._beaten)
        except PersistenceError as error:
            _log.warning("the heartbeat could not be written: %s", error)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            self.beat()

    def _beaten(self, future: Future[None]) -> None:
        error = future.exception()
        if isinstance(error, UnknownWorker):
            self._on_lost()
        elif error is not None:
            _log.warning("the heartbeat could not be written: %s", error)


def is_dead(worker: WorkerRow) -> bool:
    """Proof that a worker of this host is dead: nobody holds its lock.

    A worker of another host cannot be proven dead here; its heartbeat has to expire.
    """
    if worker.host != host_name() or worker.lock is None:
        return False
    try:
        with Path(worker.lock).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return not _runs(worker.ospid)
    except OSError:
        return False
    return True


def _runs(ospid: int) -> bool:
    return Path(f"/proc/{ospid}").exists()
