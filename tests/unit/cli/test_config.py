"""`quince.toml` as `quince init` writes it."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from quince.cli.init import write_config
from quince.errors import WorkspaceError


def test_what_else_the_file_says_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "quince.toml"
    file.write_text('# ours\nstore = "sqlite:///old.db"\nmodules = ["flows.*"]\n')
    write_config(file, store='postgresql://u:p\\w"d@h/d', broker="amqp://h/v")
    text = file.read_text()
    assert tomllib.loads(text) == {
        "store": 'postgresql://u:p\\w"d@h/d',
        "broker": "amqp://h/v",
        "modules": ["flows.*"],
    }
    assert "# ours" in text


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_config(tmp_path / "quince.toml", store=None, broker="amqp://user:secret@host/")
    assert stat.S_IMODE((tmp_path / "quince.toml").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["quince.toml"]


def test_a_table_at_the_end_does_not_swallow_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "quince.toml"
    file.write_text("[other]\nx = 1\n")
    write_config(file, store="sqlite:///a.db", broker=None)
    assert tomllib.loads(file.read_text()) == {"store": "sqlite:///a.db", "other": {"x": 1}}


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="cannot write"):
        write_config(tmp_path / "missing" / "quince.toml", store="sqlite:///a.db", broker=None)
