"""Which process is meant, and what proves that it, or the worker that ran in it, is dead."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.operations import start, state, stop
from quince.errors import DaemonError
from quince.os_process import Program, machine, program_of
from quince.recovery.lease import Lease, has_ended, is_dead, process_of, sweep_locks
from quince.settings import host_name
from quince.workspace.location import Location
from quince_persistence.records.workers import WorkerRow

NO_STORE: Any = None
GONE = 2**22 + 7  # no process has such an id: the kernel gives none above 2**22


def row(lock: Path, host: str | None = None) -> WorkerRow:
    return WorkerRow(lock.name, host or host_name(), GONE, "w", (), 1, str(lock), "running", 0.0, 0.0)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The lock file that a worker has left whose process was killed."""
    lock = tmp_path / "locks" / "h:1:aa"
    child = os.fork()
    if not child:
        Lease(NO_STORE, lock.name, lock, lambda: None).__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    return lock


def test_locks_of_the_dead_are_swept_when_nobody_asks_for_them_any_more(left: Path) -> None:
    with Lease(NO_STORE, "h:2:bb", left.with_name("h:2:bb"), lambda: None) as mine:
        mine.over = True
        shutil.copy(left, left.with_name("h:3:cc"))  # of another folder: nobody knows
        left.with_name("h:4:dd").touch()  # is just being made
        sweep_locks(left.parent, {left.name})
        assert left.exists(), "whoever buries its worker reads it"
        sweep_locks(left.parent, ())
        assert sorted(lock.name for lock in left.parent.iterdir()) == ["h:2:bb", "h:3:cc", "h:4:dd"]


def test_a_process_is_known_by_its_id_and_its_start() -> None:
    this = Program.this()
    assert this.runs() is True
    assert replace(this, started=this.started - 1).runs() is False, "the id is in use again"
    assert replace(this, ospid=GONE).runs() is False
    assert program_of(str(this)) == this


@pytest.mark.parametrize("text", ["", "17", "x y z", "17 4 ", "-1 4 m", f"{2**40} 4 m"])
def test_what_is_no_process(text: str) -> None:
    assert program_of(text) is None


def test_of_another_machine_nothing_is_known() -> None:
    for elsewhere in ("", f"other-boot/{machine()}", machine() + "1"):
        assert replace(Program.this(), ospid=GONE, machine=elsewhere).runs() is None


def test_without_a_start_only_the_absence_of_the_id_counts() -> None:
    assert replace(Program.this(), started=0).runs() is None
    assert replace(Program.this(), ospid=GONE, started=0).runs() is False


def test_a_process_that_nobody_has_waited_for_has_ended() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    started = int(Path(f"/proc/{child}/stat").read_bytes().rpartition(b")")[2].split()[19])
    assert Program(child, started, machine()).runs() is False
    os.waitpid(child, 0)


def test_a_worker_whose_process_was_killed_is_dead(left: Path) -> None:
    assert is_dead(row(left))
    assert not is_dead(row(left, host="another")), "of another host nothing is believed"


def test_a_worker_whose_lock_is_kept_has_ended_and_is_not_dead(left: Path) -> None:
    """Its step hosts keep it."""
    with left.open() as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        assert has_ended(row(left))
        assert not is_dead(row(left))
    assert is_dead(row(left))


def test_a_worker_that_lives_is_not_dead(tmp_path: Path) -> None:
    with Lease(NO_STORE, "w", tmp_path / "w", lambda: None):
        assert not is_dead(row(tmp_path / "w"))
        assert process_of(row(tmp_path / "w")) == Program.this()
    assert is_dead(row(tmp_path / "w")), "it could not say good-bye to the store, and its program goes on"


def test_a_lock_file_that_is_not_there_proves_nothing(tmp_path: Path) -> None:
    """Another container of this name has it in a folder of its own."""
    assert not is_dead(row(tmp_path / "h:1:aa"))


def test_a_copied_lock_file_proves_nothing(left: Path) -> None:
    shutil.copy2(left, left.with_name("copy"))
    left.unlink()
    assert not is_dead(row(left.with_name("copy")))


@pytest.mark.parametrize("text", ["", "17\n", "garbage\x00\n", "\udcff"])
def test_garbage_in_a_lock_file_proves_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "w").write_text(text, errors="surrogateescape")
    assert not is_dead(row(tmp_path / "w"))


def test_a_forked_child_that_lives_on_does_not_keep_its_worker_alive(tmp_path: Path) -> None:
    """Neither by the lock that it has inherited, nor by its descriptor; also where a worker has registered
    anew."""
    lock, (out, into) = tmp_path / "w", os.pipe()
    before = [Lease(NO_STORE, name, tmp_path / name, lambda: None) for name in "abcdefgh"]
    for lease in before:
        with lease:
            pass
    worker = os.fork()
    if not worker:
        Lease(NO_STORE, "w", lock, lambda: None).__enter__()
        child = os.fork()
        if not child:
            os.write(into, f"{os.getpid()}\n".encode())
            signal.pause()
        os._exit(0)
    os.waitpid(worker, 0)
    child = int(os.read(out, 100))
    try:
        assert is_dead(row(lock))
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(out)
        os.close(into)


NAMESPACES = ["unshare", "--pid", "--fork", "--mount-proc"]
LOOK = """
import sys
from quince.recovery.lease import is_dead, host_name
from quince_persistence.records.workers import WorkerRow
from pathlib import Path
row = WorkerRow("w", host_name(), 1, "w", (), 1, sys.argv[1], "running", 0.0, 0.0)
print(is_dead(row))
"""


def in_a_container(program: str, *words: Any, options: list[str] = NAMESPACES) -> str:
    """What a program says that runs in a namespace of process ids of its own."""
    if os.geteuid():
        pytest.skip("namespaces of process ids need root")
    try:
        done = subprocess.run(
            [*options, sys.executable, "-c", program, *map(str, words)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("options", [NAMESPACES, ["unshare", "--pid", "--fork"]], ids=["proc", "no-proc"])
def test_in_another_container_nobody_here_is_dead(left: Path, options: list[str]) -> None:
    assert is_dead(row(left))
    assert in_a_container(LOOK, left, options=options) == "False"


HOLD = """
import sys, time
from pathlib import Path
from quince.daemon.operations import DaemonFiles
with DaemonFiles(Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_daemon_of_another_container_is_not_taken_for_a_process_of_ours(tmp_path: Path) -> None:
    in_a_container("")  # else skipped
    (tmp_path / ".quince").mkdir()
    with subprocess.Popen(
        [*NAMESPACES, sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        location = Location(tmp_path, f"sqlite:///{tmp_path}/x.db", f"local://{tmp_path}/m")
        for ask in (
            DaemonFiles(tmp_path).holder,
            lambda: stop(location),
            lambda: start(location, Settings()),
        ):
            with pytest.raises(DaemonError, match="in another container"):
                ask()
        assert "in another container" in (state(location).elsewhere or "")
        holder.communicate(timeout=30)
    assert DaemonFiles(tmp_path).holder() is None
