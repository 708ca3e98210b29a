"""A worker as an operating-system process: signals, logs, and an end that is an end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import msgspec

from quince.hosts.program import main as step_host
from quince.hosts.template import start as start_template
from quince.logs import configure_logging
from quince.os_process import PR_SET_PDEATHSIG, prctl
from quince.settings import (
    DEFAULT_SLOTS,
    GRACE_SECONDS,
    LINGER_SECONDS,
    READY_VARIABLE,
    SETTINGS,
    SUPERVISOR_VARIABLE,
)
from quince.worker.switching import quick_switching
from quince.worker.worker import Worker
from quince.workspace.location import Location
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.worker")


def serve(
    location: Location,
    *,
    slots: int = DEFAULT_SLOTS,
    queues: Sequence[str] = ("default",),
    name: str = "worker",
    linger: float = LINGER_SECONDS,
) -> int:
    """Work until a signal: SIGTERM or SIGINT drains, a second one leaves at once.

    Returns:
        The exit status for the operating system: 0, or 70 if it ends because it can run nothing any more.

    Raises:
        PersistenceError, MessagingError: the store or the broker cannot be opened.
    """
    template = start_template(step_host)  # before there are threads, or anything is open
    worker = Worker(
        location,
        slots=slots,
        queues=queues,
        name=name,
        linger=linger,
        grace=partial(_grace, location),
        template=template,
    )
    configure_logging(worker=worker.id)
    _end_with_supervisor()
    with quick_switching(), _signals(worker), _readiness() as started:
        asyncio.run(worker.run(started))
    _log.info("%(worker_name)s has stopped", worker=worker.id, worker_name=name)
    logging.shutdown()
    return 0 if worker.failure is None else os.EX_SOFTWARE


class Granted(msgspec.Struct, frozen=True):
    """What a daemon's settings say of the time that steps get when its workers stop.

    Attributes:
        grace: Seconds; None: as many as ever.
    """

    grace: float | None = None


def _grace(location: Location) -> float:
    """Seconds for steps that run when this worker stops, read when that is asked: they stand in the settings
    of the daemon, where `quince daemon stop --timeout` writes them."""
    if SUPERVISOR_VARIABLE in os.environ:
        with suppress(OSError, msgspec.MsgspecError):
            granted = msgspec.json.decode((location.state / SETTINGS).read_bytes(), type=Granted).grace
            if granted is not None:
                return granted
    return GRACE_SECONDS


@contextmanager
def _signals(worker: Worker) -> Iterator[None]:
    """First signal: drain; second: leave. The handlers of before come back at the end."""
    seen = 0

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            worker.stop()
        else:
            worker.leave()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _readiness() -> Iterator[threading.Event]:
    """Report to the program that started this one when it is ready, or why it never will be."""
    started = threading.Event()
    descriptor = os.environ.pop(READY_VARIABLE, None)
    if descriptor is None:
        yield started
        return
    pipe = os.fdopen(int(descriptor), "w")

    def report() -> None:
        started.wait()
        with pipe:
            pipe.write("ready\n" if not failed else f"{failed[0]}\n")

    failed: list[str] = []
    reporter = threading.Thread(target=report, name="quince-ready", daemon=True)
    reporter.start()
    try:
        yield started
    except Exception as error:
        failed.append(" ".join(str(error).split()) or type(error).__name__)
        raise
    finally:
        started.set()
        reporter.join(1)


def _end_with_supervisor() -> None:
    """Have the kernel drain this worker when its daemon dies."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is None or not sys.platform.startswith("linux"):
        return
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):
        os.kill(os.getpid(), signal.SIGTERM)
