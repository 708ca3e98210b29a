"""What the row of a process says of the step that runs: how far it is, and how much of it was told."""

from __future__ import annotations

import msgspec

from quince_persistence.records import Progress


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """In a column, as JSON.

    Attributes:
        run: Which run of the step has said it.
        told: How many of its reports are in the history.
    """

    run: int = 0
    told: int = 0
    progress: Progress | None = None

    @classmethod
    def read(cls, text: str | None) -> Said:
        """From the column."""
        return NOTHING if text is None else _decode(text)

    def text(self) -> str:
        """For the column."""
        return msgspec.json.encode(self).decode()


NOTHING = Said()
_decode = msgspec.json.Decoder(Said).decode
