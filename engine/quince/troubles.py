"""What a worker says of its troubles with its heartbeats, and what those who read its row make of that.

One sentence each, for people; a few are recognised by how they begin or by what stands in them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

BLOCKED = "its step host is blocked"
"""Begins what a worker says of steps whose host is stopped or held up by one; see `worker.loop_watch`."""

STALE = "changed since this worker imported"
"""Stands in what a worker says whose code is older than its files; see `quince.worker.stale_code`."""

_WAITS = "steps wait inside for other processes: "
_MOST_WAITS = 200

_WHOSE = "process "
_MOST_SENTENCES = 20
_MOST_NAMED = 5


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


def sentence_of_waits(waits: Mapping[int, Collection[int]]) -> str:
    """What a worker says of its processes whose steps wait, inside, for others: `waits` tells for which."""
    said = [
        f"{pid} for {', '.join(map(str, sorted(awaited)[:_MOST_NAMED])) or 'some of another store'}"
        for pid, awaited in sorted(waits.items())[:_MOST_WAITS]
    ]
    return f"{len(waits)} {_WAITS}{'; '.join(said)}"


def grave(sentences: Sequence[str]) -> list[str]:
    """Those that tell of trouble: that steps wait inside is none."""
    return [sentence for sentence in sentences if _WAITS not in sentence]


def awaited_inside(pid: int, sentences: Sequence[str]) -> list[int]:
    """For which processes a step of this one waits inside, as its worker says; empty if it does not."""
    for sentence in sentences:
        for said in sentence.partition(_WAITS)[2].split("; "):
            whose, _, awaited = said.partition(" for ")
            if whose == str(pid):
                return [int(one) for one in awaited.split(", ") if one.isdecimal()]
    return []


def is_blocked(sentence: str) -> bool:
    """Whether a worker says so of a process."""
    return sentence.startswith(BLOCKED)


def is_stale(sentence: str) -> bool:
    """Whether a worker says that it runs code that is older than its files."""
    return STALE in sentence


def _sentence(pids: Sequence[int], trouble: str) -> str:
    return f"{_WHOSE}{', '.join(map(str, pids))}: {trouble}" if any(pids) else trouble
