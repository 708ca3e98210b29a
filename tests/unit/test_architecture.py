"""The page on architecture names parts, files, functions and tests that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOTS = {
    "messaging": ROOT / "messaging" / "quince_messaging",
    "persistence": ROOT / "persistence" / "quince_persistence",
    "tests": ROOT / "tests",
}
QUOTED = sorted(set(re.findall(r"`([\w/.]+\.py|[\w/]+/)(?:::([\w.]+))?`", PAGE.partition("## The parts")[2])))


def place(path: str) -> Path:
    """Where a path of the page lies."""
    first, _, rest = path.partition("/")
    if path.startswith("test_"):
        return next((ROOT / "tests").rglob(path), ROOT / path)
    return ROOTS[first] / rest if first in ROOTS else ROOT / "engine" / "quince" / path


@cache
def names_in(file: Path) -> frozenset[str]:
    """The functions, classes, methods and constants of a module."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.AsyncFunctionDef)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


def test_what_the_page_names_exists() -> None:
    """If you have moved or renamed something: say so in docs/architecture.md."""
    assert len(QUOTED) > 80
    missing = [path for path, _ in QUOTED if not place(path).exists()]
    assert missing == []
    assert [f"{path}::{name}" for path, name in QUOTED if name and name not in names_in(place(path))] == []


@pytest.mark.parametrize(
    ("package", "heading"),
    [("quince", "part"), ("quince_messaging", "part of `quince_messaging`"),
     ("quince_persistence", "part of `quince_persistence`")],
)  # fmt: skip
def test_the_tables_have_the_parts_that_there_are(package: str, heading: str) -> None:
    """In the order of their floors."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    folder = next(ROOT.glob(f"*/{package}"))
    assert set(rows) == {one.parent.name for one in folder.glob("*/__init__.py")}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = (one["layers"] for one in contracts if one["name"] == f"the floors of {package}")
    order = [part.rpartition(".")[2] for floor in floors for part in floor.split(" | ")]
    if package == "quince":
        assert rows == [part for part in order if part in rows]
    assert set(rows) <= {*order, "migrations", "clients", "transports"}


def test_the_picture_shows_the_parts_that_there_are() -> None:
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    for folder in (ROOT / "engine" / "quince", *list(ROOTS.values())[:2]):
        for part in (one.parent.name for one in folder.glob("*/__init__.py")):
            assert part in picture or part == "migrations"
