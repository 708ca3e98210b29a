"""What a program that a step starts knows of the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quince import Process, run

SHOWN = 'echo "$QUINCE_STORE|$QUINCE_BROKER|$PGPASSWORD|$MINE|$QUINCE_LOG"'


class Printing(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("options", valid_type=dict)
        spec.output("said", valid_type=str)

    async def run(self) -> None:
        completed = await self.command("sh", "-c", SHOWN, **dict(self.inputs.options))
        self.out("said", completed.stdout.decode().strip())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "||theirs||WARNING"),
        ({"environment": {"MINE": "x"}}, "||theirs|x|WARNING"),
        ({"environment": {"QUINCE_STORE": "y"}}, "y||theirs||WARNING"),
        ({"with_urls": True}, "sqlite:///{0}/x.db|local://{0}/m|theirs||WARNING"),
    ],
)
def test_a_program_gets_the_urls_only_if_it_is_to_have_them(
    options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUINCE_STORE", f"sqlite:///{tmp_path}/x.db")
    monkeypatch.setenv("QUINCE_BROKER", f"local://{tmp_path}/m")
    monkeypatch.setenv("PGPASSWORD", "theirs")
    monkeypatch.setenv("QUINCE_LOG", "WARNING")
    assert run(Printing, workspace=tmp_path, options=options)["said"] == said.format(tmp_path)
