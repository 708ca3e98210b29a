"""The package's names, each loaded when it is first asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quince


@pytest.mark.parametrize("name", quince.__all__)
def test_every_export_is_there_in_a_fresh_interpreter(name: str) -> None:
    assert getattr(quince, name) is not None
    assert name in dir(quince)


def test_other_names_are_missing() -> None:
    with pytest.raises(AttributeError, match="nothing_like_that"):
        _ = quince.nothing_like_that


@pytest.mark.parametrize(
    "first",
    [
        "import quince.processes.process",
        "from quince.processes.process import Process",
        "from quince import Process",
        "",
    ],
)
def test_process_is_the_decorator_whatever_was_imported_before(first: str) -> None:
    program = [
        first,
        "from quince import process",
        "from quince.processes.functions import process as decorator",
    ]
    program += ["assert process is decorator"]
    subprocess.run([sys.executable, "-c", "\n".join(program)], check=True)
