"""What receivers get: a notice, or many of them together, in words and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quince.moments import iso
from quince.on_hold import HELD
from quince.text import in_line, without_passwords
from quince_persistence.records import State
from quince_persistence.records.notices import Happening, NoticeRow

EACH = 5
"""So many that are due together are sent one by one; more of them as one message."""
LONGEST = 500
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent at once.

    Attributes:
        id: The same whenever it is sent again.
        text: In one sentence.
        details: More sentences.
        document: All of it, for programs.
    """

    id: str
    text: str
    details: Sequence[str]
    document: Mapping[str, Any]


def messages_of(notices: Sequence[NoticeRow], store: str) -> list[tuple[Message, Sequence[NoticeRow]]]:
    """What is sent for these, which are due for one receiver: each with the notices that it tells.

    Args:
        store: Identity of the store in which it has happened.
    """
    if len(notices) <= EACH:
        return [(_single(notice, store), [notice]) for notice in notices]
    return [(_several(notices, store), notices)]


def _single(notice: NoticeRow, store: str) -> Message:
    text = sentence_of(notice)
    document = {"version": 1, "text": text, **_document(notice), "store": store}
    details = [f"It happened at {iso(notice.at)}."]
    if (more := notice.body.get("more")) is not None:
        details.append(f"At the same moment the same has happened to {more} more.")
    if "pid" in notice.body:
        details.append(f"`quince show {notice.body['pid']}` tells more.")
    return Message(notice.id, text, details, document)


def _several(notices: Sequence[NoticeRow], store: str) -> Message:
    kinds = Counter(_kind(notice) for notice in notices)
    more = sum(notice.body.get("more", 0) for notice in notices)
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(EACH))
    text = (
        f"{len(notices) + more} things have happened: {named}{', ...' if len(kinds) > EACH or more else ''}"
    )
    document = {
        "version": 1,
        "id": f"{notices[0].id}+{len(notices)}",
        "event": "several",
        "text": text,
        "time": iso(max(notice.at for notice in notices)),
        "count": len(notices) + more,
        "store": store,
        "notices": [{"text": sentence_of(notice), **_document(notice)} for notice in notices],
    }
    details = [f"- {sentence_of(notice)}" for notice in notices[:SHOWN]]
    details += [f"- and {len(notices) - SHOWN} more"] * (len(notices) > SHOWN)
    return Message(str(document["id"]), text, details, document)


def _kind(notice: NoticeRow) -> str:
    who = notice.body.get("class")
    return notice.event if who is None else f"{_class(str(who))} {notice.body['state']}"


def _document(notice: NoticeRow) -> dict[str, Any]:
    own = {"id": notice.id, "event": notice.event.value, "time": iso(notice.at)}
    if "pid" in notice.body:
        return own | {"process": dict(notice.body)}
    return own | {name: value for name, value in notice.body.items() if name != "text"}


def sentence_of(notice: NoticeRow) -> str:
    """What has happened, on one line, whatever stands in the names and texts of users."""
    return without_passwords(in_line(_sentence(notice))[:LONGEST])


def _sentence(notice: NoticeRow) -> str:
    body = notice.body
    if "pid" not in body:
        return str(body.get("text", notice.event))
    who = f"process {body['pid']} ({_class(body['class'])}{_labels(body['labels'])})"
    match notice.event:
        case Happening.PAUSED:
            return f"{who} is paused and waits for somebody: {(body['status'] or '').removeprefix(HELD)}"
        case Happening.WAITING:
            names = body["signals"]
            return f"{who} waits for the signal{'s' * (len(names) > 1)} {', '.join(names)}"
    return f"{who} {_end(body)}"


def _end(body: Mapping[str, Any]) -> str:
    said = f": {body['exit_message']}" if body["exit_message"] else ""
    step = f" in step {body['step']}" if body["step"] else ""
    if body["state"] == State.EXCEPTED:
        return f"has failed{step}{said}"
    if body["state"] == State.KILLED:
        return f"was killed{step}{said}"
    return (
        f"has ended with exit status {body['exit_status']}{said}" if body["exit_status"] else "has finished"
    )


def _class(path: str) -> str:
    return path.rpartition(":")[2]


def _labels(labels: Mapping[str, str]) -> str:
    return "".join(f", {name}={value}" for name, value in list(labels.items())[:3])
