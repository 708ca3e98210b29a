"""What the README shows works as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crew import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the first workflow in it."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "squares.py").write_text(code, encoding="utf-8")
    yield tmp_path
    _run(tmp_path, "daemon", "stop", "--timeout", "5")


def test_first_workflow_from_the_shell(folder: Path) -> None:
    (session,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    shown = [block.partition("\n") for block in session.split("$ quince ")[1:]]
    assert len(shown) == 6
    (pid,) = re.findall(r"^submitted (\d+)", session, re.MULTILINE)
    as_shown = f"tree {pid}"
    for command, _, output in shown:
        words = command.partition("#")[0].replace(as_shown, f"tree {pid}").split()
        told = _run(folder, *words)
        pid = (re.findall(r"submitted (\d+)", told) or [pid])[0]
        if output:
            assert _without_times_and_pids(told) == _without_times_and_pids(output)


def test_first_workflow_is_twenty_lines(folder: Path) -> None:
    assert len((folder / "squares.py").read_text(encoding="utf-8").splitlines()) <= 20


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "quince.cli.main", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("QUINCE_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _without_times_and_pids(text: str) -> list[str]:
    untimed = re.sub(r"\d+\.\d s", "0.0 s", text)
    return re.sub(r"^(submitted |[├└]── )?\d+ ", r"\1PID ", untimed, flags=re.MULTILINE).splitlines()
