"""What Tab completes, and that it says nothing where nothing is known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quince import process, set_limit, submit
from quince.cli.completion.answer import completions
from quince.cli.completion.code import inputs, targets
from quince.cli.completion.described import describe, described
from quince.cli.completion.words import replaced_by_bash, words_of
from quince.workspace.workspace import Workspace

STUDY = """
from quince import Process, WorkChain, process
raise SystemExit("nobody runs this")

@process
def energy(distance: float, *, order: int = 2) -> float: ...

class Curve(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("distances", valid_type=list)
        spec.input("fit.order")

class Longer(Curve): ...
class Other: ...
"""


@process
def scan() -> None:
    """Nobody runs it."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def study(quince_workspace: Workspace) -> Workspace:
    """A workspace with processes, in which the test is."""
    (quince_workspace.location.folder / "study.py").write_text(STUDY)
    for number in range(3):
        submit(scan, key=f"scan-{number}", labels={"study": "argon"}, queue="night")
    submit(scan, key="killed").kill("to be retried")
    submit(scan, key="held").pause("to be played")
    set_limit("licence", slots=4)
    return quince_workspace


def words(line: str) -> list[str]:
    return [word for word, _ in completions(words_of(line))]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("quince pau", ["pause"]),
        ("cd x && /usr/bin/quince -C y dae", ["daemon"]),
        ("quince daemon sto", ["stop"]),
        ("quince ps --older", ["--older-than"]),
        ("quince ps --state w", ["waiting"]),
        ("quince ps --state=exc", ["--state=excepted"]),
        ("quince ps --state waiting,ru", ["waiting,running"]),
        ("quince submit x.py --on-failure p", ["pause"]),
        ("quince help sched", ["schedules"]),
        ("quince nothing x", []),
        ("quince ps --no-such ", []),
    ],
)
def test_without_a_workspace(
    line: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words(line) == found
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("quince pause scan", ["scan-2", "scan-1", "scan-0"]),
        ("quince ps --label st", ["study=argon"]),
        ("quince ps --queue ni", ["night"]),
        ("quince submit x.py --limit l", ["licence"]),
        ("quince limit show ", ["licence"]),
        ("quince submit st", ["study.py:energy", "study.py:Curve", "study.py:Longer"]),
        ("quince submit study.py:Cu", ["study.py:Curve"]),
        ("quince submit study.py:Curve ", ["distances=", "fit.order="]),
        ("quince run --key a study:energy d", ["distance="]),
        ("quince set scan-1 pri", ["priority="]),
        ("quince ps --parent scan-0", ["scan-0"]),
        ("quince pause k", []),
        ("quince play ", ["5", "held"]),
        ("quince retry ", ["5", "held", "4", "killed"]),
    ],
)
def test_in_a_workspace(line: str, found: list[str], study: Workspace) -> None:
    assert sorted(words(line)) == sorted(found)


def test_what_is_said_of_a_process(study: Workspace) -> None:
    said = dict(completions(["why", "scan-1"]))
    assert said["scan-1"].endswith("scan created")
    assert set(map(str, said)) == {"scan-1"}


def test_nothing_of_a_file_is_run_and_files_of_others_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(STUDY)
    (tmp_path / "broken.py").write_text("class Half(")
    assert [*inputs("study.py", tmp_path)] == ["distance", "order"]
    assert [*targets("broken.py:", tmp_path)] == []
    (tmp_path / "study.py").chmod(0o666)
    assert [*targets("study.py:", tmp_path)] == []


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("quince submit 'a b' c", ["submit", "a b", "c"]),
        ("X=1 quince ps ", ["ps", ""]),
        ('quince run "unclosed x', ["run", "unclosed x"]),
        ("quince help quince x", ["x"]),
        ("", [""]),
    ],
)
def test_a_line_is_taken_apart(line: str, typed: list[str]) -> None:
    assert words_of(line) == typed


def test_bash_replaces_what_follows_its_word_breaks() -> None:
    assert [replaced_by_bash(word) for word in ("abc", "a.py:Cu", "--state=", "a=b:c")] == [0, 5, 8, 4]


def test_the_commands_are_written_down_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = described.__wrapped__()
    monkeypatch.setattr(
        "quince.cli.completion.described.describe", lambda: pytest.fail("it is not read again")
    )
    assert described.__wrapped__() == first
    assert first == describe()


def test_it_loads_neither_the_commands_nor_sqlalchemy_and_says_nothing_of_troubles(study: Workspace) -> None:
    described()
    program = (
        "import sys, atexit, os\n"
        "import quince.cli.completion.answer as it\n"
        "print(it.completions(sys.argv[1:]))\n"
        "print(sorted({'sqlalchemy', 'plumpy', 'typer', 'quince.cli.main'} & set(sys.modules)))\n"
    )
    for store, found in (
        ("", 3),
        ("sqlite:////nowhere/x.db", 0),
        ("postgresql+psycopg://x@127.0.0.1:1/x", 0),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, "pause", "scan"], cwd=study.location.folder, text=True,
            env=os.environ | ({"QUINCE_STORE": store} if store else {}), capture_output=True, check=True,
        )  # fmt: skip
        assert (done.stdout.count("scan-"), done.stdout.splitlines()[-1], done.stderr) == (found, "[]", "")
