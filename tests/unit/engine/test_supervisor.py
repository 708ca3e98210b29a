"""The supervisor waits for nobody without a limit, and nothing that fails ends it.

Its workers are real processes of a few lines, which do what real ones do when all goes wrong.
"""

from __future__ import annotations

import operator
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.report import DaemonReport, ReportFile
from quince.daemon.supervisor import Supervisor, main
from quince.daemon.worker_process import Limits, Stage, WorkerProcess
from quince.rotation import older
from quince.settings import NO_CEILING

SCRIPT = """
import os, signal, sys, time
if {deaf}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
ready = int(os.environ["QUINCE_READY_FD"])
if {says!r}: os.write(ready, {says!r}.encode()); os.close(ready)
while {lives}: time.sleep(100)
"""

LOUD = """
import os, time
os.write(int(os.environ["QUINCE_READY_FD"]), b"ready\\n")
while True:
    os.write(1, b"line\\n" * 20_000)
    time.sleep(0.01)
"""


def worker(says: str = "ready\n", *, deaf: bool = False, lives: bool = True) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", SCRIPT.format(says=says, deaf=deaf, lives=lives)]


class Crew:
    """A supervisor that is tended by the test, and what it starts."""

    def __init__(self, folder: Path, workers: int, limits: Limits | None = None) -> None:
        self.commands: dict[str, Sequence[str]] = {}
        self.files = DaemonFiles(folder)
        self.files.log("daemon")
        self.files.write(Settings(workers))
        limits = limits or Limits(start=5, leave=0.2, hurry=0.2)
        self.supervisor = Supervisor(self.files, Settings(workers), limits, self._command)
        self.supervisor._reload = True

    def _command(self, name: str) -> Sequence[str]:
        return self.commands.get(name, worker())

    def until(self, holds: Callable[[DaemonReport], bool], seconds: float = 20) -> DaemonReport:
        """Tend until something holds of its report."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.supervisor.tend()
            report = ReportFile(self.files.report).read()
            if report is not None and holds(report):
                return report
            time.sleep(0.01)
        pytest.fail(f"it never came to that: {self.supervisor.report()}")

    def ospids(self) -> dict[str, int | None]:
        return {one.name: one.process for one in self.supervisor.report().workers if one.stage == "running"}

    def scale(self, workers: int) -> None:
        self.files.write(Settings(workers))
        self.supervisor._on_signal(signal.SIGHUP, None)

    def roll(self) -> None:
        self.supervisor._on_signal(signal.SIGUSR1, None)

    def close(self) -> None:
        supervisor = self.supervisor
        wanted = [process for worker in supervisor._pool.wanted.values() for process in worker.processes]
        for one in (*supervisor._pool.leaving, *wanted):
            one._process.kill()
            one._process.wait()
        supervisor._stop_all()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Crew]]:
    monkeypatch.setattr("quince.daemon.wanted_worker.FIRST_PAUSE", 0.02)
    crews: list[Crew] = []

    def one(workers: int, limits: Limits | None = None) -> Crew:
        crews.append(Crew(tmp_path, workers, limits))
        return crews[-1]

    yield one
    for crew in crews:
        crew.close()


def running(count: int) -> Callable[[DaemonReport], bool]:
    return lambda report: [one.stage for one in report.workers] == ["running"] * count


def rolled(times: int) -> Callable[[DaemonReport], bool]:
    return lambda report: report.rolls == times and not report.rolling


@pytest.mark.parametrize(
    "refusal",
    [
        BlockingIOError(11, "Resource temporarily unavailable"),
        OSError(28, "No space left on device"),
        MemoryError(),
    ],
)
def test_a_start_that_the_system_refuses_is_tried_again(
    make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    crew = make(2)
    crew.until(running(2))
    before = crew.ospids()
    refused = 0
    start = WorkerProcess.start.__func__  # type: ignore[attr-defined]

    def refuse(*args: object, **kwargs: object) -> object:
        nonlocal refused
        refused += 1
        if refused <= 3:
            raise refusal
        return start(WorkerProcess, *args, **kwargs)

    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(WorkerProcess, "start", refuse)
    os.kill(before["worker-1"] or 0, signal.SIGKILL)
    told = crew.until(lambda report: any("cannot be started" in one for one in report.all_troubles()))
    assert told.workers[0].process is None
    after = crew.until(running(2))
    assert after.all_troubles() == []
    assert crew.ospids()["worker-2"] == before["worker-2"]
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


def test_a_program_that_is_missing_is_tried_again_until_it_is_there(make: Callable[..., Crew]) -> None:
    crew = make(2)
    crew.commands["worker-2"] = ["/nowhere/python"]
    told = crew.until(lambda report: any("/nowhere/python" in one for one in report.all_troubles()))
    assert told.workers[1].stage == "to be started"
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    crew.until(lambda report: report.workers[1].failures >= 4)
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    crew.commands.clear()
    crew.until(running(2))


def test_a_worker_that_complains_is_told_and_tried_again(make: Callable[..., Crew]) -> None:
    crew = make(2)
    crew.commands["worker-1"] = worker("no module named flows\n", lives=False)
    crew.until(lambda report: any("no module named flows" in one for one in report.all_troubles()))
    crew.commands.clear()
    assert crew.until(running(2)).all_troubles() == []


def test_a_frozen_worker_is_told(make: Callable[..., Crew]) -> None:
    """Others release what it holds, and its row goes: nobody else would know of it any more."""
    crew = make(1)
    frozen = crew.until(running(1)).workers[0].process
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)
    told = crew.until(lambda report: bool(report.all_troubles())).all_troubles()
    assert f"`kill -CONT {frozen}` lets it go on" in told[0]
    os.kill(frozen, signal.SIGCONT)
    crew.until(lambda report: not report.all_troubles())


def test_a_frozen_worker_holds_up_no_roll(make: Callable[..., Crew]) -> None:
    crew = make(3, Limits(start=5, leave=60, hurry=60))  # nobody would wait so long
    crew.until(running(3))
    before = crew.ospids()
    os.kill(before["worker-1"] or 0, signal.SIGSTOP)
    crew.roll()
    report = crew.until(rolled(1))
    after = crew.ospids()
    assert all(after[name] != before[name] for name in before)
    assert any("stopped (SIGSTOP)" in one for one in report.all_troubles())
    os.kill(before["worker-1"] or 0, signal.SIGCONT)
    assert crew.until(running(3)).all_troubles() == []


def test_workers_that_may_drain_for_ever_do_so_beside_each_other(make: Callable[..., Crew]) -> None:
    crew = make(2, Limits(start=5, leave=NO_CEILING, hurry=0.2))
    crew.commands["worker-1"] = crew.commands["worker-2"] = worker(deaf=True)
    crew.until(running(2))
    before = crew.ospids()
    crew.commands.clear()
    crew.roll()
    report = crew.until(rolled(1))
    assert sorted(one.stage for one in report.workers) == ["leaving", "leaving", "running", "running"]
    assert all(crew.ospids()[name] != before[name] for name in before)


def test_a_worker_that_is_deaf_to_sigterm_is_killed_and_the_roll_goes_on(make: Callable[..., Crew]) -> None:
    crew = make(2)
    crew.commands["worker-1"] = worker(deaf=True)
    crew.until(running(2))
    before = crew.ospids()
    crew.commands.clear()
    crew.roll()
    crew.until(rolled(1))
    crew.until(running(2))
    assert all(crew.ospids()[name] != before[name] for name in before)
    assert not psutil.pid_exists(before["worker-1"] or 0)


def test_one_that_cannot_be_killed_is_told_and_left_behind(
    make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in uninterruptible sleep: no signal does anything. (Here they are kept from it.)"""
    crew = make(2)
    crew.until(running(2))
    before = crew.ospids()
    signal_it = WorkerProcess._signal

    def in_vain(self: WorkerProcess, number: signal.Signals) -> None:
        if self.ospid != before["worker-1"]:
            signal_it(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(WorkerProcess, "_signal", in_vain)
        crew.roll()
        report = crew.until(rolled(1))
        assert any("does not end although it was killed" in one for one in report.all_troubles())
        assert all(crew.ospids()[name] != before[name] for name in before)
        crew.supervisor._stops = 1
        crew.supervisor._stop_all()  # does not wait for it
        (left,) = crew.supervisor._pool.leaving
        assert left.stage is Stage.UNSTOPPABLE


def test_a_replacement_that_never_gets_ready_is_ended_and_the_old_one_stays(
    make: Callable[..., Crew],
) -> None:
    crew = make(2, Limits(start=0.5, leave=0.2, hurry=0.2))
    crew.until(running(2))
    before = crew.ospids()
    crew.commands["worker-1"] = worker("")
    crew.roll()
    report = crew.until(lambda report: rolled(1)(report) and running(2)(report))
    assert crew.ospids()["worker-1"] == before["worker-1"]
    assert crew.ospids()["worker-2"] != before["worker-2"]
    assert any("cannot be replaced, the old one stays" in one for one in report.all_troubles())
    crew.commands.clear()
    crew.roll()
    assert crew.until(rolled(2)).all_troubles() == []


def test_scaling_waits_for_nobody_who_leaves(make: Callable[..., Crew]) -> None:
    crew = make(2, Limits(start=5, leave=60, hurry=60))
    crew.until(running(2))
    frozen = crew.ospids()["worker-2"] or 0
    os.kill(frozen, signal.SIGSTOP)
    crew.scale(1)
    crew.until(lambda report: len(crew.ospids()) == 1)
    crew.scale(2)
    crew.until(lambda report: len(crew.ospids()) == 2)
    assert crew.ospids()["worker-2"] != frozen


def test_settings_that_cannot_be_read_are_told_and_read_again(make: Callable[..., Crew]) -> None:
    crew = make(1)
    crew.until(running(1))
    crew.files.settings.write_text("{")
    crew.supervisor._on_signal(signal.SIGHUP, None)
    report = crew.until(lambda report: bool(report.troubles))
    assert "daemon.json cannot be read" in report.troubles[0]
    crew.files.write(Settings(2))
    assert crew.until(running(2)).troubles == ()


@pytest.mark.parametrize(
    "part",
    [
        "_follow_requests",
        "_pool.look_at_leaving",
        "_pool.keep_running",
        "_rolling.advance",
        "_files.rotate_logs",
    ],
)
@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), MemoryError(), ValueError("?")])
def test_no_part_of_its_work_ends_it(
    make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch, part: str, failure: Exception
) -> None:
    crew = make(1)
    owner, _, name = part.rpartition(".")

    def fail() -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(operator.attrgetter(owner)(crew.supervisor) if owner else crew.supervisor, name, fail)
        assert type(failure).__name__ in crew.until(lambda report: bool(report.troubles)).troubles[0]
    assert crew.until(running(1)).all_troubles() == []


def test_the_report_needs_no_room_on_the_disk(tmp_path: Path) -> None:
    file = ReportFile(tmp_path / "daemon.report")
    file.write(DaemonReport(1))
    before = file._path.stat()
    file.write(DaemonReport(2, troubles=("worker-1 cannot be started: No space left on device",) * 9))
    after = file._path.stat()
    assert (before.st_ino, before.st_size, before.st_blocks) == (after.st_ino, after.st_size, after.st_blocks)
    told = file.read()
    assert told is not None
    assert len(told.troubles) == 5


def test_logs_are_begun_anew_under_the_hands_of_those_who_write_them(
    make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUINCE_LOG_MB", "1")
    monkeypatch.setenv("QUINCE_LOG_FILES", "2")
    crew = make(1)
    crew.commands["worker-1"] = [sys.executable, "-I", "-S", "-c", LOUD]
    log = crew.files.log("worker-1")
    crew.until(lambda _: older(log, 2).exists())
    crew.supervisor._pool.resize(0)
    crew.until(lambda report: not report.workers)
    assert not older(log, 3).exists()
    for file in (older(log, 2), older(log)):
        assert file.stat().st_size > 1 << 20
        assert set(file.read_text().split("\n")[1:-1]) == {"line"}
    assert crew.files.logs() == [log]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("QUINCE_LOG", "loud", "QUINCE_LOG is 'LOUD'; it may be DEBUG"),
        ("QUINCE_LOG_MB", "1e3", "QUINCE_LOG_MB is '1e3'; it may be a whole number, 1 or more"),
        ("QUINCE_OUTPUT_MB", "0", "QUINCE_OUTPUT_MB is '0'; it may be a whole number, 1 or more"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_to_whoever_starts_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)
    out, into = os.pipe()
    with pytest.raises(SystemExit):
        main(str(tmp_path), str(into), "{}")
    os.close(into)
    with os.fdopen(out) as pipe:
        assert pipe.read().startswith(complaint)
