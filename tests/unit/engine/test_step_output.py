"""What steps print stands in a file of their process, whoever writes it; who prints nothing has none."""

from __future__ import annotations

import asyncio
import ctypes
import io
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from quince.hosts import step_output
from quince.hosts.output_files import HEAD, OutputFiles, heading, host_name
from quince.hosts.step_output import OneAtATime, SideBySide
from quince.interpreter import STEP_HOST
from quince.os_process import PR_SET_NAME, prctl
from quince.settings import STATE
from quince.settings import host_name as machine_name

WORKER = f"{machine_name()}:1:abcd"


@pytest.fixture
def files(tmp_path: Path) -> OutputFiles:
    (tmp_path / STATE).mkdir()
    return OutputFiles(tmp_path)


def in_a_host(work: Callable[[], None]) -> None:
    """Do it in a fork, whose descriptors are its own."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc(file=open(os.dup(60), "w"))  # noqa: PTH123, SIM115
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def run_steps(files: OutputFiles, *steps: tuple[int, Callable[[], object]]) -> None:
    def work() -> None:
        output = OneAtATime(files, WORKER)
        for pid, step in steps:
            with output.of(pid, 0.0, lambda step=step: getattr(step, "__name__", None)):  # type: ignore[misc]
                step()
        output.close()

    os.dup2(2, 60)
    in_a_host(work)


def printed(files: OutputFiles, pid: int) -> list[str]:
    """The lines of a process, the headings as the names of the steps."""
    lines = files.of(pid).read_text().splitlines()
    return [line.split(", ")[1] if line.startswith("=== process ") else line for line in lines]


def silent() -> None:
    return


def says_something() -> None:
    print("by Python")
    ctypes.CDLL(None).dprintf(1, b"by C\n")
    os.system("echo by a program; echo complaint >&2")
    print("to stderr", file=sys.stderr)
    sys.stdout.buffer.write(b"\xff\n")


def closes() -> None:
    print("x", end="")
    sys.stdout.close()
    os.closerange(0, 50)


def replaces() -> None:
    sys.stdout = sys.stderr = io.StringIO()
    print("to nobody")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def empties() -> None:
    print("gone")
    os.system("echo all >/dev/stderr")
    print("after")


def test_all_of_a_step_is_in_the_file_of_its_process_in_order(files: OutputFiles) -> None:
    run_steps(
        files, (1, says_something), (2, silent), (1, silent), (1, silent), (1, says_something), (3, silent)
    )
    once = ["step says_something", "by Python", "by C", "by a program", "complaint", "to stderr"]
    with pytest.raises(UnicodeDecodeError):
        printed(files, 1)
    files.of(1).write_bytes(files.of(1).read_bytes().replace(b"\xff", b"raw"))
    assert printed(files, 1) == [*once, "raw", *once, "raw"]
    assert [path.name for path in files.folder.rglob("*.log")] == ["1.log"]
    assert files.of(1).stat().st_mode & 0o777 == 0o600


def test_steps_that_print_nothing_make_no_file_and_cost_little(files: OutputFiles) -> None:
    def work() -> None:
        made: list[object] = []
        sys.addaudithook(lambda name, args: made.append(args[0]) if name == "open" else None)
        output = OneAtATime(files, WORKER)
        for pid in range(2_000):
            with output.of(pid, 0.0, lambda: "step"):
                pass
        mine = [one for one in made if str(files.folder) in str(one)]
        assert len(mine) == 2, mine
        output.close()

    in_a_host(work)
    assert [path.name for path in files.folder.rglob("*")] == ["hosts"]


@pytest.mark.parametrize("step", [closes, replaces])
def test_what_a_step_does_to_its_streams_ends_with_it(files: OutputFiles, step: Callable[[], None]) -> None:
    run_steps(files, (1, step), (2, says_something))
    assert printed_bytes(files, 2)[:3] == [b"by Python", b"by C", b"by a program"]


def printed_bytes(files: OutputFiles, pid: int) -> list[bytes]:
    return files.of(pid).read_bytes().splitlines()[1:]


def test_a_file_of_the_users_with_a_number_of_ours_is_not_written_to(
    files: OutputFiles, tmp_path: Path
) -> None:
    precious = [tmp_path / f"precious{number}" for number in range(50)]

    def takes_all_numbers() -> None:
        os.closerange(3, 50)
        for file in precious:
            os.open(file, os.O_RDWR | os.O_CREAT)

    run_steps(files, (1, takes_all_numbers), (2, says_something), (3, silent), (4, says_something))
    assert {file.read_bytes() for file in precious} == {b""}
    assert printed_bytes(files, 4)[:2] == [b"by Python", b"by C"]


def test_a_program_that_empties_the_file_costs_what_was_there(files: OutputFiles) -> None:
    run_steps(files, (1, empties), (2, silent))
    assert printed(files, 1) == ["all", "after"]
    assert not files.of(2).exists()


def test_a_step_whose_name_was_not_known_at_its_beginning(files: OutputFiles) -> None:
    def work() -> None:
        output = OneAtATime(files, WORKER)
        names = iter([None, "relax"])
        with output.of(1, 0.0, lambda: next(names)):
            print("hello")

    in_a_host(work)
    assert printed(files, 1) == ["step relax", "hello"]


def test_output_of_a_step_that_runs_is_named_by_who_looks(files: OutputFiles) -> None:
    (read, write), (on, go) = os.pipe(), os.pipe()

    def work() -> None:
        output = OneAtATime(files, WORKER)
        with output.of(7, 0.0, lambda: "waits"):
            os.write(write, str(os.getpid()).encode())
            os.read(on, 1)
            os.system("echo first")
            os.write(write, b"x")
            os.read(on, 1)
            os.system("echo second")

    thread = threading.Thread(target=in_a_host, args=(work,))
    thread.start()
    ospid = int(os.read(read, 100))
    before = files.host_prints_to(ospid)
    assert before is not None
    assert files.look_at(before) == HEAD
    assert not files.of(7).exists()
    os.write(go, b"x")
    os.read(read, 1)
    files.look_at(before)
    assert printed(files, 7) == ["step waits", "first"]
    os.write(go, b"x")
    thread.join()
    assert printed(files, 7) == ["step waits", "first", "second"]


def test_what_a_host_that_was_killed_has_printed_is_kept(files: OutputFiles) -> None:
    words = ["last", "words", None, "!"]

    def work() -> None:
        output = OneAtATime(files, WORKER)
        with output.of(3, 0.0, lambda: "dies"):
            if words[0] is not None:
                print(words[0])
            os._exit(0)

    told: list[list[str]] = []
    while words:
        in_a_host(work)
        assert told or not files.of(3).exists()
        files.sweep()
        told.append(files.last_lines(3, 5))
        words.pop(0)
    assert told == [["last"], ["words"], [], ["!"]]
    assert list((files.folder / "hosts").iterdir()) == []


def test_what_one_of_an_earlier_store_has_printed_is_not_shown_as_this_ones(files: OutputFiles) -> None:
    files.make()
    for pid in (1, 2):
        files.of(pid).write_text("of another")
        os.utime(files.of(pid), (1e9, 1e9))

    def work() -> None:
        output = OneAtATime(files, WORKER)
        with output.of(1, 1e9 + 60, lambda: "step"):
            print("the clock of another machine")
        with output.of(2, 2e9, lambda: "step"):
            print("new")
        with SideBySide(files, WORKER).of(1, time.time() + 1e6, lambda: "step"):
            print("newer")

    in_a_host(work)
    assert printed(files, 2) == ["step step", "new"]
    assert printed(files, 1) == ["step step", "newer"]


def test_what_is_too_large_is_cut_while_it_is_written(files: OutputFiles) -> None:
    files.make()
    files.most = 1000
    with files.of(1).open("ab", buffering=0) as stream:
        stream.write(b"a" * 900 + b"\n")
        files.look_at(files.of(1))
        stream.write(b"b" * 900 + b"\n")
        files.look_at(files.of(1))
        older = files.of(1).with_name("1.log.1")
        assert older.read_bytes() == b"a" * 900 + b"\n" + b"b" * 900 + b"\n"
        for _ in range(30):
            stream.write(b"c" * 99 + b"\n")
        files.look_at(files.of(1))
        assert older.read_bytes() == b"=== 2,000 bytes that stood here are dropped ===\n" + 10 * (
            b"c" * 99 + b"\n"
        )
        stream.write(b"d\n")
    assert files.of(1).read_bytes() == b"d\n"


def test_the_oldest_of_those_that_have_ended_goes_first(files: OutputFiles) -> None:
    files.make()
    files.total = 3 * 4096
    for pid in range(1, 7):
        files.of(pid).write_text("x")
        os.utime(files.of(pid), (pid, pid))
    assert files.discard(lambda pids: [pid for pid in pids if pid != 2]) == 3
    assert sorted(path.stem for path in files.folder.glob("*.log")) == ["2", "5", "6"]


def test_a_disk_that_is_full_costs_a_step_its_output_alone(files: OutputFiles) -> None:
    """And what it prints is not taken for that of the step before."""

    def fills_the_disk() -> None:
        print("hello")
        files.folder.rename(files.folder.with_name("away"))
        files.folder.write_text("no folder")

    run_steps(files, (1, fills_the_disk), (2, says_something))
    (kept,) = files.folder.with_name("away").rglob("*.1")
    assert kept.read_text().split("\n")[1:] == ["hello", ""]


def test_what_lives_on_is_not_swept(files: OutputFiles) -> None:
    def work() -> None:
        prctl(PR_SET_NAME, STEP_HOST.encode())
        output = OneAtATime(files, WORKER)
        for pid in (1, 2, 1):  # at the last of these, that of the second has no process and nothing in it
            with output.of(pid, 0.0, lambda: "step"):
                print("hello") if pid == 1 else None
        files.sweep()
        with output.of(3, 0.0, lambda: "step"):
            print("hello")

    in_a_host(work)
    assert printed(files, 3) == ["step step", "hello"]
    assert printed(files, 1) == ["step step", "hello", "step step", "hello"]


@pytest.mark.parametrize("kind", [OneAtATime, SideBySide])
def test_no_step_fails_since_there_is_no_room_for_what_it_prints(
    files: OutputFiles, monkeypatch: pytest.MonkeyPatch, kind: type[OneAtATime | SideBySide]
) -> None:
    full = Path("/dev/full")
    monkeypatch.setattr(files, "unnamed", lambda *_: full)
    monkeypatch.setattr(files, "of", lambda _: full)

    def work() -> None:
        os.dup2(os.open(full, os.O_WRONLY), 1)
        os.dup2(1, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        output = kind(files, WORKER)
        with output.of(1, 0.0, lambda: "prints"):
            for stream in (sys.stdout, sys.stderr):
                print("x" * 10_000, file=stream, flush=True)

    os.dup2(2, 60)
    in_a_host(work)


def test_a_heading_has_the_time_at_which_the_step_began(
    files: OutputFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the name of the step is known only at its end."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    names = iter([None, "late"])

    def work() -> None:
        monkeypatch.setattr(time, "time", iter([0.0, 3600.0]).__next__)
        with OneAtATime(files, WORKER).of(1, 0.0, lambda: next(names)):
            print("x")

    os.dup2(2, 60)
    in_a_host(work)
    assert files.of(1).read_text().startswith("=== process 1, step late, 1970-01-01 00:00:00 UTC, ")


def test_a_heading_fits_into_the_head() -> None:
    assert len(heading(2**63, "é" * 300, "w" * 300)) <= HEAD
    assert host_name("vm:1:a", 7).rpartition(".")[2] == "7"


def test_coroutines_that_print_side_by_side_are_not_mixed(files: OutputFiles) -> None:
    async def says(output: SideBySide, pid: int) -> None:
        with output.of(pid, 0.0, lambda: "says"):
            for word in ("a", "b", "c"):
                print(word, end=" ")
                await asyncio.sleep(0)
            await asyncio.to_thread(print, "in a thread")
            sys.stdout.buffer.write(b"bytes\n")
            print("no end", end="", file=sys.stderr)

    async def everybody() -> None:
        output = SideBySide(files, WORKER)
        await asyncio.gather(*(says(output, pid) for pid in range(5)))

    in_a_host(lambda: asyncio.run(everybody()))
    for pid in range(5):
        assert printed(files, pid) == ["step says", "a b c in a thread", "bytes", "no end"]


def test_a_flood_of_a_coroutine_is_cut_by_itself(files: OutputFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.most = 10_000
    monkeypatch.setattr(step_output, "LOOK_BYTES", 1000)

    def work() -> None:
        output = SideBySide(files, WORKER)
        with output.of(1, 0.0, lambda: "floods"):
            for _ in range(10_000):
                print("x" * 50)

    in_a_host(work)
    assert sum(path.stat().st_size for path in files.folder.glob("1.log*")) < 25_000


def test_a_child_of_a_fork_can_print_whoever_held_the_lock(files: OutputFiles) -> None:
    def work() -> None:
        output = SideBySide(files, WORKER)
        with output.of(1, 0.0, lambda: "forks"):
            file = step_output._printing.get()
            assert file is not None
            with file._lock:
                child = os.fork()  # the lock is held in it by a thread that is not there
                if not child:
                    thread = threading.Thread(target=file.write, args=(b"from the child\n",))
                    thread.start()
                    thread.join(10)
                    os._exit(thread.is_alive())
                assert os.waitpid(child, 0)[1] == 0

    in_a_host(work)
    assert printed(files, 1) == ["step forks", "from the child"]
