"""URLs for messages and logs, wrong ones too: never with what could be a password.

`quince_messaging` and `quince_persistence` may not import each other, so each has this file; a test keeps the
two the same.
"""

from __future__ import annotations

import re

HIDDEN = "***"
_PATHS = re.compile(r"(?i)(local|memory):|sqlite:///|sqlite://$")
"""URLs that name files and folders: nothing in them is a password."""

_OPTION = re.compile(r"(?i)([?&;#][^?&;#=]*(?:passw|pwd|secret|token)[^?&;#=]*=)[^&]*")
_COLON = re.compile(r"(?i):|%3a")


def without_password(url: str) -> str:
    """The URL with everything hidden that may be meant as a password.

    Everything before the last `@` may be, whatever characters it has that should have been escaped (`%40`);
    and where there is no `@`, a port that is not a number.
    """
    if _PATHS.match(url):
        return url
    url = _OPTION.sub(rf"\1{HIDDEN}", url)
    head, separator, rest = url.partition("://" if "://" in url else ":")
    credentials, at, place = rest.rpartition("@")
    if separator == ":":  # nothing tells where the password begins
        certain = not at and ":" not in rest and (rest.startswith("/") or head == "sqlite")
        return url if certain else f"{head}:{HIDDEN}{at}{place if at else ''}"
    if not at and _is_port(rest):
        return url
    user, *password = _COLON.split(credentials if at else rest, maxsplit=1)
    return f"{head}{separator}{user}{f':{HIDDEN}' if password else ''}{at}{place if at else ''}"


def _is_port(rest: str) -> bool:
    """Whether what follows the host, if there is a colon, is a number."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return re.fullmatch(r"(\[[^]]*\]|[^:[]*)(:\d*)?", authority) is not None
