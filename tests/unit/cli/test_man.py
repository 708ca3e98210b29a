"""The man page: it has every command and option, and `man` takes it as it is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from quince.cli.reference.commands import commands
from quince.cli.reference.man import man_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("man") / "quince.1"
    file.write_text(man_page(), encoding="utf-8")
    return file


def test_it_has_every_command_with_every_option(page: Path) -> None:
    text = page.read_text().replace("\\-", "-")
    for command in commands():
        heading = f".SS {' '.join(command.words)}\n" if command.name else ".SH OPTIONS\n"
        section = text.partition(heading)[2].partition("\n.SS ")[0]
        options = [one.names[0] for one in command.parameters if not one.positional]
        assert [option for option in options if rf"\fB{option}\fR" not in section] == []


def test_no_text_is_taken_for_a_request_of_roff(page: Path) -> None:
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".nf", ".fi"}
    lines = page.read_text().splitlines()
    assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= known


@pytest.mark.skipif(shutil.which("man") is None, reason="man-db is not installed")
def test_man_shows_it_without_a_warning(page: Path) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-P", "cat", "-l", str(page)],
        capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert "quince - run, see and steer workflows of processes" in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("lexgrog") is None, reason="man-db is not installed")
def test_whatis_finds_it(page: Path) -> None:
    done = subprocess.run(["lexgrog", str(page)], capture_output=True, text=True, check=True)
    assert "quince - run, see and steer workflows of processes" in done.stdout
