"""Files of users that are called like modules of the standard library, of ours, or of what we depend on."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import quince
import quince_messaging
import quince_persistence
from quince import UnknownTarget, import_order
from quince.errors import UnloadableClass
from quince.interpreter import SUPERVISOR, WORKER, arguments_of, command_line, is_earlier
from quince.workspace.class_loader import ClassLoader, load_target

OURS = ["engine", "messaging", "persistence", "quince", "quince_messaging", "sqlalchemy", "rich"]
LIBRARY = ["asyncio", "email", "logging", "profile", "queue", "random", "select", "signal", "types", "typing"]
JOB = """
    import random
    from quince import Process
    class Job(Process):
        @classmethod
        def define(cls, spec):
            super().define(spec)
            spec.output("number", valid_type=float)
        def run(self):
            self.out("number", random.random())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(file: Path, text: str) -> Path:
    file.write_text(textwrap.dedent(text))
    return file


def occupy(folder: Path) -> None:
    """A file for every module that there is, which says so when it is imported."""
    names = {name for name in sys.stdlib_module_names if importlib.util.find_spec(name) is not None}
    installed = {name for name in packages_distributions() if name.isidentifier()}
    for name in (names | installed | {*OURS}) - {"__future__", "quince"}:
        write(folder / f"{name}.py", "raise RuntimeError(f'{__file__} was imported')")


@pytest.mark.parametrize("name", [*OURS, *LIBRARY])
def test_a_class_in_a_file_of_any_name_is_a_target(folder: Path, name: str) -> None:
    write(folder / f"{name}.py", JOB)
    there = {module: sys.modules.get(module) for module in [*OURS, *LIBRARY] if module in sys.modules}
    for target in (f"{name}.py:Job", f"{name}:Job", name):
        cls = load_target(target, ClassLoader(folder))
        assert cls.__qualname__ == "Job"
        path = ClassLoader(folder).name_of(cls)
        assert ClassLoader(folder).load(path) is cls
        assert path in (f"{name}.py:Job", f"{name}:Job")
        assert name not in there or path == f"{name}.py:Job"
    assert {module: sys.modules[module] for module in there} == there


def test_a_class_path_of_a_module_is_still_found_when_the_library_has_one_of_that_name(folder: Path) -> None:
    write(folder / "profile.py", JOB)
    assert ClassLoader(folder).load("profile:Job").__qualname__ == "Job"
    assert ClassLoader(folder).load("profile:Profile").__module__ == "profile"  # the library's
    with pytest.raises(UnloadableClass, match=r"profile\.py has no 'Other'; it has Job"):
        ClassLoader(folder).load("profile:Other")


@pytest.mark.parametrize("line", ["from statistics import mine", "import statistics; statistics.mine"])
def test_an_import_that_gets_the_library_says_which_file_is_to_be_renamed(folder: Path, line: str) -> None:
    own = write(folder / "statistics.py", "mine = 1")
    write(folder / "quince_namesake_flow.py", line)
    with pytest.raises(UnknownTarget, match=f"statistics is a module of the standard library: rename {own}"):
        load_target("quince_namesake_flow.py:Job", ClassLoader(folder))


@pytest.mark.parametrize("name", ["engine", "messaging", "persistence"])
def test_an_import_of_ours_by_its_former_name_says_the_name_of_today(folder: Path, name: str) -> None:
    write(folder / "quince_namesake_flow.py", f"from {name} import anything")
    with pytest.raises(UnknownTarget, match="package of that name is quince"):
        load_target("quince_namesake_flow.py:Job", ClassLoader(folder))


def test_a_folder_of_a_user_stands_between_the_library_and_what_is_installed(folder: Path) -> None:
    for name, first in (("one", False), ("two", False), ("home", True), ("one", True)):
        import_order.add(str(folder / name), first=first)
    places = [sys.path.index(str(folder / name)) for name in ("home", "one", "two")]
    assert places == sorted(places)
    library = [place for place, path in enumerate(sys.path) if path.endswith((".zip", "lib-dynload"))]
    installed = [place for place, path in enumerate(sys.path) if path.endswith("-packages")]
    assert max(library) < places[0]
    assert places[-1] < min(installed)


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = write(folder / "script.py", text)
    return subprocess.run([sys.executable, str(file)], cwd=folder, capture_output=True, text=True)


def test_a_script_beside_files_of_all_names_works(folder: Path) -> None:
    occupy(folder)
    write(folder / "quince_flow.py", JOB)
    write(folder / "this.py", "mine = 1")  # what we do not need may be taken
    done = script(
        folder,
        """
        import this
        from quince import run, submit
        from quince_flow import Job
        print(this.mine, run(Job)["number"] < 1, submit(Job).state)
        import psycopg
        print("psycopg" in str(psycopg.connect))
        """,
    )
    assert (done.stdout, done.stderr) == ("1 True created\nTrue\n", "")


def test_a_script_is_told_which_file_it_has_imported_in_the_place_of_the_library_s(folder: Path) -> None:
    own = write(folder / "random.py", "")
    write(folder / "calendar.py", "")
    done = script(folder, "import random, code\nimport quince")
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {own} is in the way: it was imported in place of the module random of that name, "
        "which Quince needs; rename it"
    )


@pytest.mark.parametrize("first", ["sqlalchemy", "quince_messaging, quince_persistence"])
def test_packages_that_pythonpath_names_are_no_files_in_the_way(tmp_path: Path, first: str) -> None:
    """Those of clusters' modules, and a checkout of ours."""
    places = [path for path in sys.path if path.endswith("-packages")]
    places += [str(Path(package.__path__[0]).parent) for package in (quince, quince_messaging)]
    places.append(str(Path(quince_persistence.__path__[0]).parent))
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import {first}, quince; print(quince.run.__name__)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("run\n", "")


def test_a_driver_is_there_before_a_folder_with_a_file_of_its_name(tmp_path: Path) -> None:
    write(tmp_path / "psycopg.py", "raise RuntimeError(f'{__file__} was imported')")
    text = "from quince import import_order; import_order.add({!r}); import psycopg; print(psycopg.connect)"
    words = [sys.executable, "-P", "-c", text.format(str(tmp_path))]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout[:12], done.stderr) == ("<bound metho", "")


def test_our_programs_do_not_look_into_the_folder_where_they_run() -> None:
    words = command_line(SUPERVISOR, "/work", "3")
    assert words[:3] == [sys.executable, "-P", "-m"]
    assert arguments_of(words, SUPERVISOR) == ["/work", "3"]
    assert arguments_of(words, WORKER) is None
    assert not is_earlier(words, SUPERVISOR)


def test_our_programs_of_earlier_versions_are_known() -> None:
    words = ["/usr/bin/python3", "-m", "engine.supervisor", "/work", "3"]
    assert arguments_of(words, SUPERVISOR) == ["/work", "3"]
    assert is_earlier(words, SUPERVISOR)
    assert arguments_of(["/usr/bin/python3", "-m", "http.server"], SUPERVISOR) is None
    assert arguments_of(["/usr/bin/python3"], SUPERVISOR) is None
