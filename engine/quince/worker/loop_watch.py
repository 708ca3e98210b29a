"""Seeing from outside that an event loop has stopped turning, and for whom."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import FrameType

from quince.own_code import OWN_FOLDERS
from quince.processes.execution import Execution
from quince.troubles import BLOCKED
from quince.worker.stepper import Stepper

LATE = 1.5
"""Seconds without a turn after which a loop is blocked."""

_CURE = "a step that blocks is to be `def`, or to call what blocks with `await asyncio.to_thread(...)`"
_NOT_THEIRS = (sysconfig.get_path("stdlib"), *OWN_FOLDERS)


class LoopWatch:
    """Made on the thread of the running loop; asked, now and then, from another one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._asked: float | None = None

    def sentences(self) -> list[str]:
        """None while the loop turns; else one that says since when it does not, and what is to blame."""
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            self._loop.call_soon_threadsafe(self._turned)
            return []
        late = now - self._asked
        return [] if late < LATE else [f"{BLOCKED} for {late:.0f} s by {self._culprit()}"]

    def _turned(self) -> None:
        self._asked = None

    def _culprit(self) -> str:
        frames = []
        frame: FrameType | None = sys._current_frames().get(self._thread)
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        for frame in frames:
            step = frame.f_locals.get("execution") if frame.f_code is Stepper.step.__code__ else None
            if isinstance(step, Execution):
                return f"process {step.pid} ({step.name}){self._place(frames)}: {_CURE}"
        return "something that is no step"

    @staticmethod
    def _place(frames: list[FrameType]) -> str:
        for frame in frames:
            file = frame.f_code.co_filename
            if not file.startswith(_NOT_THEIRS) and "/site-packages/" not in file:
                return f", in {Path(file).name}, line {frame.f_lineno}"
        return ""
