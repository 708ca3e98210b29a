"""Log records: the facts that they carry, and the two forms in which they are written, text and JSON.

Every record of ours has its facts beside its sentence, as attributes (see `StructuredLogger`), so that any
handler can use them: `record.pid`, `%(queue)s`. `FIELDS` says which there are. The workers of a daemon write
records as JSON, one a line; `quince daemon logs` reads them back, as text or as they are.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any, TextIO

from quince.errors import WorkspaceError
from quince.settings import LOG_FORMAT_VARIABLE, LOG_LEVEL_VARIABLE
from quince.text import visible, without_passwords

FIELDS = {
    "pid": "the process",
    "class": "its class, as `quince ps --json` writes it",
    "step": "its step",
    "worker": "id of the worker; in lines of the daemon, which knows no ids, its name (`worker-1`)",
    "queue": "the queue of tasks",
    "epoch": "how many times the process has been claimed",
    "pids": "several processes",
    "queues": "several queues of tasks",
    "store": "the database, without its password",
    "broker": "the broker, without its password",
    "communicator": "one end of a connection for messages",
    "channel": "number of a channel to the broker",
    "subject": "of a broadcast",
    "host": "name of a computer",
    "ospid": "an operating-system process that is spoken of",
    "ospids": "several of them",
    "file": "a file or folder",
    "schedule": "name of one",
    "function": "what was called",
    "work": "name of what is done in the background",
    "state": "of a connection",
    "count": "how many",
    "seconds": "how long",
    "error": "the class of an exception",
    "reason": "why, in words",
    "worker_name": "name of the worker (`worker-1`)",
    "verb": "a control: pause, play or kill",
    "call": "what a worker is asked",
    "tasks": "the file of tasks",
    "receiver": "who is to be told of what happens",
    "attempt": "how often it was tried",
}  # fmt: skip
"""The facts that records of ours carry, and what each of them means."""

FORMAT = "%(asctime)s %(levelname)-7s [%(process)d%(speaker)s] %(name)s: %(message)s"

_NOTHING: dict[str, Any] = {
    **dict.fromkeys(
        ("time", "level", "logger", "message", "pid", "class", "step", "worker", "queue", "process")
    ),
    "in_step": False,
    "exception": None,
}
"""What every document has, in this order."""

_OF_LOGGING = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "speaker",
    "spoken_by",
    "taskName",
}


class Speaker:
    """The process whose step runs.

    Attributes:
        step: The name of its step, once that is known.

    Args:
        facts: About it: `pid`, `class` and more.
        place: Tells where in its outline it stands, until the step is known.
    """

    __slots__ = ("_facts", "_place", "step")

    def __init__(self, facts: Mapping[str, object], place: Callable[[], str | None]) -> None:
        self.step: str | None = None
        self._facts = facts
        self._place = place

    def __str__(self) -> str:
        return _speaker(self._facts)

    @property
    def facts(self) -> dict[str, object]:
        """What a record that its step writes carries."""
        return {**self._facts, "step": self.step or self._place()}


class _CurrentSpeaker:
    """Whose step runs here, if one does.

    Attributes:
        alone: Steps run one at a time in this program: what speaks there, in whatever thread, is that of the
            last one that has begun.
    """

    def __init__(self) -> None:
        self.alone = False
        self._here: ContextVar[Speaker | None] = ContextVar("quince_speaker", default=None)
        self._last: Speaker | None = None

    def get(self) -> Speaker | None:
        return self._here.get() or (self._last if self.alone else None)

    def set(self, speaker: Speaker) -> AbstractContextManager[None]:
        """Inside the block, it speaks."""
        return _Speaking(self, speaker)

    def begin(self, speaker: Speaker) -> Token[Speaker | None]:
        """It speaks from now on, until `end`."""
        self._last = speaker
        return self._here.set(speaker)

    def end(self, before: Token[Speaker | None]) -> None:
        """It does not any more."""
        self._here.reset(before)


class _Speaking(AbstractContextManager[None]):
    """Once for each step: a generator would take longer."""

    __slots__ = ("_before", "_speaker", "_where")

    def __init__(self, where: _CurrentSpeaker, speaker: Speaker) -> None:
        self._where = where
        self._speaker = speaker
        self._before: Token[Speaker | None] | None = None

    def __enter__(self) -> None:
        self._before = self._where.begin(self._speaker)

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            self._where.end(self._before)


current_speaker = _CurrentSpeaker()


def speaking(facts: Mapping[str, object], place: Callable[[], str | None]) -> AbstractContextManager[None]:
    """Inside the block, also in the threads that copy its context, this process speaks.

    Args:
        facts: About it: `pid`, `class` and more, as fields of log records.
        place: Tells where in its outline it stands, until the step is known.
    """
    return current_speaker.set(Speaker(facts, place))


def with_speaker(record: logging.LogRecord) -> bool:
    """A filter that adds the facts of the running step to a record."""
    if (speaker := current_speaker.get()) is not None:
        for name, value in speaker.facts.items():
            record.__dict__.setdefault(name, value)
    return True


class LineFormatter(logging.Formatter):
    """A record begins a line and nothing else does: further lines of a message or a traceback are indented.

    What acts on a terminal is written out, passwords in URLs are hidden. Times are local, with their zone.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return f"{super().formatTime(record, datefmt)} {time.strftime('%Z', self.converter(record.created))}"

    def format(self, record: logging.LogRecord) -> str:
        speaker = record.__dict__.get("spoken_by") or current_speaker.get()
        record.speaker = f", {speaker}" if speaker else ""
        return without_passwords(visible(super().format(record))).replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """A record becomes a JSON object on one line, in plain ASCII, passwords in URLs hidden.

    Args:
        facts: What every record carries that does not say otherwise.
    """

    def __init__(self, facts: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._facts = facts or {}

    def format(self, record: logging.LogRecord) -> str:
        speaker = current_speaker.get()
        spoken = {} if speaker is None else speaker.facts
        own = {name: value for name, value in record.__dict__.items() if name not in _OF_LOGGING}
        facts = {**self._facts, **{name: value for name, value in own.items() if name in FIELDS}, **spoken}
        others = {name: value for name, value in own.items() if not _is_said(name, value, facts)}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        trace = "\n".join(filter(None, (record.exc_text, record.stack_info)))
        document = {
            **_NOTHING,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            "in_step": speaker is not None,
            "exception": trace or None,
            **facts,
            **({"extra": others} if others else {}),
        }
        return json.dumps(_plain(document), separators=(",", ":"), allow_nan=False)


def raw_document(line: str) -> dict[str, Any]:
    """The document of a line that is no log record: of a program in C, say, or of a crash."""
    return {**_NOTHING, "message": without_passwords(line)}


def documents(line: str) -> Iterator[dict[str, Any]]:
    """What a line of a log file says: the records in it, and what others have written before, between and
    after them. A record that a crash has torn is a raw line."""
    at = begin = 0
    while (begin := line.find(_BEGIN, begin)) >= 0:
        try:
            document, end = _DECODER.raw_decode(line, begin)
            _record_of(document)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            begin += 1
            continue
        if line[at:begin]:
            yield raw_document(line[at:begin])
        yield _plain({**_NOTHING, **document})  # whoever wrote it
        at = begin = end
    if at < len(line) or not line:
        yield raw_document(line[at:])


def text_of(document: Mapping[str, Any]) -> list[str]:
    """The lines that show such a document to people."""
    if document["level"] is None:
        return [str(document["message"])]
    return _LINES.format(_record_of(document)).split("\n")


def log_to_stderr(
    format: str = FORMAT,  # noqa: A002 - as logging calls it
    stream: TextIO | None = None,
) -> logging.Handler:
    """A handler that writes records as text to standard error, or to another stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(format))
    return handler


def configure_logging(stream: TextIO | None = None, /, **facts: object) -> None:
    """Write records to standard error, one a line: as text, or, with QUINCE_LOG_FORMAT=json, as JSON.

    Args:
        stream: Instead of standard error.
        facts: What every record carries that does not say otherwise.

    Raises:
        WorkspaceError: such a format or level does not exist.
    """
    handler = log_to_stderr(stream=stream)
    chosen = os.environ.get(LOG_FORMAT_VARIABLE) or "text"
    if chosen not in ("text", "json"):
        raise WorkspaceError(f"{LOG_FORMAT_VARIABLE} is {chosen!r}; it may be `text` or `json`")
    if chosen == "json":
        handler.setFormatter(JsonFormatter(facts))
    level = (os.environ.get(LOG_LEVEL_VARIABLE) or "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise WorkspaceError(f"{LOG_LEVEL_VARIABLE} is {level!r}; it may be DEBUG, INFO, WARNING or ERROR")
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in ("aio_pika", "aiormq", "alembic"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


_BEGIN = '{"time":"'
_DECODER = json.JSONDecoder()
_LINES = LineFormatter(FORMAT)


def _is_said(name: str, value: object, facts: Mapping[str, object]) -> bool:
    """Whether the facts have it already. (Values of users may not bear to be compared.)"""
    said = facts.get(name)
    return name in facts and (said is value or (type(said) is type(value) is str and said == value))


def _speaker(facts: Mapping[str, Any]) -> str:
    name = str(facts.get("class")).replace(":", ".").rpartition(".")[2]
    return f"{facts.get('pid')} {name}"


def _record_of(document: Mapping[str, Any]) -> logging.LogRecord:
    """The log record of a document; raises if it is none."""
    created = datetime.fromisoformat(document["time"]).timestamp()
    return logging.makeLogRecord(
        {
            "created": created,
            "msecs": float(int(created % 1 * 1000 + 1e-3)),
            "levelname": str(document["level"]),
            "name": str(document["logger"]),
            "msg": "%s",
            "args": (str(document["message"]),),
            "process": int(document["process"]),
            "spoken_by": _speaker(document) if document["in_step"] else "",
            "exc_text": document["exception"] and str(document["exception"]),
        }
    )


def _plain(value: Any, depth: int = 4) -> Any:
    """A value as JSON has it; what JSON lacks is told in words."""
    if value is None or type(value) is bool or (type(value) is int and abs(value) < 2**63):
        return value
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, Mapping) and depth:
        return {str(name): _plain(one, depth - 1) for name, one in value.items()}
    if isinstance(value, (list, tuple)) and depth:
        return [_plain(one, depth - 1) for one in value]
    if isinstance(value, float) and value - value == 0:
        return float(value)
    try:
        return without_passwords(str(value))
    except Exception:
        return f"({type(value).__name__})"
