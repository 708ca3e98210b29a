"""A process that is about to be inserted: its inputs checked, its row made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quince.errors import InvalidInput
from quince.processes.definition import class_of, definition_of
from quince.processes.fitting import fitted
from quince.processes.port_values import parse_inputs
from quince.text import name_problem
from quince_messaging.limits import check_priority, check_queue
from quince_persistence.codec import check, encode_each
from quince_persistence.records import NewProcess, ProcessRow

LONGEST_KEY = 500
"""Characters; an index of PostgreSQL holds no more than 2,700 bytes."""


def new_process(
    process_class: Any,
    inputs: Mapping[str, Any],
    *,
    pid: int,
    class_path: str,
    parent: ProcessRow | None = None,
    queue: str | None = None,
    priority: int | None = None,
    key: str | None = None,
) -> NewProcess:
    """Check the inputs and make the row that is inserted.

    Args:
        parent: The row of the parent (for pid, root, queue and priority), or None.

    Raises:
        InvalidInput, Unsaveable: as `Process.submit`.
        InvalidDefinition: it is no process class, or one that cannot work.
    """
    cls = class_of(process_class)
    definition = definition_of(cls)
    definition.require_makeable()
    values = parse_inputs(definition.spec, cls.__name__, inputs)
    for name, value in values.items():
        check(value, f"inputs.{name}")
    wrong = None if key is None else name_problem(key, LONGEST_KEY)
    if wrong:
        raise InvalidInput(f"{cls.__name__}: its key {wrong}")
    priority = fitted(priority, int)
    try:
        if priority is not None:
            check_priority(priority)
        if queue is not None:
            check_queue(queue)
            if not queue:
                raise ValueError("the name of a queue is empty")
    except ValueError as error:
        raise InvalidInput(f"{cls.__name__}: {error}") from None
    return NewProcess(
        pid=pid,
        class_path=class_path,
        class_version=definition.version,
        inputs=encode_each(values, "inputs"),
        parent=parent.pid if parent is not None else None,
        root=parent.root if parent is not None else pid,
        queue=queue or (parent.queue if parent is not None else "default"),
        priority=priority if priority is not None else (parent.priority if parent is not None else 0),
        key=key,
    )
