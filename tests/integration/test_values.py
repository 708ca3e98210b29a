"""Large values are stored once, and what is asked for again is not computed again: with real workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from quince import (
    ProcessExcepted,
    ProcessHeld,
    ProcessState,
    Workspace,
    get_process,
    run,
    submit,
    submit_many,
)
from quince.workspace.location import Location
from quince_persistence.databases.opening import database_of
from quince_persistence.records import Selection
from tests.crew import Crew, importing
from tests.forked import ForkServer
from tests.integration import value_steps
from tests.integration.commands import Quince

MB = 1_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    found = tmp_path / "ledger"
    found.touch()
    return found


def _lines(ledger: Path) -> Counter[str]:
    return Counter(ledger.read_text().splitlines())


def _stored(home: Workspace) -> int:
    """Bytes of all values in the store."""
    asked = " UNION ALL ".join(
        f"SELECT sum(length({column})) FROM {table}"
        for table, column in (
            ("inputs", "blob"), ("checkpoints", "blob"), ("once", "blob"), ("contents", "blob"),
            ("results", "outputs"),
        )
    )  # fmt: skip
    database = database_of(home.location.store)
    try:
        with database.engine().connect() as connection:
            return sum(row[0] or 0 for row in connection.execute(text(asked)))
    finally:
        database.dispose()


def test_one_array_of_a_chain_and_its_children_costs_what_it_has(home: Workspace, crew: Crew) -> None:
    crew.start()
    handle = submit(value_steps.Spread, parts=40, workspace=home)
    array = np.random.default_rng(1).random(125_000)
    outputs = handle.result(60)
    assert outputs["total"] == pytest.approx(array[:40].sum())
    assert (outputs["array"] == array).all()
    assert MB <= _stored(home) < 1.2 * MB
    before = _stored(home)
    handles = submit_many(value_steps.head, [{"array": array, "n": n} for n in range(100)], workspace=home)
    assert _stored(home) - before < 0.1 * MB
    assert handles[7].result(60) == {"result": array[7]}


def test_a_chain_asks_twice_and_gets_it_once(home: Workspace, crew: Crew, ledger: Path) -> None:
    crew.start()
    handle = submit(value_steps.Twice, ledger=str(ledger), workspace=home)
    outputs = handle.result(60)
    assert outputs["total"] == 12
    one, two = (get_process(pid, workspace=home) for pid in outputs["served"])
    assert two.row.options.cached_from == one.pid
    assert [event.kind for event in two.history()] == ["state", "cached"]
    rows = home.store.select(Selection(parent=handle.pid))
    served = [row for row in rows if row.options.cached_from]
    assert _lines(ledger)["noted"] + len(served) == 4
    # What depends on the served one depends on the one that ran: asked for at once, both may run.
    assert _lines(ledger)["noted"] in (2, 3)
    again = submit(value_steps.Twice, ledger=str(ledger), workspace=home)
    assert again.result(60)["total"] == 12
    assert _lines(ledger)["noted"] in (2, 3)


def test_by_class_and_by_choice(home: Workspace, crew: Crew, ledger: Path, quince: Quince) -> None:
    crew.start()
    costly, inputs = value_steps.Costly, {"ledger": str(ledger), "n": 100_000}
    first = submit(costly, inputs=inputs, table={"a": 1, 2: {3, 4}}, workspace=home)
    squares = first.result(60)["squares"]
    second = submit(costly, inputs=inputs, table={2: {4, 3}, "a": 1}, workspace=home)
    assert second.state is ProcessState.FINISHED
    assert (second.result(1)["squares"] == squares).all()
    assert (run(costly, inputs=inputs, table={2: {4, 3}, "a": 1}, workspace=home)["squares"] == squares).all()
    assert _lines(ledger) == {"costly 100000": 1}
    submit(costly, inputs=inputs, table={"a": 1.0, 2: {3, 4}}, workspace=home).result(60)
    submit(costly, inputs=inputs, table={"a": 1, 2: {3, 4}}, cache=False, workspace=home).result(60)
    assert _lines(ledger) == {"costly 100000": 3}
    shown = quince.good("show", str(second.pid)).out
    assert f"outputs of process {first.pid}, which was asked for the same" in shown
    assert f"outputs of {first.pid} (cache)" in quince.good("ps", "--all").out
    words = ("tests.integration.value_steps:Costly", f"ledger={ledger}", "n=5")
    for more, lines in (([], 1), ([], 1), (["--no-cache"], 2), (["--cache"], 2)):
        quince.good("submit", *words, "--wait", "--json", *more)
        assert _lines(ledger)["costly 5"] == lines


@pytest.fixture
def quince(location: Location, forks: ForkServer, monkeypatch: pytest.MonkeyPatch) -> Quince:
    """The command in the workspace, whatever that is on."""
    command = Quince(location.folder, forks)
    variables = {"QUINCE_STORE": location.store, "QUINCE_BROKER": location.broker, **importing()}
    monkeypatch.setattr(command, "environment", lambda **more: {**variables, "COLUMNS": "120", **more})
    return command


@pytest.fixture
def edited(home: Workspace) -> Iterator[Path]:
    """A file of the workspace with a cached function."""
    file = home.location.folder / "edited_values.py"
    file.write_text(
        "from quince import process\n\n@process(cache=True)\ndef f(x: int) -> int:\n    return x + 1\n"
    )
    yield file
    file.unlink()


def test_edited_code_runs_again(home: Workspace, crew: Crew, edited: Path, quince: Quince) -> None:
    crew.start()

    def told() -> tuple[int, int | None]:
        document = quince.good("submit", "edited_values.py:f", "x=1", "--wait", "--json").document
        row = home.store.get(document["pid"])
        assert row is not None
        return document["outputs"]["result"], row.options.cached_from

    first, served = told(), told()
    assert (first[0], served[0], first[1]) == (2, 2, None)
    assert served[1] is not None
    edited.write_text(edited.read_text().replace("+ 1", "+ 2"))
    assert told() == (3, None)


def test_a_damaged_value_is_an_error_that_names_the_process(home: Workspace, crew: Crew) -> None:
    array = np.arange(100_000.0)
    handle = submit(value_steps.head, array=array, n=1, workspace=home)
    database = database_of(home.location.store)
    with database.engine().connect() as connection:
        connection.execute(text("UPDATE contents SET blob = :junk"), {"junk": bytes(800_000)})
        if connection.in_transaction():
            connection.commit()
    database.dispose()
    crew.start()
    with pytest.raises((ProcessExcepted, ProcessHeld), match="missing in the store, or damaged") as ended:
        handle.result(60)
    assert ended.value.pid == handle.pid


def test_a_chain_reads_large_outputs_of_its_children(home: Workspace, crew: Crew) -> None:
    crew.start()
    assert submit(value_steps.Gather, workspace=home).result(60) == {"total": 6.0}
