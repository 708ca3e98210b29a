"""What `quince.toml` may say, and what it is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince.errors import WorkspaceError
from quince.settings import CONFIG, KILL_GRACE_SECONDS
from quince.workspace.location import locate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", KILL_GRACE_SECONDS), ("kill_grace = 30", 30.0), ("kill_grace = 0.5", 0.5), ("kill_grace = 0", 0.0)],
)
def test_the_grace_of_a_kill(tmp_path: Path, text: str, seconds: float) -> None:
    (tmp_path / CONFIG).write_text(text)
    assert locate(tmp_path).kill_grace == seconds


@pytest.mark.parametrize(
    ("text", "retention"),
    [
        ("", (None, None)),
        ("[retention]\nolder-than = '30d'\n", (2_592_000.0, 2_592_000.0)),
        ("[retention]\nolder_than = '60 s'\nfailed-older-than = '1 h'\n", (60.0, 3600.0)),
        ("[retention]\nfailed-older-than = '1 w'\n", (None, 604_800.0)),
    ],
)
def test_how_long_it_keeps_what_has_ended(
    tmp_path: Path, text: str, retention: tuple[float | None, float | None]
) -> None:
    (tmp_path / CONFIG).write_text(text)
    found = locate(tmp_path).retention
    assert (found.older_than, found.failed_older_than) == retention
    assert found.keeps_all == (not text)
    assert (found.before(5e9)[0] < -1e9) == (found.older_than is None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kill_grace = '5 s'", "kill_grace must be a number, not a str"),
        ("kill_grace = true", "kill_grace must be a number, not a bool"),
        ("kill_grace = -1", "kill_grace must be a number of seconds, not -1"),
        ("kill_grace = inf", "kill_grace must be a number of seconds, not inf"),
        ("kill_grace = nan", "kill_grace must be a number of seconds, not nan"),
        ("modules = 'a'", "modules must be a list, not a str"),
        ("store = 5", "store must be a text, not a int"),
        (
            "grace = 5",
            "setting 'grace' that means nothing; it may have .*keep_checkpoints",
        ),
        ("on_failure = 'stop'", "on_failure must be 'fail' or 'pause', not 'stop'"),
        ("retention = '30d'", "retention must be a table, not a str"),
        ("[retention]\nolder = '30d'", "setting 'older' that means nothing; it may have older-than and"),
        ("[retention]\nolder-than = 'long'", r"\[retention\] older-than: 'long' is no duration"),
        ("[retention]\nolder-than = -1", "older-than: -1 is no duration"),
        (
            "[retention]\nolder-than = 5",
            'older-than: 5 does not say of what: write it with its unit, as "30',
        ),
        ("[retention]\nfailed-older-than = '5'", "failed-older-than: '5' does not say of what"),
        ("[retention]\nolder-than = '0 s'", "older-than: '0 s' would delete whatever ends"),
        ("store = ", "cannot be read"),
    ],
)
def test_what_it_cannot_say(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(WorkspaceError, match=complaint):
        locate(tmp_path)
