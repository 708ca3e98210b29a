"""What is installed: three packages, with all that they need, the pages of docs, and nothing else."""

from __future__ import annotations

import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from quince.cli.reference.man import man_page

ROOT = Path(__file__).parents[2]
INFO = f"quince-{version('quince')}.dist-info"
DATA = f"quince-{version('quince')}.data"
DOCS = ROOT / "docs"
PACKAGES = {
    "quince": ROOT / "engine",
    "quince_messaging": ROOT / "messaging",
    "quince_persistence": ROOT / "persistence",
}


@pytest.fixture
def wheel(tmp_path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(
        next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    )


def test_a_wheel_has_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, INFO, DATA}
    sources = {
        str(file.relative_to(root))
        for package, root in PACKAGES.items()
        for file in (root / package).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    pages = {f"quince/pages/{file.relative_to(DOCS)}" for file in DOCS.glob("*.md")}
    assert {name for name in names if not name.startswith((f"{INFO}/", f"{DATA}/"))} == sources | pages
    assert {f"{package}/py.typed" for package in PACKAGES} < sources
    migrations = {name.rpartition("/")[2] for name in sources if "/migrations/" in name}
    assert {"env.py", "script.py.mako", "v0001_baseline.py"} < migrations


def test_a_wheel_has_the_man_page_of_its_commands(wheel: zipfile.ZipFile) -> None:
    shared = [name for name in wheel.namelist() if name.startswith(f"{DATA}/")]
    assert shared == [f"{DATA}/data/share/man/man1/quince.1"]
    assert wheel.read(shared[0]).decode() == man_page(), "it is not that of these commands: make man"


def test_a_wheel_has_the_command_and_the_plugin(wheel: zipfile.ZipFile) -> None:
    assert wheel.read(f"{INFO}/entry_points.txt").decode().split() == [
        "[console_scripts]", "quince", "=", "quince.cli.program:main",
        "[pytest11]", "quince", "=", "quince.testing.plugin",
    ]  # fmt: skip


def test_an_editable_installation_is_three_entries_of_the_path(tmp_path: Path) -> None:
    file = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"]))
    with zipfile.ZipFile(file) as wheel:
        assert not [name for name in wheel.namelist() if name.endswith(".py")]
        assert wheel.read("_quince.pth").decode().split() == [str(root) for root in PACKAGES.values()]


def test_a_source_distribution_has_no_leftovers(tmp_path: Path) -> None:
    with tarfile.open(next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path)))) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {".ci/run", "Makefile", "docs/workflows.md", "examples/demo.py", "tests/crew.py"} < {*names}
    hidden = {name.partition("/")[0] for name in names if name.startswith(".")}
    assert hidden == {".ci", ".gitignore"}
    assert not [name for name in names if "__pycache__" in name or ".quince/" in name]
