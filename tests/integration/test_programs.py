"""Programs of steps end with their worker, whatever they do; a second copy never runs beside a first one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import psutil
import pytest

from quince import ProcessHandle, Workspace, submit
from quince.interpreter import STEP_HOST, TEMPLATE
from tests import flows
from tests.crew import Crew, eventually

WRITES = "while [ ! -e over ]; do echo $$ >> lines; sleep 0.02; done"
"""A program that leaves its mark in a file of its folder, again and again, until another file is there."""

MANNERS = {
    "plain": f"exec sh -c '{WRITES}'",
    "a child of a shell": f"sh -c '{WRITES}'; echo over",
    "in a pipe": f"sh -c '{WRITES}' | cat",
    "deaf to SIGTERM": f"trap '' TERM HUP INT; {WRITES}",
    "in a session of its own": f"setsid sh -c '{WRITES}'; wait",
    "a daemon": f"setsid -f sh -c '{WRITES}'; while [ ! -e over ]; do sleep 0.05; done",
}


def lines(folder: Path) -> list[str]:
    """Who has written, line by line."""
    file = folder / "lines"
    return file.read_text().split() if file.exists() else []


def begun(home: Workspace, script: str, folder: Path) -> ProcessHandle:
    """A process whose program writes."""
    folder.mkdir()
    handle = submit(flows.Shell, script=f"cd '{folder}'; [ -e over ] && exit 0; {script}", workspace=home)
    eventually(lambda: lines(folder), what="the first line")
    return handle


def one_after_the_other(written: list[str]) -> None:
    """No program wrote after the next one had begun."""
    changes = [who for number, who in enumerate(written) if number == 0 or written[number - 1] != who]
    assert len(changes) == len(set(changes)), Counter(written)


def test_programs_die_with_their_worker(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    (worker,) = crew.start()
    folders = [tmp_path / str(number) for number in range(len(MANNERS))]
    handles = [begun(home, script, folder) for script, folder in zip(MANNERS.values(), folders, strict=True)]
    family = psutil.Process(worker.process.pid).children(recursive=True)
    worker.kill()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    for folder in folders:
        (folder / "over").touch()
    crew.start()
    for manner, folder, handle in zip(MANNERS, folders, handles, strict=True):
        assert handle.wait(30).exit_status == 0, manner
        one_after_the_other(lines(folder))


def test_what_outlives_worker_and_guard_is_ended_before_a_second_copy_begins(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start()
    folder = tmp_path / "run"
    handle = begun(home, MANNERS["in a pipe"], folder)
    family = psutil.Process(worker.process.pid).children(recursive=True)
    duty = [one for one in family if one.name() in (TEMPLATE, STEP_HOST, "python")]  # this one: the guard
    assert len(duty) == 3
    for one in duty:
        one.suspend()
    worker.kill()
    before = set(lines(folder))
    count = len(lines(folder))
    eventually(lambda: len(lines(folder)) > count, what="the program that has outlived its worker")
    crew.start()
    eventually(lambda: set(lines(folder)) - before, what="the second copy")
    one_after_the_other(lines(folder))
    for one in duty[:-1]:
        one.resume()
    _, alive = psutil.wait_procs(duty, timeout=5)
    assert not alive
    (folder / "over").touch()
    handle.wait(30)


def test_what_a_frozen_worker_runs_is_ended_before_a_second_copy_begins(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start()
    folder = tmp_path / "run"
    handle = begun(home, MANNERS["a child of a shell"], folder)
    before = set(lines(folder))
    worker.freeze()
    crew.start()
    eventually(lambda: set(lines(folder)) - before, what="the second copy")
    worker.thaw()
    (folder / "over").touch()
    eventually(lambda: handle.terminated, what="its end")
    one_after_the_other(lines(folder))
    told = [line.body["text"] for line in handle.history() if line.kind == "report"]
    assert any("an earlier run of this step had left running" in text for text in told), (handle.row, told)


def test_a_worker_of_another_host_leaves_what_cannot_be_known(
    home: Workspace, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUINCE_HOST", "far")
    (worker,) = crew.start()
    folder = tmp_path / "run"
    handle = begun(home, WRITES, folder)
    monkeypatch.setenv("QUINCE_HOST", "here")
    crew.start()
    worker.kill()
    (folder / "over").touch()
    assert handle.wait(60).exit_status == 0
    told = [line.body["text"] for line in handle.history() if line.kind == "report"]
    assert any("still runs on far cannot be known here" in text for text in told)


def test_a_program_ends_and_fails_as_without_a_guard(home: Workspace, crew: Crew) -> None:
    crew.start()
    said = submit(flows.Shell, script="ps -o sid= -p $$ | tr -d ' '; echo $$", workspace=home).result(30)[
        "said"
    ]
    session, program = said.split()
    assert session == program
    failing = submit(flows.Shell, script="kill -15 $$", workspace=home).wait(30)
    assert "status -15" in (failing.exit_message or "")
    status = submit(flows.Shell, script="exit 7", workspace=home).wait(30)
    assert "status 7" in (status.exit_message or "")
