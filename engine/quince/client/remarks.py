"""What else bears upon a process, however it stands: deadline, schedule, deaths, and its code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from quince.client.facts import NAMED, Facts
from quince.moments import clock, span
from quince.troubles import is_stale
from quince.workspace.revision import files_of
from quince_persistence.records import MAX_DEATHS, State
from quince_persistence.records.schedules import LABEL, MOMENT_LABEL


def remarks(facts: Facts) -> Iterator[str]:
    """All that there is, a sentence each."""
    yield from _deadline(facts)
    yield from _schedule(facts)
    yield from _deaths(facts)
    yield from _edited(facts)
    yield from _declined(facts)
    yield from _stale_code(facts)


def _deadline(facts: Facts) -> list[str]:
    """When it is killed, if it lives then."""
    until = facts.row.deadline
    return [] if until is None else [f"its deadline is {clock(until)}, in {span(until - facts.now)}"]


def _schedule(facts: Facts) -> list[str]:
    """Which schedule has made it, and for when."""
    labels, parent = facts.row.options.labels, facts.row.parent
    if parent is not None or LABEL not in labels:
        return []
    return [f"made by schedule {labels[LABEL]} for {labels.get(MOMENT_LABEL, 'an unknown time')}"]


def _deaths(facts: Facts) -> list[str]:
    """What has died with the step that is to run, or runs; with that of one that has ended so."""
    row = facts.row
    if not row.deaths:
        return []
    last = facts.last("death")
    told = [] if last is None else [f"{facts.ago(last.at)}: {last.body.get('text')}"]
    if row.deaths_alone and not row.terminated:
        told.append(f"that has happened {row.deaths_alone} times in a row; {MAX_DEATHS} times end it")
    return told


def _edited(facts: Facts) -> list[str]:
    """Which files of its code have been changed since its worker has loaded them."""
    row = facts.row
    if row.owner is None or row.state is not State.RUNNING:
        return []
    taken = max((one.at for one in facts.history if one.kind in ("state", "claim")), default=0)
    files = [file.name for file in files_of(row.class_path, facts.folder) if _written(file) > taken]
    if not files:
        return []
    names, has = ", ".join(files[:NAMED]), "has" if len(files) == 1 else "have"
    return [
        f"{names} {has} been changed since it was taken up: it goes on with what it began with, and after "
        "its next wait with the code as it stands"
    ]


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _declined(facts: Facts) -> list[str]:
    """Who could not load it, and leaves it to workers with other code."""
    if facts.row.terminated:
        return []
    last = facts.last("declined")
    return [] if last is None else [f"{last.author} could not load it: {last.body.get('reason')}"]


def _stale_code(facts: Facts) -> list[str]:
    """What those say who run it, would run it or may have run it, of code that has changed since."""
    row = facts.row
    return [
        f"{worker.name}: {trouble}"
        for worker in facts.living()
        for trouble in worker.troubles
        if is_stale(trouble)
        and (worker.id == row.owner if row.owner is not None else row.queue in worker.queues)
        and (row.ended is None or worker.started < row.ended)
    ]
