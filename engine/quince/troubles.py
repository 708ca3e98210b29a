"""What a worker says of its troubles with its heartbeats, and what those who read its row make of that.

One sentence each, for people; a few are recognised by how they begin or by what stands in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BLOCKED = "its event loop is blocked"
"""Begins what a worker says whose loop does not turn; see `quince.worker.loop_watch`."""

STALE = "changed since this worker imported"
"""Stands in what a worker says whose code is older than its files; see `quince.worker.stale_code`."""

_WHOSE = "process "
_MOST_SENTENCES = 20


def sentences_of(troubles: Mapping[int, str]) -> list[str]:
    """What a worker says of the troubles of its processes: those that are alike together, the first few.

    Args:
        troubles: What keeps processes from going on, by their pids (0: what concerns none of them).
    """
    alike: dict[str, list[int]] = {}
    for pid, trouble in sorted(dict(troubles).items()):
        alike.setdefault(trouble, []).append(pid)
    return [_sentence(pids, trouble) for trouble, pids in list(alike.items())[:_MOST_SENTENCES]]


def trouble_of(pid: int, sentences: Sequence[str]) -> str | None:
    """What of a worker's sentences is about this process."""
    for sentence in sentences:
        whose, _, trouble = sentence.partition(": ")
        if str(pid) in whose.removeprefix(_WHOSE).split(", "):
            return trouble
    return None


def is_blocked(sentence: str) -> bool:
    """Whether a worker says that its event loop does not turn."""
    return sentence.startswith(BLOCKED)


def is_stale(sentence: str) -> bool:
    """Whether a worker says that it runs code that is older than its files."""
    return STALE in sentence


def _sentence(pids: Sequence[int], trouble: str) -> str:
    return f"{_WHOSE}{', '.join(map(str, pids))}: {trouble}" if any(pids) else trouble
