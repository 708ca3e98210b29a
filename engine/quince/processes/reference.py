"""What stands for a process: the one idea that a handle, a child and an input have in common."""

from __future__ import annotations


class ProcessReference:
    """Stands for a process, by its pid: what `self.submit` returned, or a handle."""

    __slots__ = ()
    pid: int
