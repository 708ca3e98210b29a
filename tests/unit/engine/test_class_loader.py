"""Names of classes, and the way back."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quince import Process, UnknownTarget
from quince.errors import InvalidDefinition, UnloadableClass
from quince.workspace.class_loader import ClassLoader, load_target
from tests import flows

SCRIPT = """
    from quince import Process
    class Job(Process):
        def run(self):
            return None
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def test_an_importable_class_is_named_by_its_module(tmp_path: Path) -> None:
    registry = ClassLoader(tmp_path)
    path = registry.name_of(flows.Double)
    assert path == "tests.flows:Double"
    assert ClassLoader(tmp_path).load(path) is flows.Double


def test_a_script_in_the_workspace_is_named_by_its_file(folder: Path) -> None:
    write(folder / "jobs" / "quince_job_script.py", SCRIPT)
    cls = load_target(f"{folder}/jobs/quince_job_script.py:Job", ClassLoader(folder))
    assert ClassLoader(folder).name_of(cls) == "jobs/quince_job_script.py:Job"
    del sys.modules[cls.__module__]
    loaded = ClassLoader(folder).load("jobs/quince_job_script.py:Job")
    assert loaded is not cls
    assert loaded.__qualname__ == "Job"


@pytest.mark.parametrize("name", ["my-flow.py", "my flow.py", "01_relax.py", "a.b.py", "é.py", "jobs/x-y.py"])
def test_a_script_need_not_be_called_like_a_module(folder: Path, name: str) -> None:
    write(folder / name, SCRIPT)
    cls = load_target(f"{folder}/{name}:Job", ClassLoader(folder))
    path = ClassLoader(folder).name_of(cls)
    assert path in (f"{name}:Job", "é:Job")
    del sys.modules[cls.__module__]
    assert ClassLoader(folder).load(path).__qualname__ == "Job"


def test_a_class_that_is_defined_again_is_the_one_that_runs(folder: Path) -> None:
    write(folder / "quince_job_again.py", SCRIPT)
    registry = ClassLoader(folder)
    path = registry.name_of(load_target(f"{folder}/quince_job_again.py:Job", registry))
    del sys.modules["quince_job_again"]
    again = load_target(f"{folder}/quince_job_again.py:Job", ClassLoader(folder))
    assert registry.load(path) is not again
    assert registry.name_of(again) == path
    assert registry.load(path) is again


def test_a_script_outside_the_workspace_is_named_by_its_whole_path(folder: Path) -> None:
    file = write(folder / "elsewhere" / "quince_job_outside.py", SCRIPT)
    home = folder / "home"
    home.mkdir()
    cls = load_target(f"{file}:Job", ClassLoader(home))
    path = ClassLoader(home).name_of(cls)
    assert path == f"{file}:Job"
    del sys.modules[cls.__module__]
    sys.path.remove(str(file.parent))
    assert ClassLoader(home).load(path).__qualname__ == "Job"


RELATIVE = """
    from .other import Base
    class Job(Base):
        pass
"""


def package(folder: Path, name: str) -> Path:
    """A package with a module that imports relatively; the file of that module."""
    for part in (folder / name, folder / name / "sub"):
        write(part / "__init__.py", "")
    write(folder / name / "sub" / "other.py", SCRIPT.replace("Job", "Base"))
    return write(folder / name / "sub" / "main.py", RELATIVE)


def test_a_file_in_a_package_is_imported_and_named_as_its_module(folder: Path) -> None:
    file = package(folder, "quince_package")
    cls = load_target(f"{file}:Job", ClassLoader(folder))
    assert ClassLoader(folder).name_of(cls) == "quince_package.sub.main:Job"


def test_a_file_in_a_package_elsewhere_is_found_by_its_path(folder: Path) -> None:
    file = package(folder / "elsewhere", "quince_far_package")
    home = folder / "home"
    home.mkdir()
    path = ClassLoader(home).name_of(load_target(f"{file}:Job", ClassLoader(home)))
    assert path == f"{file}:Job"
    sys.path.remove(str(folder / "elsewhere"))
    for name in [name for name in sys.modules if name.startswith("quince_far_package")]:
        del sys.modules[name]
    assert ClassLoader(home).load(path).__module__ == "quince_far_package.sub.main"


def test_a_program_that_is_run_as_a_module_is_named_as_one(folder: Path) -> None:
    package(folder, "quince_tool")
    write(
        folder / "quince_tool" / "sub" / "main.py",
        f"""{textwrap.dedent(RELATIVE)}
from quince.workspace.class_loader import ClassLoader
from pathlib import Path
print(ClassLoader(Path.cwd()).name_of(Job))
""",
    )
    done = subprocess.run(
        [sys.executable, "-m", "quince_tool.sub.main"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout == "quince_tool.sub.main:Job\n"


def test_a_module_in_the_workspace_folder_is_importable(folder: Path) -> None:
    write(folder / "quince_job_module.py", SCRIPT)
    assert ClassLoader(folder).load("quince_job_module:Job").__name__ == "Job"


def test_the_only_class_need_not_be_named(folder: Path) -> None:
    file = write(folder / "quince_only_class.py", SCRIPT)
    assert load_target(str(file), ClassLoader(folder)).__name__ == "Job"


def test_a_local_class_cannot_be_named(tmp_path: Path) -> None:
    class Local(Process):
        def run(self) -> Any: ...

    with pytest.raises(UnknownTarget, match="inside a function"):
        ClassLoader(tmp_path).name_of(Local)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no_such_module_at_all:X", "no module 'no_such_module_at_all'"),
        ("tests.flows:Nope", "has no 'Nope'; it has"),
        ("missing.py:X", "there is no file"),
        ("os.system('x'):X", "no class path"),
        ("tests.flows", "no class path"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_a_sentence(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(UnloadableClass, match=words.replace("(", r"\(")):
        ClassLoader(tmp_path).load(path)


def test_a_module_that_fails_to_import_is_told_with_its_error(folder: Path) -> None:
    write(folder / "quince_broken_module.py", "raise RuntimeError('no licence')")
    with pytest.raises(UnloadableClass, match="RuntimeError: no licence"):
        ClassLoader(folder).load("quince_broken_module:X")


def test_only_allowed_modules_are_loaded(tmp_path: Path) -> None:
    registry = ClassLoader(tmp_path, allowed=["mine.*"])
    with pytest.raises(UnloadableClass, match="not among the modules"):
        registry.load("tests.flows:Double")
    assert ClassLoader(tmp_path, allowed=["tests.*"]).load("tests.flows:Double") is flows.Double


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Job = 7", "is not a process class"),
        (
            "from quince import Process\nclass Job(Process):\n    @classmethod\n    def define(cls, spec):\n"
            "        {}['absent']\n",
            r"define\(\) failed with KeyError: 'absent'",
        ),
    ],
)
def test_a_class_that_cannot_work_is_told_and_nothing_else_fails(folder: Path, body: str, words: str) -> None:
    write(folder / "quince_unusable_module.py", body)
    with pytest.raises((UnloadableClass, InvalidDefinition), match=words):
        ClassLoader(folder).load_class("quince_unusable_module:Job")


def test_the_class_of_a_function_is_loaded(tmp_path: Path) -> None:
    assert ClassLoader(tmp_path).load_class("tests.flows:add") is flows.add.process_class


def test_a_target_that_is_no_process_class_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownTarget, match="os:path is no process class but a module"):
        load_target("os:path", ClassLoader(tmp_path))


def test_modules_of_one_name_in_two_folders_are_both_imported(folder: Path) -> None:
    """Each script gets those beside it before those of the workspace; what was there is there afterwards."""
    write(folder / "settings.py", "WHO = 'workspace'")
    for name in ("one", "two"):
        write(folder / name / "settings.py", f"WHO = {name!r}")
        write(folder / name / "flow.py", f"from settings import WHO\n{textwrap.dedent(SCRIPT)}    who = WHO")
    write(folder / "plain.py", f"from settings import WHO\n{textwrap.dedent(SCRIPT)}    who = WHO")
    registry = ClassLoader(folder)
    paths = ["one/flow.py:Job", "two/flow.py:Job", "plain:Job"]
    assert [registry.load(path).who for path in paths] == ["one", "two", "workspace"]
    assert [ClassLoader(folder).name_of(registry.load(path)) for path in paths] == paths
    assert sys.modules["settings"].WHO == "one"


def test_a_package_below_the_workspace_is_named_so_that_a_worker_finds_it(folder: Path) -> None:
    """`python -m` in its folder finds it by its name, and a worker does not, unless it is on its path too."""
    package(folder / "project", "quince_inner_package")
    sys.path.insert(0, str(folder / "project"))
    cls = ClassLoader(folder / "project").load("quince_inner_package.sub.main:Job")
    assert ClassLoader(folder).name_of(cls) == "project/quince_inner_package/sub/main.py:Job"
    sys.path.append(str(folder / "project"))
    assert ClassLoader(folder).name_of(cls) == "quince_inner_package.sub.main:Job"
