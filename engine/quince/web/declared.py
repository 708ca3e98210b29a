"""What classes declare, read by a program of its own; a page waits for no class that is slow to import."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from quince.monitor.code import Code
from quince.monitor.code_loading import CodeReader
from quince.monitor.monitor import Monitor
from quince.workspace.revision import revision_of
from quince.workspace.workspace import Workspace

AT_ONCE = 0.4
"""Seconds that a page waits for a class; it comes with the next look."""
MOST = 200
"""Classes that are remembered."""
BEING_READ = "its class is being read"


class QuickMonitor(Monitor):
    """A monitor that answers while a class is still being read. To be closed."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._codes = self._reader = _QuickReader(workspace)

    def close(self) -> None:
        """Begin to read no more."""
        self._reader.close()


class _QuickReader(CodeReader):
    """Says of a class that it is being read, in place of waiting for that."""

    def __init__(self, home: Workspace) -> None:
        super().__init__(home)
        self._folder = home.location.folder
        self._guard = threading.Lock()
        self._begun: dict[tuple[str, str | None], Future[Code]] = {}
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="quince-declared")

    def read(self, class_path: str) -> Code:
        key = class_path, revision_of(class_path, self._folder)
        with self._guard:
            if (reading := self._begun.get(key)) is None:
                while len(self._begun) >= MOST:
                    del self._begun[next(iter(self._begun))]
                reading = self._begun[key] = self._threads.submit(super().read, class_path)
        try:
            return reading.result(AT_ONCE)
        except TimeoutError:
            return Code(class_path, error=BEING_READ)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
