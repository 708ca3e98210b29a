"""A command that was forked finds and leaves the same as one whose Python was started for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from quince.cli.main import COMMANDS
from tests.forked import ForkServer
from tests.integration.commands import Quince

LOOK = """
import atexit, json, os, signal, sys, threading, warnings

main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "flags": str(sys.flags), "filters": str(warnings.filters),
    "main": [main.__name__, main.__file__, main.__spec__.name],
    "globals": sorted(name for name in vars(main) if not name.startswith("__")),
    "strangers": sorted(name for name in sys.modules if name.startswith(("tests", "fork"))),
    "streams": [
        [s.encoding, s.errors, s.line_buffering, s.isatty(), s.seekable(), s.fileno()]
        for s in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "input": sys.stdin.read(),
    "variables": sorted(os.environ.items()),
    "folder": os.getcwd(), "umask": os.umask(0), "group": os.getpgrp(), "session": os.getsid(0),
    "descriptors": sorted(os.listdir("/proc/self/fd"), key=int),
    "signals": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
    "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": [thread.name for thread in threading.enumerate()],
    "hooks": [hook.__qualname__ for hook in (sys.excepthook, sys.displayhook, threading.excepthook)],
}))
atexit.register(print, "the interpreter ends")
threading.Timer(0.5, print, ["a thread is waited for"]).start()
"""


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Quince:
    return Quince(tmp_path, forks)


def test_a_fork_finds_itself_in_the_same_surroundings(quince: Quince) -> None:
    (quince.folder / "eyes.py").write_text(LOOK)
    forked, started = (how("run", "eyes.py:none", QUINCE_X="1") for how in (quince.raw, quince.afresh))
    seen, *rest = forked.out.splitlines()
    assert json.loads(seen) == json.loads(started.out.splitlines()[0])
    assert json.loads(seen)["threads"] == ["MainThread"]
    assert rest == ["a thread is waited for", "the interpreter ends"]
    assert forked == started
    assert forked.status == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--version"], ["--help"], ["fly"], ["ps", "--json"], ["show", "99"], ["show", "99", "--debug"],
        ["run", "steps.py:Whole", "n=1", "--json"], ["run", "ends.py:killed"], ["run", "ends.py:left"],
        ["submit", "ends.py:leaves", "--json"], ["-C", "nowhere", "ps"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_fork_ends_in_the_same_way(words: list[str], tmp_path: Path, forks: ForkServer) -> None:
    ends = []
    folder = tmp_path / "same"
    for how in (Quince.raw, Quince.afresh):
        folder.mkdir()
        quince = Quince(folder, forks)
        (quince.folder / "ends.py").write_text(
            "import os, sys\n"
            "from quince import process\n"
            "@process\n"
            "def killed() -> None: os.kill(os.getpid(), 9)\n"
            "@process\n"
            "def left() -> None: os._exit(7)\n"
            "if 'ends.py:leaves' in sys.argv: sys.exit('no')\n"
        )
        ends.append(how(quince, *words))
        shutil.rmtree(folder)
    assert ends[0] == ends[1]


@pytest.mark.parametrize("command", {module: name for name, module in COMMANDS.items()}.values())
def test_a_command_of_every_module_starts_as_a_program(quince: Quince, command: str) -> None:
    ended = quince.afresh(command, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert f"quince {command}" in ended.out


def test_what_is_read_at_the_start_starts_a_python(quince: Quince, forks: ForkServer) -> None:
    kept = quince.environment()
    assert forks.can_run(kept | {"QUINCE_STORE": "sqlite://"})
    for variables in ({"LC_ALL": "C"}, {"PYTHONUTF8": "0"}, {"PYTHONPATH": "/x"}, {"NO_COLOR": "1"}):
        assert not forks.can_run(kept | variables)
    assert quince("--version", PYTHONVERBOSE="1").err.startswith("import _frozen_importlib")
