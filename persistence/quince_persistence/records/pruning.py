"""What was pruned, and why the rest was not."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Spared(enum.StrEnum):
    """Why a tree was not pruned."""

    LIVES = "something of it lives"
    RECENT = "it has not ended long enough ago"
    AWAITED = "something that lives waits for it"
    REFERRED = "something that stays refers to it"
    SCHEDULED = "it is the last of a schedule"
    CHILD = "it is a part of a tree, and only whole trees are pruned"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, and what was not.

    Attributes:
        roots: Of the trees.
        pids: All processes.
        kept: Roots that were named, that are there, and that stay.
    """

    roots: Sequence[int] = ()
    pids: Sequence[int] = ()
    kept: Mapping[int, Spared] = field(default_factory=dict)
