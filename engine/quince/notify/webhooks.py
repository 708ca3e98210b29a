"""Telling a web service: what has happened is posted as JSON."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from email.message import Message as Headers
from pathlib import Path
from typing import Any

import msgspec

from quince.notify.failures import NotSent
from quince.notify.messages import Message
from quince.text import in_line
from quince.workspace.receivers import Receiver, filled_in

ANSWER = 1000
"""Bytes of an answer that are read."""
LONGEST_PAUSE = 3600.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is posted goes where `quince.toml` says, with its secrets, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def tell(receiver: Receiver, message: Message, _folder: Path) -> None:
    """Post it. The header `Idempotency-Key` names it: what comes twice has the same one.

    Raises:
        NotSent: nobody answers, or not with a status of 200 to 299.
        LacksVariable: a variable is not set.
    """
    url = filled_in(receiver.webhook or "", os.environ)
    if not url.startswith(("http://", "https://")):
        raise NotSent("its URL is none of http or https")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "quince",
        "Idempotency-Key": message.id,
        **{name: filled_in(value, os.environ) for name, value in receiver.headers.items()},
    }
    request = urllib.request.Request(url, msgspec.json.encode(message.document), headers, method="POST")
    try:
        with _opener.open(request, timeout=receiver.timeout) as answer:
            answer.read(ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(ANSWER).decode(errors="replace").strip()
        raise NotSent(
            f"the webhook answered {error.code}{f': {in_line(said)}' if said else ''}",
            after=_pause(error.headers),
        ) from None
    except urllib.error.URLError as error:
        raise NotSent(f"the webhook does not answer: {in_line(str(error.reason))}") from None
    except TimeoutError:
        raise NotSent(f"the webhook has not answered within {receiver.timeout:g} s") from None


def _pause(headers: Headers) -> float | None:
    """For how many seconds it asks to be left alone."""
    said = headers.get("Retry-After", "")
    return min(float(said), LONGEST_PAUSE) if said.isdecimal() else None
