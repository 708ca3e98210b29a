"""What the row of a process says of its signals: those that have come, and those that it waits for.

Kept in one column, as JSON, and empty for almost every process; so sending, waiting and counting down
are decided under the lock of the row, without another read.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class SignalState(msgspec.Struct, omit_defaults=True):
    """The signals of one process.

    Attributes:
        there: How many of each name were sent and are not used up yet.
        missing: Names that it waits for and that have not come; one for each signal.
        deadline: Its timer ends this wait, instead of being one thing more to wait for.
    """

    there: dict[str, int] = {}
    missing: list[str] = []
    deadline: bool = False

    @classmethod
    def read(cls, text: str | None) -> SignalState:
        """From the column."""
        return cls() if text is None else _decode(text)

    @classmethod
    def last(cls, text: str | None) -> SignalState:
        """The same of a process that ends, of which it does not matter if it is damaged."""
        try:
            return cls.read(text)
        except (msgspec.MsgspecError, TypeError):
            return cls()

    def text(self) -> str | None:
        """For the column; None if there is nothing to say."""
        return msgspec.json.encode(self).decode() if self.there or self.missing else None

    def put(self, name: str) -> bool:
        """A signal comes. True if the process waits for it."""
        self.there[name] = self.there.get(name, 0) + 1
        if name not in self.missing:
            return False
        self.missing.remove(name)
        return True

    def take(self, names: Iterable[str]) -> None:
        """Signals were used up."""
        for name in names:
            left = self.there.get(name, 0) - 1
            if left > 0:
                self.there[name] = left
            else:
                self.there.pop(name, None)

    def wait(self, names: Iterable[str], *, deadline: bool) -> None:
        """Wait for signals, one for each name; those that are there already are not missing."""
        left = dict(self.there)
        self.missing = []
        for name in names:
            if left.get(name, 0) > 0:
                left[name] -= 1
            else:
                self.missing.append(name)
        self.deadline = deadline and bool(self.missing)

    def wait_no_more(self) -> None:
        self.missing, self.deadline = [], False


_decode = msgspec.json.Decoder(SignalState).decode
