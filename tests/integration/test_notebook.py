"""A real kernel: what is seen of processes there, and that nothing holds up its loop."""

from __future__ import annotations

import os
import re
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince.workspace.location import Location
from tests.crew import Crew, importing

BEFORE = """
import asyncio, time
from pathlib import Path
from quince import *
from tests import flows

class Turns:
    '''How long the loop did not turn, at worst.'''
    async def __aenter__(self):
        self.worst, self.task = 0.0, asyncio.create_task(self.count())
        return self
    async def count(self):
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            self.worst, last = max(self.worst, time.monotonic() - last), time.monotonic()
    async def __aexit__(self, *exc):
        self.task.cancel()
"""
AWAITS = """
family = await asubmit(flows.Family, children=2, seconds=1)
async with Turns() as turns:
    outputs = await family
    again = await aget_process(family.pid)
    await again.awhy(), await again.ahistory(), await afind(failed=True)
assert turns.worst < 0.9, turns.worst  # each step takes longer
outputs
"""
FAILS = """
bad = submit(flows.Fails)
try:
    bad.result()
except ProcessExcepted as error:
    seen = error
seen
"""
CELLS = {
    "awaits": BEFORE + AWAITS,
    "handle": "family",
    "tree": "await family.atree()",
    "found": "await afind(tree=family)",
    "waits": "submit(flows.slow_add, x=1, seconds=1.5).wait(); None",
    "error": FAILS,
    "uncaught": "bad.result()",
    "steered": """
late = await asubmit(flows.add, x=1, queue="nobody")
await late.apause("<b>not now</b>")
assert (await late.arow()).paused
await late.aplay(); await late.asignal("x", 1); await late.akill("enough")
late
""",
    "run": "run(flows.add, x=1)",
}


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Location:
    folder = tmp_path_factory.mktemp("notebook")
    return Location(folder, f"sqlite:///{folder}/.quince/quince.db", f"local://{folder}/.quince/messages")


@pytest.fixture
def seen(location: Location, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What each cell has shown."""
    crew.start(1)
    for name, value in {
        **importing(),
        STORE_VARIABLE: location.store,
        BROKER_VARIABLE: location.broker,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS.values()]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, kernel_name="python3", timeout=60, allow_errors=True)
    client.execute(cwd=str(location.folder), env=dict(os.environ))
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def html(outputs: list[Any]) -> str:
    """The one view among them."""
    (view,) = (one["data"]["text/html"] for one in outputs if one["output_type"] == "execute_result")
    return str(view)


def text(view: str) -> str:
    return re.sub(r"<[^>]*>", " ", view)


def bar(outputs: list[Any]) -> str:
    """The bar, as it stands in the end."""
    (view,) = (one["data"]["text/html"] for one in outputs if one["output_type"] == "display_data")
    return str(view)


def test_what_is_seen_in_a_notebook(seen: dict[str, list[Any]]) -> None:
    assert "<progress" in bar(seen["awaits"])
    assert "✔ finished" in bar(seen["awaits"])
    assert text(html(seen["awaits"])).split() == ["total", "2"]
    handle = text(html(seen["handle"]))
    assert all(word in handle for word in ("Family", "✔ finished", "Inputs", "children", "Outputs", "total"))
    assert text(html(seen["tree"])).count("✔ finished") == 3
    assert "2/2 done" in html(seen["tree"])
    assert html(seen["found"]).count("<tr>") == 4
    assert "slow_add" in bar(seen["waits"])
    assert "raise ZeroDivisionError(&quot;as asked&quot;)" in html(seen["error"])
    (failure,) = seen["uncaught"]
    assert 'raise ZeroDivisionError("as asked")' in re.sub(
        r"\x1b\[[0-9;]*m", "", "\n".join(failure["traceback"])
    )
    assert "■ killed" in html(seen["steered"])
    assert "enough" in html(seen["steered"])
    assert "<b>not now" not in html(seen["steered"])
    assert text(html(seen["run"])).split() == ["result", "2"]
