"""Who is told of what happens: `[notify.NAME]` in `quince.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quince.text import close_to
from quince_persistence.records import State
from quince_persistence.records.notices import Happening

EVENTS = tuple(event for event in Happening if event is not Happening.TEST)
ENDINGS = (State.FINISHED.value, State.EXCEPTED.value, State.KILLED.value)
WAYS = ("command", "webhook", "mail")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ADDRESS = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")


class LacksVariable(ValueError):
    """A variable of the environment is not set that a receiver needs."""


@dataclass(frozen=True)
class Receiver:
    """One of those who are told, and how.

    Attributes:
        on: Of what.
        command: Gets it as JSON on its standard input; or
        webhook: URL, to which it is posted as JSON, with these `headers`; or
        mail: addresses.
        sender: Whom the mail is from.
        server: `smtp://host:port`, or `smtps://`.
        user, password: There; None: nobody logs in.
        classes: Of processes: class paths or bare names; empty: all.
        labels: That a process must have, with their values.
        states: How it must have ended, if it has; empty: in whatever way.
        roots: Only processes without a parent.
        timeout: Seconds that one try may take.
    """

    name: str
    on: frozenset[Happening]
    command: tuple[str, ...] = ()
    webhook: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)  # a location is a key
    mail: tuple[str, ...] = ()
    sender: str = "quince@localhost"
    server: str = "smtp://localhost:25"
    user: str | None = None
    password: str | None = None
    classes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    states: tuple[str, ...] = ()
    roots: bool = False
    timeout: float = 20.0

    @property
    def way(self) -> str:
        """How it is told, and where: without what the environment says."""
        if self.command:
            return f"command {self.command[0]}"
        return f"webhook {self.webhook}" if self.webhook else f"mail to {', '.join(self.mail)}"

    def wants(self, event: Happening, body: Mapping[str, Any]) -> bool:
        """Whether it is told of this."""
        if event is Happening.TEST or "pid" not in body:
            return True
        path = str(body["class"])
        bare = re.split(r"[:.]", path)[-1]
        return (
            (not self.classes or path in self.classes or bare in self.classes)
            and all(body["labels"].get(name) == value for name, value in self.labels.items())
            and (not self.states or body["state"] not in ENDINGS or body["state"] in self.states)
            and (not self.roots or body["parent"] is None)
        )


def filled_in(text: str, environment: Mapping[str, str]) -> str:
    """A setting with the values of the variables that it names, as `${NAME}`.

    Raises:
        LacksVariable: one is not set.
    """

    def value(found: re.Match[str]) -> str:
        try:
            return environment[found[1]]
        except KeyError:
            raise LacksVariable(f"the variable {found[1]} is not set where this worker was started") from None

    return _VARIABLE.sub(value, text)


def receivers_of(settings: Mapping[str, Any]) -> tuple[Receiver, ...]:
    """The receivers that `[notify]` of `quince.toml` names.

    Raises:
        ValueError: it says something impossible; says what.
    """
    found = []
    for name, given in settings.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"[notify] {name!r} is no name: letters, digits, - and _, 50 at most")
        if not isinstance(given, dict):
            raise ValueError(f"[notify] {name} must be a table, [notify.{name}], with on = [...] and so on")
        try:
            found.append(_receiver(name, given))
        except ValueError as error:
            raise ValueError(f"[notify.{name}] {error}") from None
    return tuple(found)


_TEXTS, _TABLES = ("list of texts", list), ("table of texts", dict)
_SETTINGS: dict[str, tuple[str, Any]] = {
    "on": _TEXTS, "command": _TEXTS, "webhook": ("text", str), "headers": _TABLES, "mail": _TEXTS,
    "from": ("text", str), "server": ("text", str), "user": ("text", str), "password": ("text", str),
    "classes": _TEXTS, "labels": _TABLES, "states": _TEXTS, "roots": ("true or false", bool),
    "timeout": ("number", (int, float)),
}  # fmt: skip
"""What may be said of a receiver, and what that must be."""


def _receiver(name: str, given: Mapping[str, Any]) -> Receiver:
    for setting, value in given.items():
        if setting not in _SETTINGS:
            raise ValueError(f"has a setting {setting!r} that means nothing{close_to(setting, _SETTINGS)}")
        kind, types = _SETTINGS[setting]
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            raise ValueError(f"{setting} must be a {kind}, not a {type(value).__name__}")
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if any(not isinstance(one, str) or not one for one in inside):
            raise ValueError(f"{setting} must be a {kind}, none of them empty")
    _check(given)
    return Receiver(
        name=name,
        on=frozenset(Happening(word) for word in given["on"]),
        command=tuple(given.get("command", ())),
        webhook=given.get("webhook"),
        headers=given.get("headers", {}),
        mail=tuple(given.get("mail", ())),
        sender=given.get("from", Receiver.sender),
        server=given.get("server", Receiver.server),
        user=given.get("user"),
        password=given.get("password"),
        classes=tuple(given.get("classes", ())),
        labels=given.get("labels", {}),
        states=tuple(given.get("states", ())),
        roots=given.get("roots", False),
        timeout=float(given.get("timeout", Receiver.timeout)),
    )


def _check(given: Mapping[str, Any]) -> None:
    _check_words("on", given.get("on", ()), [event.value for event in EVENTS])
    if not given.get("on"):
        raise ValueError(f"does not say of what it is told: on = [...], of {', '.join(EVENTS)}")
    _check_words("states", given.get("states", ()), ENDINGS)
    if sum(bool(given.get(way)) for way in WAYS) != 1:
        raise ValueError(f"must have one of {', '.join(WAYS)}")
    if not 0 < given.get("timeout", 1) <= MOST_SECONDS:
        raise ValueError(f"timeout must be a number of seconds, {MOST_SECONDS:g} at most")
    webhook = given.get("webhook", "https://")
    if not webhook.startswith(("http://", "https://", "${")):
        raise ValueError("webhook must be a URL of http or https, or ${NAME} of the environment")
    if "@" in webhook.partition("://")[2].partition("/")[0]:
        raise ValueError("webhook has a password in it: a secret belongs into the environment (`${NAME}`)")
    if not _VARIABLE.search(given.get("password", "${A}")):
        raise ValueError("password stands in the file: write `${NAME}` and set NAME in the environment")
    if not given.get("server", "smtp://").startswith(("smtp://", "smtps://", "${")):
        raise ValueError("server must be smtp://HOST:PORT or smtps://HOST:PORT")
    senders = [given["from"]] if "from" in given else []
    for address in (*given.get("mail", ()), *senders):
        if not _ADDRESS.fullmatch(address):
            raise ValueError(f"{address!r} is no address of mail")


MOST_SECONDS = 60.0
"""What a try may take."""


def _check_words(setting: str, words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        if word not in known:
            raise ValueError(f"{setting}: {word!r} is none of {', '.join(known)}{close_to(word, known)}")
