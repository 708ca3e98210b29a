"""What type checkers say to users: nothing about right programs, and something about each wrong line.

`project` is a user's: it is copied away from our configuration, and sees the packages as they are installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".mypy_cache" / "of_users"
Found = dict[tuple[str, int], str]
"""What was reported, by file and line."""


def mypy(project: Path) -> Found:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", CACHE, "."],
        cwd=project, capture_output=True, text=True, env=_environment(),
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found = re.findall(r"^(\S+?):(\d+): error: (.*)$", done.stdout, re.M)
    return {(file, int(line)): text for file, line, text in found}


def pyright(project: Path) -> Found:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", "."],
        cwd=project, capture_output=True, text=True, env=_environment(),
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in json.loads(done.stdout)["generalDiagnostics"]
    }


def _environment() -> dict[str, str]:
    """No path to our sources: what is installed is found as users find it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    return {**kept, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_right_programs_pass_and_each_wrong_line_is_reported(
    checker: Callable[[Path], Found], tmp_path: Path
) -> None:
    project = shutil.copytree(HERE / "project", tmp_path / "project")
    lines = {
        (file.name, number): line.strip()
        for file in project.glob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
    }
    wrong = {place for place, line in lines.items() if "  # wrong: " in line}
    found = checker(project)
    assert [lines[place] for place in sorted(wrong - set(found))] == [], "these mistakes pass"
    assert {lines[place]: found[place] for place in sorted(set(found) - wrong)} == {}, "these lines are right"
    assert len(wrong) > 70
