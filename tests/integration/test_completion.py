"""Tab, pressed in the shells that are here."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quince.cli.completion import scripts
from tests.server import missing

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
BEGIN = {
    "bash": "bind 'set bell-style none'; source ./script\n",
    "zsh": "autoload -Uz compinit; compinit -u -D; source ./script\n",
    "fish": "source ./script\n",
}


class Terminal:
    """A shell in a terminal, with `quince` in its path."""

    def __init__(self, shell: str, folder: Path) -> None:
        template = {"bash": scripts.BASH, "zsh": scripts.ZSH, "fish": scripts.FISH}[shell]
        names = {
            "complete_func": "_quince_completion",
            "prog_name": "quince",
            "autocomplete_var": "_QUINCE_COMPLETE",
        }
        (folder / "script").write_text((template % names).strip() + "\n")
        program = folder / "bin" / "quince"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m quince.cli.program "$@"\n')
        program.chmod(0o755)
        self._own, theirs = pty.openpty()
        environment = os.environ | {
            "PATH": f"{program.parent}:{os.environ['PATH']}", "PS1": "$ ",
            "TERM": "vt100" if shell == "fish" else "dumb",
            "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"),
        }  # fmt: skip
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *SHELLS[shell]], stdin=theirs, stdout=theirs, stderr=theirs,
            cwd=folder, env=environment,
        )  # fmt: skip
        os.close(theirs)
        self.said = ""
        self.type(BEGIN[shell] + "echo rea''dy\n")

    def type(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def until(self, text: str, timeout: float = 60) -> None:
        """Wait until it has printed something."""
        deadline = time.monotonic() + timeout
        while text not in self.said:
            assert time.monotonic() < deadline, f"no {text!r} in {self.said!r}"
            if select.select([self._own], [], [], 0.2)[0]:
                self.said += os.read(self._own, 65536).decode(errors="replace")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._own)


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        missing(f"{request.param} is not installed")
    (tmp_path / "study.py").write_text(
        "from quince import process\n@process\ndef energy(distance: float): ...\n"
    )
    shell = Terminal(request.param, tmp_path)
    yield shell
    shell.close()


def test_a_target_and_its_inputs(terminal: Terminal) -> None:
    terminal.until("ready")
    terminal.type("echo quince; quince submit stu\t")
    terminal.until("dy.py:energy")
    terminal.type("dis\t")
    terminal.until("tance=")
    terminal.type("3.5 --on-fai\t")
    terminal.until("lure")
    terminal.type("pau\t")
    terminal.until("se ")
    assert "rror" not in terminal.said
