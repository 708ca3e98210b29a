"""Where large parts of the values of processes are used."""

from __future__ import annotations

import enum


class Of(enum.IntFlag):
    """For what of a process a part is kept: in `content_uses.kind` one, in `processes.parts` all of them."""

    INPUTS = 1
    CHECKPOINT = 2
    RESULT = 4
    ONCE = 8
    SIGNALS = 16
    PAST = 32


DONE = Of.CHECKPOINT | Of.ONCE
"""What goes with the checkpoint of a process that ends well."""
