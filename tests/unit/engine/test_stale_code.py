"""A worker knows when Quince was changed under it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from quince.worker.stale_code import StaleCode
from quince.workspace.sources import OURS


def test_a_file_that_is_edited_or_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("stale_one", "stale_two"):
        (tmp_path / f"{name}.py").write_text("x = 1\n")
        importlib.import_module(name)
    watch = StaleCode([f"{tmp_path}/"])
    assert watch.sentences() == []
    (tmp_path / "stale_one.py").write_text("x = 1000\n")
    (said,) = watch.sentences()
    assert said.startswith(
        "Quince itself has changed since this worker imported it (stale_one.py): `quince d"
    )
    (tmp_path / "stale_two.py").unlink()
    assert "(stale_one.py, stale_two.py)" in watch.sentences()[0]
    assert StaleCode([f"{tmp_path}/elsewhere/"]).sentences() == []
    for name in ("stale_one", "stale_two"):
        del sys.modules[name]


def test_it_watches_our_packages() -> None:
    assert {Path(folder).name for folder in OURS} == {"quince", "quince_messaging", "quince_persistence"}
    assert StaleCode().sentences() == []
