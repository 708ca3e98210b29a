"""Every schedule against the present code and this host: what would not run if it fired now."""

from __future__ import annotations

from collections.abc import Iterator

from quince.errors import EngineError
from quince.firing_times import zone_of
from quince.processes.definition import class_of, definition_of
from quince.workspace.workspace import Workspace
from quince_persistence.records.schedules import ScheduleRow


def check_schedules(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """The name of each schedule that is not in order, and why, in a sentence."""
    for row in workspace.store.schedules():
        if (reason := _obstacle(workspace, row)) is not None:
            yield row.name, reason


def _obstacle(workspace: Workspace, row: ScheduleRow) -> str | None:
    try:
        zone_of(row.schedule.zone)
    except ValueError as error:
        return f"cannot be fired on this host: {error}"
    try:
        definition_of(class_of(workspace.registry.load(row.schedule.class_path))).require_makeable()
    except EngineError as error:
        return f"makes processes that cannot run: {' '.join(str(error).split())}"
    return None
