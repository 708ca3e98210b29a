"""`quince top` in a real terminal, and where there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quince import Workspace, submit
from tests import flows
from tests.crew import environment
from tests.integration.top.screens import Terminal, bare, command

COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    assert shutil.which("tmux"), "tmux is needed (Debian: apt-get install tmux)"
    made: list[Terminal] = []

    def make(*words: str, **variables: str) -> Terminal:
        made.append(Terminal(tmp_path, command(*words), bare(**variables)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_it_works_without_colour_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
    with Workspace.at(tmp_path) as home:
        handle = submit(flows.add, x=1, workspace=home)
        top = terminal(
            "top", NO_COLOR="1", **{k: v for k, v in environment(home.location).items() if k == "PYTHONPATH"}
        )
        top.until(" add ")
        assert not COLOUR.search(top.look(styles=True))
        assert "\x1b[7m" in top.look(styles=True) or "\x1b[0;7m" in top.look(
            styles=True
        )  # the line one is at
        top.keys("p")
        top.until("Pause 1")
        top.keys("looks odd", "Enter")
        top.until("1 paused")
        top.until("paused (created)")
        assert (handle.paused, handle.status) == (True, "looks odd")
        top.keys("q")
        assert "quince top" not in top.until("ended with 0")


def said(folder: Path, *words: str, **variables: str) -> tuple[int, str]:
    """How a command ended without a terminal, and what it said."""
    done = subprocess.run(
        command(*words), cwd=folder, env=bare(TERM="xterm", **variables), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_without_a_terminal_a_workspace_or_a_store_it_says_so_in_one_line(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
    status, line = said(tmp_path, "top")
    assert (status, line.count("\n")) == (2, 1)
    assert "top wants a terminal; `quince ps`" in line
    text = terminal("top").until("ended with")
    assert "error: there is no workspace in " in text
    assert "ended with 1" in text
    away = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    (tmp_path / "other").mkdir()
    top = Terminal(tmp_path / "other", command("top"), bare(QUINCE_STORE=away, QUINCE_BROKER="local:///x"))
    try:
        text = top.until("ended with 1")
        assert "error: " in text
        assert "Traceback" not in text
    finally:
        top.close()
