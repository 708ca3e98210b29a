"""The examples in the chapter on the Communicator run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAPTER = Path(__file__).parents[3] / "docs" / "communicator.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", CHAPTER.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_example_runs(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES[number]], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    if number == 0:
        assert done.stdout.splitlines() == [
            "soup: ten minutes",
            "soup, steaming",
            "cook says order.ready: table 5",
        ]
