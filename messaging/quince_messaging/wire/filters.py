"""Which subscriber wants which broadcast, found by dictionary, not by asking each of them."""

from __future__ import annotations

import itertools
from typing import Any, Generic, TypeVar

from quince_messaging.contract import EVERYTHING, SubjectFilter

T = TypeVar("T")


class Subscriptions(Generic[T]):
    """Subscribers by what they want.

    A lookup costs as much as there are matches plus the number of different prefix lengths; how many
    subscribers want something else does not matter. A broadcast without a subject or a sender is
    matched as if that were the empty string.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._all: dict[str, tuple[T, SubjectFilter]] = {}
        self._by_sender: dict[str, dict[str, T]] = {}
        self._by_subject: dict[str, dict[str, T]] = {}
        self._by_prefix: dict[int, dict[str, dict[str, T]]] = {}
        self._unfiltered: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, subscriber: T, wanted: SubjectFilter = EVERYTHING) -> str:
        """Add a subscriber; returns its identifier."""
        identifier = f"subscriber-{next(self._numbers)}"
        self._all[identifier] = (subscriber, wanted)
        for place in self._places(wanted, create=True):
            place[identifier] = subscriber
        return identifier

    def remove(self, identifier: str) -> SubjectFilter:
        """Remove a subscriber; returns what it wanted. Raises ValueError if it is unknown."""
        if identifier not in self._all:
            raise ValueError(f"no broadcast subscriber {identifier!r}")
        _, wanted = self._all.pop(identifier)
        for place in self._places(wanted, create=False):
            place.pop(identifier, None)
        self._prune(wanted)
        return wanted

    def filters(self) -> list[SubjectFilter]:
        """What all the subscribers want, one filter for each."""
        return [wanted for _, wanted in self._all.values()]

    def matching(self, sender: Any, subject: str | None) -> list[T]:
        """Those who want a broadcast of this sender and subject, each once."""
        about = "" if subject is None else subject
        found: dict[str, T] = dict(self._unfiltered)
        if self._by_subject and (exact := self._by_subject.get(about)):
            found.update(exact)
        for length, prefixes in self._by_prefix.items():
            if hit := prefixes.get(about[:length]):
                found.update(hit)
        if self._by_sender and (mine := self._by_sender.get(sender_key(sender))):
            for identifier, subscriber in mine.items():
                if subject_matches(about, self._all[identifier][1].subjects):
                    found[identifier] = subscriber
        return list(found.values())

    def _places(self, wanted: SubjectFilter, *, create: bool) -> list[dict[str, T]]:
        if wanted.senders:
            return [_slot(self._by_sender, sender, create) for sender in wanted.senders]
        if not wanted.subjects:
            return [self._unfiltered]
        places: list[dict[str, T]] = []
        for subject in wanted.subjects:
            if subject.endswith("*"):
                prefixes = self._by_prefix.setdefault(len(subject) - 1, {})
                places.append(_slot(prefixes, subject[:-1], create))
            else:
                places.append(_slot(self._by_subject, subject, create))
        return places

    def _prune(self, wanted: SubjectFilter) -> None:
        for table, keys in (
            (self._by_sender, wanted.senders),
            (self._by_subject, [s for s in wanted.subjects if not s.endswith("*")]),
        ):
            for key in keys:
                if key in table and not table[key]:
                    del table[key]
        for length in [len(s) - 1 for s in wanted.subjects if s.endswith("*")]:
            prefixes = self._by_prefix.get(length, {})
            for prefix in [p for p, subscribers in prefixes.items() if not subscribers]:
                del prefixes[prefix]
            if not prefixes:
                self._by_prefix.pop(length, None)


def subject_matches(subject: str, wanted: tuple[str, ...]) -> bool:
    """Whether a subject is among exact subjects and prefixes ending in `*`; none means any."""
    if not wanted:
        return True
    return any(subject.startswith(w[:-1]) if w.endswith("*") else subject == w for w in wanted)


def sender_key(sender: Any) -> str:
    """A sender as filters see it: text, empty for none."""
    return "" if sender is None else str(sender)


def _slot(table: dict[str, dict[str, T]], key: str, create: bool) -> dict[str, T]:
    return table.setdefault(key, {}) if create else table.get(key, {})
