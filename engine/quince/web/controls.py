"""What is asked for on the pages, of processes, schedules and limits; each with who asked, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from quince.client.control import Answer, control
from quince.client.limits import remove_limit, set_limit
from quince.client.place import place
from quince.client.retry import retry
from quince.client.schedules import ScheduleHandle
from quince.client.signals import send
from quince.errors import EngineError
from quince.messages import is_pid
from quince.processes.signals import checked_name
from quince.web.guard import form_of
from quince.web.inputs import CorrectedInputs, restart_with, retry_with
from quince.web.site import Site, site_of
from quince.web.templating import render
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Control, Selection

MOST = 2000
"""Processes that one form controls."""
LONGEST_REASON = 2000
SHOWN = 12
"""Children that are named in an answer."""


class Refused(Exception):
    """What was asked for cannot be; the sentence says why."""


@dataclass(frozen=True)
class Asked:
    """What a form asks for."""

    verb: str
    pids: Sequence[int]
    reason: str | None
    form: FormData

    @classmethod
    def of(cls, form: FormData) -> Asked:
        """
        Raises:
            Refused: it names no process, or too many.
        """
        words = [str(word) for word in form.getlist("pid")]
        pids = [int(word) for word in words if word.isdecimal() and len(word) < 20 and is_pid(int(word))]
        if not pids or len(pids) != len(words):
            raise Refused("choose at least one process")
        if len(pids) > MOST:
            raise Refused(f"these are {len(pids)} processes; one form controls {MOST} at most")
        reason = str(form.get("reason", "")).strip()[:LONGEST_REASON]
        return cls(str(form.get("verb", "")), pids, reason or None, form)

    @property
    def only(self) -> int:
        """The process, if there is one alone.

        Raises:
            Refused: there are several.
        """
        if len(self.pids) != 1:
            raise Refused("choose one process: others have other steps and inputs")
        return self.pids[0]

    @property
    def changed(self) -> CorrectedInputs:
        """The inputs that somebody has changed.

        Raises:
            InvalidInput: one has a name that is none.
        """
        return CorrectedInputs.of({name: str(value) for name, value in self.form.items()})


async def answer(request: Request) -> Response:
    """Control processes."""
    return await _answered(request, lambda site, form: _done(site, Asked.of(form)))


Doing = Callable[[Site, FormData], tuple[list[str], bool]]
"""Does what a form asks for: what came of it, a line for each, and whether something was refused."""


async def _answered(request: Request, do: Doing) -> Response:
    """Do what a form asks for, if it is one of ours, and say what came of it."""
    site = site_of(request)
    try:
        form = await form_of(request)
    except ValueError as error:
        return _told(request, [f"this is no form: {error}"], bad=True, status=400)
    if not site.access.is_of_our_form(str(form.get("form_key", ""))):
        return _told(request, ["this form is not of this server: load the page again"], bad=True, status=403)
    try:
        lines, bad = await asyncio.to_thread(do, site, form)
    except (Refused, EngineError, PersistenceError, ValueError, TypeError) as error:
        return _told(request, [str(error)], bad=True, status=409)
    return _told(request, lines, bad=bad, status=409 if bad else 200)


def _done(site: Site, asked: Asked) -> tuple[list[str], bool]:
    """What came of it, a line for each process, and whether something was refused."""
    chosen, form = Selection(pids=tuple(asked.pids)), asked.form
    answers: Sequence[Answer]
    if asked.verb in (Control.PAUSE, Control.PLAY, Control.KILL):
        answers = control(
            site.home, Control(asked.verb), chosen, reason=asked.reason, author=site.author,
            force=asked.verb == Control.KILL and form.get("force") == "1",
            now=asked.verb == Control.PAUSE and form.get("now") == "1",
        )  # fmt: skip
    elif asked.verb == "retry":
        answers = _retried(site, asked, chosen)
    elif asked.verb == "set":
        answers = place(
            site.home, chosen, queue=str(form.get("queue", "")) or None,
            priority=_priority(str(form.get("priority", ""))), author=site.author,
        )  # fmt: skip
    elif asked.verb == "signal":
        return _signalled(site, asked)
    elif asked.verb == "restart":
        return [_restarted(site, asked)], False
    else:
        raise Refused(f"{asked.verb[:40]!r} is nothing that can be asked for here")
    return _lines(answers)


def _lines(answers: Sequence[Answer]) -> tuple[list[str], bool]:
    lines = [f"{one.pid}: {one.message}" if one.accepted else f"refused: {one.message}" for one in answers]
    return lines or ["there is no such process"], not answers or not all(one.accepted for one in answers)


def _retried(site: Site, asked: Asked, chosen: Selection) -> Sequence[Answer]:
    if not (changed := asked.changed).words:
        return retry(site.home, chosen, reason=asked.reason, author=site.author)
    return retry_with(site.home.location, asked.only, changed, asked.reason)


def _restarted(site: Site, asked: Asked) -> str:
    """What came of it, with a link to the new process."""
    step = str(asked.form.get("from", "")).strip()
    made = restart_with(site.home.location, asked.only, step or None, asked.changed, asked.reason)
    link = Markup('<a href="{}">{}</a>').format(site.url(f"/process/{made.pid}"), made.pid)
    said = f", from {made.step or 'its first step'}"
    if made.shared:
        said += f"; it shares {', '.join(map(str, made.shared[:SHOWN]))}"
        said += ", ..." if len(made.shared) > SHOWN else ""
    return Markup("{} begins anew as {}{}").format(asked.only, link, said)


def _signalled(site: Site, asked: Asked) -> tuple[list[str], bool]:
    name = str(asked.form.get("name", ""))
    checked_name(name)
    outcomes = send(site.home, asked.pids, name, _value(str(asked.form.get("value", ""))), site.author)
    lines = [
        f"refused: {one.refused}" if one.refused else f"{one.pid}: signalled" if one.found
        else f"there is no process {one.pid}"
        for one in outcomes
    ]  # fmt: skip
    return lines, any(one.refused or not one.found for one in outcomes)


def _value(text: str) -> Any:
    """JSON, or a text: as on the command line."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _priority(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 3:
        raise Refused(f"{text[:40]!r} is no priority: write a whole number from 0 to 9")
    return int(text)


def _told(request: Request, lines: Sequence[str], *, bad: bool, status: int) -> Response:
    """The answer: a piece of a page if one of ours asks for it, else a page."""
    site = site_of(request)
    said: Mapping[str, Any] = {"lines": list(lines), "bad": bad, "title": f"{len(lines)} processes"}
    if request.headers.get("hx-request") == "true":
        return HTMLResponse(render("answers.html", **said), status)
    return site.page("answered.html", status=status, back=_back(request, site), **said)


def _back(request: Request, site: Site) -> str:
    """The page from which the form came, if that is one of ours."""
    _, _, rest = request.headers.get("referer", "").partition("://")
    host, slash, path = rest.partition("/")
    ours = bool(slash) and host == request.headers.get("host") and not path.startswith("/")
    return f"/{path}" if ours else site.url("/")


async def answer_schedule(request: Request) -> Response:
    """Pause, play, fire or remove a schedule."""
    return await _answered(request, _scheduled)


async def answer_limit(request: Request) -> Response:
    """Set or remove a limit."""
    return await _answered(request, _limited)


def _scheduled(site: Site, form: FormData) -> tuple[list[str], bool]:
    handle, verb = ScheduleHandle(str(form.get("name", "")), site.home), str(form.get("verb", ""))
    if verb == "pause":
        handle.pause(author=site.author)
        said = "paused"
    elif verb == "play":
        handle.play(author=site.author)
        said = "playing"
    elif verb == "trigger":
        said = f"process {handle.trigger(author=site.author).pid} was made"
    elif verb == "remove":
        handle.remove()
        said = "removed; what it has made goes on"
    else:
        raise Refused(f"{verb[:40]!r} is nothing that can be asked for here")
    return [f"{handle.name}: {said}"], False


def _limited(site: Site, form: FormData) -> tuple[list[str], bool]:
    name, slots, rate = (str(form.get(field, "")).strip() for field in ("name", "slots", "rate"))
    verb = str(form.get("verb", "set"))
    if verb == "remove":
        if not remove_limit(name, workspace=site.home):
            raise Refused(f"there is no limit {name[:200]!r}")
        return [f"{name} is removed"], False
    if verb != "set":
        raise Refused(f"{verb[:40]!r} is nothing that can be asked for here")
    if slots and not (slots.isdecimal() and len(slots) < 10):
        raise Refused(f"{slots[:40]!r} is no number of slots")
    set_limit(name, int(slots) if slots else None, rate=rate or None, workspace=site.home)
    return [f"{name} is set"], False
