"""A thread for what is sent after a control: nobody who controls waits for the broker."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from quince_messaging.errors import MessagingError
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.errors import PersistenceError

_log = StructuredLogger("quince")

CLOSE_SECONDS = 30.0


class BackgroundSender:
    """Calls what is posted, one after the other. Usable from any thread; starts at first use.

    When the broker is away, what stands in the queue is dropped: all of it follows from the store, where
    the workers read it every two seconds.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def post(self, job: Callable[[], object]) -> None:
        """Have it called, soon."""
        with self._lock:
            self._jobs.put(job)
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="quince-background", daemon=True)
                try:
                    thread.start()  # Ctrl-C may cut this off; then nobody shall wait for the thread
                except (RuntimeError, MemoryError) as error:  # the next one that is posted tries again
                    _log.warning(
                        "nothing can be sent for now (%(error)s); workers read it in the store", error=error
                    )
                else:
                    self._thread = thread

    def flush(self) -> None:
        """Wait until what was posted has been called, or dropped; not for ever."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._jobs.put(None)
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except MessagingError as error:
                _log.info("nothing can be sent (%(error)s); workers read it in the store", error=error)
                if not self._drop():
                    return
            except PersistenceError as error:
                _log.warning("what follows from a control is left to the workers: %(error)s", error=error)
            except BaseException:  # also SystemExit: what comes next is to be sent
                _log.exception(
                    "what follows from a control is left to the workers",
                    function=getattr(job, "__qualname__", None),
                )

    def _drop(self) -> bool:
        """Empty the queue. False: the end was among what it held."""
        while True:
            try:
                if self._jobs.get_nowait() is None:
                    return False
            except queue.Empty:
                return True
