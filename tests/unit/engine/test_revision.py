"""Which files the revision of a class is made of, and what changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince.workspace.revision import files_of, revision_of


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


FLOW = """
import os, shared as s; import numpy
from settings import (
    WHO,  # which
    WHERE as where,
)
import pkg.deep
'''import described'''
def step():
    from lazily import x
    from .nothing import y
"""


def test_it_is_made_of_what_the_file_imports(tmp_path: Path) -> None:
    """In its folder first, then in the workspace's; also inside of functions, and what those import."""
    write(
        tmp_path,
        a__flow=FLOW, a__settings="", settings="", shared="import further", further="", a__lazily="",
        a__pkg__deep="from . import sibling\nfrom .other import z", a__pkg__sibling="",
        a__pkg__other="", unrelated="", os="", a__described="",
    )  # fmt: skip
    (tmp_path / "a" / "pkg" / "__init__.py").write_text("")
    names = {str(file.relative_to(tmp_path)) for file in files_of("a/flow.py:Job", tmp_path)}
    assert names >= {
        "a/flow.py", "a/settings.py", "shared.py", "further.py", "a/lazily.py", "a/pkg/deep.py",
        "a/pkg/sibling.py", "a/pkg/other.py",
    }  # fmt: skip
    assert not names & {"settings.py", "unrelated.py", "os.py"}


def test_it_changes_with_each_of_them_and_not_with_their_place(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there"):
        folder = tmp_path / place
        write(folder, flow="import helper", helper="x = 1", other="")
        found.append(revision_of("flow.py:Job", folder))
        assert revision_of("flow:Job", folder) == found[-1]
    assert found[0] == found[1]
    write(folder, other="x = 1")
    assert revision_of("flow:Job", folder) == found[0]
    write(folder, helper="x = 2")
    assert revision_of("flow:Job", folder) != found[0]


@pytest.mark.parametrize("path", ["gone.py:Job", "gone:Job", "__main__:Job", "a.b.c:Job", "my flow:Job"])
def test_what_has_no_file_has_none(tmp_path: Path, path: str) -> None:
    assert revision_of(path, tmp_path) is None


def test_a_class_that_is_installed_has_that_of_its_own_file(tmp_path: Path) -> None:
    assert [file.name for file in files_of("msgspec.json:encode", tmp_path)] == ["json.py"]
