"""The pages of guarantees, of control and of security, and the table of races, name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"(test_\w+\.py)::(test_\w+)")


@pytest.mark.parametrize(
    "page",
    [
        TESTS.parent / "docs" / "guarantees.md",
        TESTS.parent / "docs" / "control.md",
        TESTS.parent / "docs" / "security.md",
        TESTS / "integration" / "test_races.py",
    ],
)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert len(named) > 5
    files = [(file.name, file.read_text()) for file in TESTS.rglob("test_*.py")]
    defined = {(name, test) for name, text in files for test in re.findall(r"def (test_\w+)\(", text)}
    missing = [f"{file}::{test}" for file, test in named if (file, test) not in defined]
    assert missing == []


def test_every_sentence_on_security_names_its_test() -> None:
    """Each point of a list that is no limit."""
    page = (TESTS.parent / "docs" / "security.md").read_text()
    promised = page.partition("\n## What is not")[0]
    points = re.findall(r"^- .*?(?=^- |^$|\Z)", promised, flags=re.MULTILINE | re.DOTALL)
    assert len(points) > 20
    assert [point for point in points if not NAMED.search(point)] == []
