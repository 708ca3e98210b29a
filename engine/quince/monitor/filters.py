"""The one set of filters: as words of the command line, as the query of an address, as one line of text."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, get_type_hints
from urllib.parse import parse_qsl, urlencode

from quince.errors import InvalidFilter
from quince.moments import moment_of, seconds_of
from quince.workspace.class_names import class_paths
from quince.workspace.workspace import Workspace
from quince_persistence.records import Selection, State

_DAYS = {"today": 0, "yesterday": 1}


@dataclass(frozen=True, slots=True)
class Word:
    """How one filter is written.

    Attributes:
        flag: On the command line; without its dashes it is the name in the query of an address. None: it is
            written without one, as pids are.
        metavar: What follows it; None: nothing does.
        help: What it means, in a sentence.
    """

    flag: str | None
    metavar: str | None
    help: str

    @property
    def name(self) -> str:
        """In the query of an address."""
        return "pid" if self.flag is None else self.flag.removeprefix("--")


@dataclass(frozen=True)
class Filter:
    """Which processes the words mean, as they were written."""

    pids: Annotated[list[str] | None, Word(None, "PID", "Processes, by pid or by key.")] = None
    states: Annotated[
        list[str] | None,
        Word("--state", "STATE", "Only these states (also `paused`, `live`, `ended`); a,b or several times."),
    ] = None
    classes: Annotated[list[str] | None, Word("--class", "CLASS", "Only these process classes.")] = None
    parent: Annotated[str | None, Word("--parent", "PID", "Only children of this one.")] = None
    tree: Annotated[bool, Word("--tree", None, "The pids and all their descendants.")] = False
    labels: Annotated[
        list[str] | None, Word("--label", "NAME=VALUE", "With this label; NAME alone: whatever its value.")
    ] = None
    failed: Annotated[
        bool, Word("--failed", None, "Ended, and not well: excepted, killed, or an exit status not 0.")
    ] = False
    exits: Annotated[
        list[str] | None, Word("--exit", "STATUS", "Only these exit statuses; a,b or several times.")
    ] = None
    text: Annotated[
        str | None, Word("--text", "TEXT", "It is in the class, key, step, status or exit message.")
    ] = None
    since: Annotated[
        str | None,
        Word(
            "--since", "WHEN",
            "Created since: today, 90s, 30m, 2h, 3d, or a date as 2030-01-31 or 2030-01-31T12:00 (local "
            "time).",
        ),
    ] = None  # fmt: skip
    ended_since: Annotated[str | None, Word("--ended-since", "WHEN", "Ended since: as --since.")] = None
    older: Annotated[str | None, Word("--older-than", "WHEN", "Created before: as --since.")] = None
    queue: Annotated[str | None, Word("--queue", "QUEUE", "Only those of this queue.")] = None
    everything: Annotated[bool, Word("--all", None, "Every process.")] = False

    @classmethod
    def from_query(cls, query: str | Iterable[tuple[str, str]]) -> Filter:
        """That of the query of an address: `state=running&class=Relax`. Other names there are passed over,
        since addresses have others, too.

        Args:
            query: The text behind the question mark, or its names with their values.
        """
        pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else query
        given: dict[str, Any] = {}
        for name, value in pairs:
            if (known := _BY_NAME.get(name)) is not None:
                _give(given, known, value)
        return cls(**given)

    @classmethod
    def from_words(cls, text: str) -> Filter:
        """That of one line, as it is typed: `state=running class=Relax argon`, or `--state running`.

        What is no filter is text that is looked for; a line of nothing but numbers is pids.

        Raises:
            InvalidFilter: a word lacks what is to follow it.
        """
        given: dict[str, Any] = {}
        loose: list[str] = []
        words = iter(_split(text))
        for word in words:
            name, equals, value = word.removeprefix("--").partition("=")
            known = _BY_NAME.get(name)
            if known is None or not (word.startswith("--") or equals):
                loose.append(word)
            elif not equals and (wanted := WORDS[known].metavar) is not None:
                if (value := next(words, "")) == "":
                    raise InvalidFilter(f"{word} wants {wanted} after it: {WORDS[known].help}")
                _give(given, known, value)
            else:
                _give(given, known, value)
        if loose and all(word.isdecimal() for word in loose):
            given.setdefault("pids", []).extend(loose)
        elif loose:
            given["text"] = " ".join([*([given["text"]] if "text" in given else []), *loose])
        return cls(**given)

    def query(self, **changes: Any) -> str:
        """It as the query of an address. `from_query` reads it.

        Args:
            changes: Fields that are to be others there: `states=["running"]`.
        """
        chosen = replace(self, **changes) if changes else self
        return urlencode(list(chosen._pairs()))

    def words(self) -> str:
        """It as words of a command line: `--state running --class Relax`."""
        parts: list[str] = []
        for field, word in WORDS.items():
            for value in _values(getattr(self, field)):
                parts += [part for part in (word.flag, None if word.metavar is None else value) if part]
        return shlex.join(parts)

    def _pairs(self) -> Iterable[tuple[str, str]]:
        for field, word in WORDS.items():
            for value in _values(getattr(self, field)):
                yield word.name, value

    @property
    def empty(self) -> bool:
        """Nothing at all was said."""
        return not (self.pids or self.narrowed or self.everything)

    @property
    def narrowed(self) -> bool:
        """Something other than pids narrows the choice."""
        words = (
            self.states, self.classes, self.parent, self.queue, self.since, self.older, self.labels,
            self.failed, self.exits, self.text, self.ended_since,
        )  # fmt: skip
        return any(word not in (None, False, []) for word in words)

    @property
    def class_words(self) -> list[str]:
        """The classes that were named."""
        return [name for word in self.classes or () for name in word.split(",") if name]

    def strange_classes(self, home: Workspace) -> list[str]:
        """Those of them of which the workspace has no process at all."""
        folder = home.location.folder
        return [
            word
            for word in self.class_words
            if not home.store.select(Selection(classes=class_paths(word, folder), limit=1))
        ]

    @property
    def single(self) -> bool:
        """It is one process, named by its pid, and nothing else."""
        return len(self.pids or ()) == 1 and not self.tree and not self.narrowed

    def named(self, home: Workspace) -> list[int]:
        """The pids that were named, or whose keys were.

        Raises:
            ProcessNotFound: no process has such a key.
            InvalidFilter: it is a number, and no pid.
        """
        return list(dict.fromkeys(pid_named(home, word) for word in self.pids or ()))

    def selection(
        self, home: Workspace, *, live: bool = False, limit: int | None = None, before: int | None = None
    ) -> Selection:
        """What the store is asked for.

        Raises:
            ProcessNotFound: no process has such a key.
            InvalidFilter: a word is no pid, state or time, or the words contradict each other.
        """
        pids = self.named(home)
        if self.tree and not pids:
            raise InvalidFilter("--tree wants pids: it takes their descendants along")
        if self.everything and pids:
            raise InvalidFilter("--all and pids contradict each other: give one of them")
        states, paused, live_wanted = _states(self.states or ())
        folder = home.location.folder
        return Selection(
            pids=() if self.tree else tuple(pids),
            trees=tuple(pids) if self.tree else (),
            states=states,
            paused=paused,
            classes=tuple(path for word in self.class_words for path in class_paths(word, folder)),
            parent=None if self.parent is None else pid_named(home, self.parent),
            queue=self.queue,
            labels=tuple(label_pair(word, bare=True) for word in self.labels or ()),
            exits=tuple(_status(word) for words in self.exits or () for word in words.split(",")),
            failed=self.failed,
            text=self.text,
            since=_time(self.since, "--since"),
            until=_time(self.older, "--older-than"),
            ended_since=_time(self.ended_since, "--ended-since"),
            live=live or live_wanted,
            before=before,
            limit=limit,
        )


def _word_of(hint: Any) -> Word:
    return next(one for one in hint.__metadata__ if isinstance(one, Word))


WORDS: Mapping[str, Word] = {
    name: _word_of(hint) for name, hint in get_type_hints(Filter, include_extras=True).items()
}
"""How each field of a filter is written."""

_BY_NAME = {word.name: field for field, word in WORDS.items()}
_LISTS = {name for name, hint in get_type_hints(Filter).items() if hint == (list[str] | None)}


def _give(given: dict[str, Any], field: str, value: str) -> None:
    if WORDS[field].metavar is None:
        given[field] = value.lower() not in ("0", "false", "no", "off")
    elif value == "":  # an empty box of a form
        return
    elif field in _LISTS:
        given.setdefault(field, []).append(value)
    else:
        given[field] = value


def _values(value: object) -> Sequence[str]:
    if value is None or value is False:
        return ()
    if value is True:
        return ("1",)
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else (str(value),)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation that is not closed yet
        return text.split()


def _time(text: str | None, option: str) -> float | None:
    return None if text is None else parse_time(text, time.time(), option)


def parse_time(text: str, now: float, option: str = "--since") -> float:
    """Seconds since the epoch of `30m` (ago), `today`, `yesterday`, or a date in local time.

    Raises:
        InvalidFilter: it is neither.
    """
    word = text.strip()
    if word.lower() in _DAYS:
        midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - timedelta(days=_DAYS[word.lower()])).timestamp()
    if (then := moment_of(word)) is not None:
        return then
    try:
        if word[-1:].isalpha():  # a number alone could be anything
            return now - seconds_of(word)
    except ValueError:
        pass
    raise InvalidFilter(f"{option} {text!r} is no time: write today, 90s, 30m, 2h, 3d, or 2030-01-31T12:00")


def label_pair(word: str, *, bare: bool = False) -> tuple[str, str | None]:
    """A label as it is written: `study=argon`.

    Args:
        bare: Its name alone stands for any value.

    Raises:
        InvalidFilter: it is none.
    """
    name, mark, value = word.partition("=")
    if not name or not (mark or bare):
        raise InvalidFilter(f"--label {word!r} is no label: write NAME=VALUE, as study=argon")
    return name, value if mark else None


def _status(word: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,10}", word.strip()):
        raise InvalidFilter(f"--exit {word!r} is no exit status: a whole number, as 410")
    return int(word)


_LIVE, _ENDED = "live", "ended"


def _states(words: Sequence[str]) -> tuple[tuple[State, ...], bool | None, bool]:
    """States, the paused flag if asked for, and whether only live ones are wanted."""
    names = [name.strip().lower() for word in words for name in word.split(",") if name.strip()]
    states: list[State] = []
    for name in names:
        if name == _ENDED:
            states += [State.FINISHED, State.EXCEPTED, State.KILLED]
        elif name in set(State):
            states.append(State(name))
        elif name not in ("paused", _LIVE):
            known = ", ".join([*(state.value for state in State), "paused", _LIVE, _ENDED])
            raise InvalidFilter(f"{name!r} is no state: {known}")
    return tuple(dict.fromkeys(states)), True if "paused" in names else None, _LIVE in names


def pid_named(home: Workspace, word: str) -> int:
    """The pid that a word is, or that of the process whose key it is: a number is a pid if there is such a
    process, else a key; `key:17` is the key `17` whatever there is.

    Raises:
        ProcessNotFound: no process has that key.
        InvalidFilter: it is a number of more digits than pids have.
    """
    if not re.fullmatch(r"[0-9]+", word):
        row = home.store.find_key(word.removeprefix("key:")) or home.store.find_key(word)
        if row is None:
            raise home.no_key(word.removeprefix("key:"))
        return row.pid
    by_key = None if len(word) < 19 and home.store.get(int(word)) is not None else home.store.find_key(word)
    if by_key is not None:
        return by_key.pid
    if len(word) >= 19:
        raise InvalidFilter(f"{word!r} is no pid: pids are whole numbers, as `quince ps` lists them")
    return int(word)
