"""What the chapters of docs show runs as it is shown; `tests/chapters.py` says how to mark blocks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chapters import blocks_of
from tests.crew import ROOT

ELSEWHERE = {"communicator.md"}
"""Has a test of its own: each of its blocks is a program."""
CHAPTERS = [
    page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in ELSEWHERE and blocks_of(page)
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda page: str(page.stem))
def test_the_chapter_runs(chapter: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.chapters", str(chapter)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr


def test_blocks_are_told_apart_and_know_their_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\na = 1\n```\n- in a list\n\n  ```python\n  # jobs.py\n  b = 2\n  ```\n"
        "```python fragment\nc\n```\n```console\n$ no\n```\n```console run\n$ true\n```\n```sh\nd\n```\n"
    )
    found = [(block.code, block.line, block.console, block.file) for block in blocks_of(page)]
    assert found == [
        ("a = 1\n", 2, False, None),
        ("# jobs.py\nb = 2\n", 7, False, "jobs"),
        ("$ true\n", 17, True, None),
    ]
