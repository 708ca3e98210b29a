"""What the daemon reports of itself, in a file: `quince daemon status` reads it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

SIZE = 16 * 1024
"""Bytes of the file. All of them are written at its making, and over and over from then on: so the daemon
can tell that the disk is full."""
MOST_WORKERS = 40
"""Workers that are reported one by one, those in trouble first."""
LONGEST = 300


class WorkerReport(msgspec.Struct, frozen=True):
    """One worker, as its daemon sees it.

    Attributes:
        process: Its process id; None while there is none.
        stage: See `quince.daemon.worker_process.Stage`; `to be started` while there is no process.
        failures: Starts and deaths in a row.
        trouble: What is wrong with it, in one sentence; None if nothing is.
    """

    name: str
    process: int | None
    stage: str
    failures: int = 0
    trouble: str | None = None


class DaemonReport(msgspec.Struct, frozen=True):
    """The whole daemon.

    Attributes:
        process: Its process id.
        workers: Those that are wanted, and those that are leaving.
        rolling: Workers are being replaced.
        rolls: How many times all of them have been replaced.
        troubles: What else is wrong, each in one sentence.
    """

    process: int = 0
    workers: tuple[WorkerReport, ...] = ()
    rolling: bool = False
    rolls: int = 0
    troubles: tuple[str, ...] = ()

    def all_troubles(self) -> list[str]:
        """Everything that is wrong, each in one sentence."""
        return [*self.troubles, *(one.trouble for one in self.workers if one.trouble is not None)]


class ReportFile:
    """The file with the daemon's report. Its writer keeps it open; no write needs room on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._written: DaemonReport | None = None

    def write(self, report: DaemonReport) -> None:
        """Write it, if it has changed. Raises OSError."""
        if report == self._written:
            return
        if self._descriptor is None:
            fresh = self._path.with_suffix(".new")
            descriptor = os.open(
                fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                _fill(descriptor, b"")
                fresh.replace(self._path)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        _fill(self._descriptor, _encoded(report))
        self._written = report

    def read(self) -> DaemonReport | None:
        """What stands there; None if nothing can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes().strip(), type=DaemonReport)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _fill(descriptor: int, data: bytes) -> None:
    padded = data.ljust(SIZE)
    if os.pwrite(descriptor, padded, 0) != len(padded):
        raise OSError("the daemon's report was written in part")


def _encoded(report: DaemonReport) -> bytes:
    shown = sorted(report.workers, key=lambda one: one.trouble is None)[:MOST_WORKERS]
    workers = tuple(
        msgspec.structs.replace(one, trouble=None if one.trouble is None else one.trouble[:LONGEST])
        for one in sorted(shown, key=lambda one: one.name)
    )
    troubles = tuple(text[:LONGEST] for text in report.troubles[:5])
    whole = msgspec.json.encode(msgspec.structs.replace(report, workers=workers, troubles=troubles))
    if len(whole) <= SIZE:
        return whole
    return msgspec.json.encode(msgspec.structs.replace(report, workers=workers[:8], troubles=troubles))
