"""`modules = [...]`: what is loaded is compared, by whatever name it was asked for."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from quince.errors import UnloadableClass
from quince.workspace.class_loader import ClassLoader
from quince_persistence.codec import classes, decode, encode

JOB = """
from pathlib import Path
from quince import Process, process
Path(__file__ + ".was-run").touch()
class Job(Process):
    class Inner(Process):
        pass
@process
def job() -> int:
    return 1
"""
USER = JOB + "import quince_secret\nfrom quince_secret import Job as Theirs\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`quince_open` and `jobs/quince_script.py` are allowed in what follows; `quince_secret` never is."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (home := tmp_path / "home").mkdir()
    (home / "jobs").mkdir()
    (home / "quince_open").mkdir()
    (home / "quince_open" / "__init__.py").touch()
    (home / "quince_open" / "flows.py").write_text(USER)
    (home / "jobs" / "quince_script.py").write_text(USER)
    (home / "quince_secret.py").write_text(JOB)
    (tmp_path / "quince_secret_outside.py").write_text(JOB)
    yield home
    for name in set(sys.modules) - before:
        del sys.modules[name]


ALLOWED = ["quince_open.*", "jobs/*", "quince_secret/*"]


@pytest.mark.parametrize(
    "path",
    [
        "quince_open.flows:Job",
        "quince_open.flows:job",
        "quince_open.flows:Job.Inner",
        "quince_open/flows.py:Job",
        "jobs/quince_script.py:Job",
        "jobs/../jobs/./quince_script.py:Job",
        "quince_open/../jobs/quince_script.py:job",
    ],
)
def test_what_is_allowed_is_loaded_by_every_name(folder: Path, path: str) -> None:
    assert ClassLoader(folder, ALLOWED).load(path).__qualname__ == path.rpartition(":")[2]


@pytest.mark.parametrize(
    "path",
    [
        "quince_secret:Job",
        "quince_secret.py:Job",
        "jobs/../quince_secret.py:Job",
        "jobs/../../quince_secret_outside.py:Job",
        "{parent}/quince_secret_outside.py:Job",
        "quince_open/../quince_secret.py:Job",
        "jobs/link.py:Job",
        "jobs/out.py:Job",
        "linked/quince_secret.py:Job",
        "JOBS/quince_script.py:Job",
        "Quince_Open.flows:Job",
        "__main__:Job",
        "os:path",
    ],
)
def test_nothing_else_is_even_imported(folder: Path, path: str) -> None:
    (folder / "jobs" / "link.py").symlink_to(folder / "quince_secret.py")
    (folder / "jobs" / "out.py").symlink_to(folder.parent / "quince_secret_outside.py")
    (folder / "linked").symlink_to(folder, target_is_directory=True)
    with pytest.raises(UnloadableClass, match="not among the modules"):
        ClassLoader(folder, ALLOWED).load(path.format(parent=folder.parent))
    assert not list(folder.parent.rglob("*.was-run"))


@pytest.mark.parametrize(
    "path",
    [
        "quince_open.flows:quince_secret.Job",
        "quince_open.flows:Theirs",
        "quince_open.flows:quince_secret.Job.Inner",
        "quince_open.flows:quince_secret.job",
        "quince_open.flows:quince_secret.job.process_class",
        "jobs/quince_script.py:Theirs",
        "jobs/quince_script.py:Path",
        "jobs/quince_script.py:Process",
        "quince_open.flows:quince_secret.__name__",
    ],
)
def test_what_an_allowed_module_imports_is_not_allowed_by_that(folder: Path, path: str) -> None:
    with pytest.raises(UnloadableClass, match="not among the modules"):
        ClassLoader(folder, ALLOWED).load(path)


def test_a_class_that_claims_another_module_is_not_believed(folder: Path) -> None:
    (folder / "quince_secret.py").write_text(
        JOB + "Job.__module__ = 'quince_open.flows'\nJob.Inner.__module__ = 'sys'\n"
    )
    for name in ("Theirs", "quince_secret.Job.Inner"):
        with pytest.raises(UnloadableClass, match="not among the modules"):
            ClassLoader(folder, ALLOWED).load(f"quince_open.flows:{name}")


def test_a_script_loaded_from_elsewhere_is_not_taken_for_the_module_of_its_name(folder: Path) -> None:
    """A script is imported under its bare name; that is not yet the module that the list means."""
    (folder.parent / "quince_open_too.py").write_text(JOB)
    ClassLoader(folder).load(f"{folder.parent}/quince_open_too.py:Job")
    with pytest.raises(UnloadableClass, match="not among the modules"):
        ClassLoader(folder, ["quince_open_too"]).load("quince_open_too:Job")


def test_a_script_is_allowed_by_its_whole_path_too(folder: Path) -> None:
    outside = folder.parent / "quince_secret_outside.py"
    assert ClassLoader(folder, [f"{folder.parent}/*.py"]).load(f"../{outside.name}:Job").__name__ == "Job"


def test_the_class_of_a_stored_value_is_held_to_the_list_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "quince_secret.py").write_text(
        JOB + "from dataclasses import dataclass\n@dataclass\nclass Value:\n    x: int\n"
    )
    free, bound = ClassLoader(folder), ClassLoader(folder, ALLOWED)
    monkeypatch.setattr(classes, "_known", [weakref.ref(free)])
    blob = encode({"value": free.load("quince_secret:Value")(x=1)}, "inputs")
    assert decode(blob)["value"].x == 1
    del sys.modules["quince_secret"]
    for mark in folder.rglob("*.was-run"):
        mark.unlink()
    monkeypatch.setattr(classes, "_known", [weakref.ref(bound)])
    assert "not among the modules" in repr(decode(blob)["value"])
    assert not list(folder.rglob("*.was-run"))
