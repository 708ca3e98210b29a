"""What may be asked of a communicator, whatever transport it has: refused in the caller, in the same words.

A broker refuses some of this itself, a file or a dictionary takes anything and fails later, somewhere else.
"""

from __future__ import annotations

import re
from typing import Any

MAX_PRIORITY = 9
MOST_PREFETCH = 65_535
LONGEST_QUEUE_NAME = 200
"""Characters; AMQP has 255, the prefix of the communicator included."""
_QUEUE_NAME = re.compile(rf"[A-Za-z0-9\-_.:@#,/ ]{{0,{LONGEST_QUEUE_NAME}}}")


def check_priority(priority: Any) -> None:
    """Raises ValueError unless it is one that every transport has."""
    if type(priority) is not int or not 0 <= priority <= MAX_PRIORITY:
        raise ValueError(f"priority {priority!r} is not between 0 and {MAX_PRIORITY}")


def check_prefetch(prefetch: Any) -> None:
    """Raises ValueError unless so many tasks can be held at a time."""
    if type(prefetch) is not int or not 0 < prefetch <= MOST_PREFETCH:
        raise ValueError(f"prefetch {prefetch} is not between 1 and {MOST_PREFETCH}")


def check_queue(name: Any) -> None:
    """Raises ValueError unless a queue of every transport can have the name."""
    if not isinstance(name, str) or _QUEUE_NAME.fullmatch(name) is None:
        raise ValueError(
            f"{str(name)[:40]!r} cannot be the name of a queue: "
            f"up to {LONGEST_QUEUE_NAME} of A-Z a-z 0-9 - _ . : @ # , / and space can"
        )
