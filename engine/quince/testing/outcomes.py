"""What is left when everything has come to its end, in a form in which two runs can be compared."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from quince.testing.faulty import REPEATED, STEP_EVENT, Journal
from quince_persistence.codec import decode, encode
from quince_persistence.records import ProcessRow, Selection
from quince_persistence.store import Store

LONGEST_VALUE = 80
_OVER = re.compile(r"deadline (?:of process \d+ )?\([^)]*\)")
"""A deadline that is over; its moment is another one in every run."""


class Ending(msgspec.Struct, frozen=True):
    """How one process ended.

    Attributes:
        outputs: By port; a short text and a digest of each value.
        committed: The steps that were committed, in order.
        begun: The steps that were begun, in order.
    """

    state: str
    exit_status: int | None
    exit_message: str | None
    outputs: dict[str, str]
    committed: list[str]
    begun: list[str]


class Portrait(msgspec.Struct, frozen=True):
    """How all ended.

    Attributes:
        processes: By their place in the tree: `Family`, `Family/1 Double`, ...
        left_behind: What should not be there any more, or not have been, one sentence each.
        late: It was not at rest when the time was over.
    """

    processes: dict[str, Ending]
    left_behind: list[str]
    late: bool = False


def draw(store: Store, journal: Path, tasks: int, ignore: Sequence[str], *, late: bool) -> Portrait:
    """The portrait of a store on which nobody works.

    Args:
        journal: The file of a `Journal`.
        tasks: How many tasks are on the queue.
        ignore: Outputs that may differ.
    """
    rows = list(store.select(Selection()))
    begun = Journal.begun(journal)
    results = {result.row.pid: result.outputs for result in store.results([row.pid for row in rows])}
    places = _places(rows)
    endings = {
        places[row.pid]: Ending(
            row.state.value,
            row.exit_status,
            None if row.exit_message is None else _OVER.sub("deadline", row.exit_message),
            _outputs(results.get(row.pid), ignore),
            [str(event.body["step"]) for event in store.events(row.pid) if event.kind == STEP_EVENT],
            begun.get(row.pid, []),
        )
        for row in rows
    }
    wrong = _left_behind(store, rows, places, tasks) + _repeated(journal, places)
    return Portrait(endings, wrong, late)


def _places(rows: Sequence[ProcessRow]) -> Mapping[int, str]:
    """Each process by its class and its number among the children of its parent, the eldest first."""
    places: dict[int, str] = {}
    numbers: dict[int | None, int] = defaultdict(int)
    for row in sorted(rows, key=lambda row: (row.created, row.pid)):
        numbers[row.parent] += 1
        name = row.class_path.rpartition(":")[2]
        above = places.get(row.parent) if row.parent is not None else None
        number = numbers[row.parent]
        places[row.pid] = (
            f"{above}/{number} {name}" if above else (name if number == 1 else f"{number} {name}")
        )
    return places


def _repeated(journal: Path, places: Mapping[int, str]) -> list[str]:
    lines = [line for line in journal.read_text().splitlines() if line.startswith(REPEATED)]
    words = [line.removeprefix(REPEATED).partition(" ") for line in lines]
    return [f"{places[int(pid)]}: the once-block {key!r} ran after its record" for pid, _, key in words]


def _outputs(blob: bytes | None, ignore: Sequence[str]) -> dict[str, str]:
    values = decode(blob) if blob else {}
    return {name: _short(value) for name, value in values.items() if name not in ignore}


def _short(value: object) -> str:
    digest = hashlib.sha256(encode(value, "")).hexdigest()[:12]
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({digest})"


def _left_behind(
    store: Store, rows: Sequence[ProcessRow], places: Mapping[int, str], tasks: int
) -> list[str]:
    left = [f"{places[row.pid]} is still {row.state.value}" for row in rows if not row.terminated]
    left += [f"{places[row.pid]} is still claimed by {row.owner}" for row in rows if row.owner is not None]
    left += [f"worker {worker.id} still has a lease" for worker in store.workers()]
    left += [f"{number} processes are still in the backlog of {q}" for q, number in store.backlog().items()]
    return left + ([f"{tasks} tasks are still on the queue"] if tasks else [])
