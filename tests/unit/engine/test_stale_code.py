"""A worker knows which of the files that it has imported are not what they were."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from quince.worker.stale_code import StaleCode


def test_a_file_that_is_edited_or_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("stale_one", "stale_two"):
        (tmp_path / f"{name}.py").write_text("x = 1\n")
        importlib.import_module(name)
    watch = StaleCode(tmp_path)
    assert watch.sentences() == []
    (tmp_path / "stale_one.py").write_text("x = 1000\n")
    (said,) = watch.sentences()
    assert said.startswith("stale_one.py has changed since this worker imported it: `quince daemon restart`")
    (tmp_path / "stale_two.py").unlink()
    assert watch.sentences()[0].startswith("stale_one.py, stale_two.py have changed")
    assert StaleCode(tmp_path / "elsewhere").sentences() == []
    for name in ("stale_one", "stale_two"):
        del sys.modules[name]
