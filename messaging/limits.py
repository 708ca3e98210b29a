"""What may be asked of a communicator, whatever transport it has: refused in the caller, in the same words.

A broker refuses some of this itself, a file or a dictionary takes anything and fails later, somewhere else.
"""

from __future__ import annotations

from typing import Any

MAX_PRIORITY = 9


def check_priority(priority: Any) -> None:
    """Raises ValueError unless it is one that every transport has."""
    if not isinstance(priority, int) or not 0 <= priority <= MAX_PRIORITY:
        raise ValueError(f"priority {priority} is not between 0 and {MAX_PRIORITY}")
