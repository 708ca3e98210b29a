"""Why a receiver was not told."""

from __future__ import annotations


class NotSent(Exception):
    """Says why, on one line.

    Attributes:
        after: In how many seconds it may be tried again, if the receiver has said so.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason[:300])
        self.after = after
