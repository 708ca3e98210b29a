"""What no step may end: the programs to which its host belongs. Who sends them a signal from Python gets an
error, so that it is an error of its own process."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps


def protect(*ospids: int) -> None:
    """From now on, in this program and its forks, no signal goes to these programs, nor to their groups.

    Signal 0, which only asks whether one is there, does.
    """
    everything = -1
    protected = frozenset({*ospids, *(-ospid for ospid in ospids), everything})
    os.kill = _refusing(os.kill, protected)
    os.killpg = _refusing(os.killpg, protected)


def _refusing(kill: Callable[[int, int], None], protected: frozenset[int]) -> Callable[[int, int], None]:
    @wraps(kill)
    def refusing(ospid: int, number: int, /) -> None:
        if number and ospid in protected:
            raise PermissionError(
                f"a step may send no signal to {ospid}: that is its worker, or what all steps of it are "
                "forked from; to end only the program in which this step runs, take `os.getpid()`"
            )
        kill(ospid, number)

    return refusing
