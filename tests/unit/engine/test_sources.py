"""Files of users are read as they are, and whoever has imported them knows when they have changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from importlib.util import cache_from_source
from pathlib import Path

import msgspec
import pytest

from quince.workspace.sources import SourceLoader, is_installed


def loaded(file: Path) -> object:
    names: dict[str, object] = {}
    code = SourceLoader("some_module", str(file)).get_code("some_module")
    assert code is not None
    exec(code, names)
    return names["x"]


def test_no_compiled_file_stands_for_another_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same size, within the same second. One that is old enough to be known by its second is used."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "some_module.py"
    now = time.time()
    for x in (1, 2):
        file.write_text(f"x = {x}\n")
        os.utime(file, (now, now))
        assert loaded(file) == x
    assert not Path(cache_from_source(str(file))).exists()
    os.utime(file, (now - 60, now - 60))
    assert loaded(file) == 2
    assert Path(cache_from_source(str(file))).exists()
    file.write_text("x = 3\n")
    os.utime(file, (now - 60, now - 60))
    assert loaded(file) == 2, "the compiled file is used"


HOST = """
    import json, os, sys
    from pathlib import Path
    from quince.workspace.sources import SourceFinder, changed
    root, folder = sys.argv[1:]
    SourceFinder([root, folder]).install()
    import first, random, package.inner, elsewhere
    said = [Path(name).name for name in changed()]
    for name, step in (
        ("touched", lambda: os.utime(Path(root) / "first.py", (1, 1))),
        ("grown", lambda: (Path(folder) / "package" / "inner.py").write_text("x = 12")),
        ("gone", lambda: (Path(os.environ["PYTHONPATH"].split(":")[-1]) / "elsewhere.py").unlink()),
        ("data", lambda: (Path(root) / "data.txt").write_text("x")),
        ("late", lambda: __import__("late")),
    ):
        step()
        said.append(sorted(Path(one).name for one in changed()))
    print(json.dumps([said, first.WHERE, hasattr(random, "Random"), sys.path[:2] == [root, folder]]))
"""


def test_what_was_imported_is_known_when_it_changes(tmp_path: Path) -> None:
    """From the folder of a class, the workspace, and any other that is not one of installed packages."""
    root, folder, other = (tmp_path / name for name in ("root", "folder", "other"))
    for file, text in (
        (root / "first.py", "WHERE = 'root'"), (folder / "first.py", "WHERE = 'folder'"),
        (root / "random.py", ""), (folder / "package" / "__init__.py", ""),
        (folder / "package" / "inner.py", ""), (other / "elsewhere.py", ""), (root / "late.py", ""),
    ):  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    path = os.pathsep.join([*sys.path, str(other)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(HOST), str(root), str(folder)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said, where, library, first = json.loads(done.stdout)
    assert said == [
        ["first.py"], ["first.py", "inner.py"], *[["elsewhere.py", "first.py", "inner.py"]] * 3
    ]  # fmt: skip
    assert (where, library, first) == ("root", True, True)


def test_what_is_installed_is_no_user_s(tmp_path: Path) -> None:
    assert is_installed(os.__file__)
    assert is_installed(msgspec.__file__)
    assert is_installed(sys.modules["quince.workspace.sources"].__file__ or "")
    assert not is_installed(__file__)
    assert not is_installed(str(tmp_path / "flow.py"))
