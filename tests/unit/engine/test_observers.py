"""Where nobody looks on, a worker's steps pass nobody."""

from __future__ import annotations

from pathlib import Path

from quince.testing import sandbox
from quince.worker.outbox import Outbox
from quince.worker.worker import Worker


def test_without_settings_nothing_is_wrapped(tmp_path: Path) -> None:
    made: list[Worker] = []
    init = Worker.__init__

    def noted(self: Worker, *given: object, **named: object) -> None:
        init(self, *given, **named)  # type: ignore[arg-type]
        made.append(self)

    Worker.__init__ = noted  # type: ignore[method-assign]
    try:
        with sandbox(tmp_path):
            (worker,) = made
            assert type(worker.outbox) is Outbox
            assert type(worker._steps).__name__ in ("HostPool", "InlineSteps")
            assert not worker._observers.each
    finally:
        Worker.__init__ = init  # type: ignore[method-assign]
