"""Which processes are asked for the same: their class, version, source and inputs name what they compute."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from quince.processes.bases import attribute_of
from quince.processes.child import TAG
from quince.processes.options import Wishes
from quince_persistence.codec import digest_of

CACHE = "cache"
"""The attribute of a class of which that is wanted."""
Revision = Callable[[str], str | None]
"""The revision of the code of a class path; None: it has none, and nothing of it is cached."""
Origin = Callable[[int], int]
"""The process that has computed the outputs of this one: itself, or where it has them from."""


def is_wanted(cls: Any, wishes: Wishes) -> bool:
    """Whether the outputs of one that ended well with the same inputs may be taken for those of a new one."""
    return wishes.cache if wishes.cache is not None else attribute_of(cls, CACHE) is True


def cache_key(
    class_path: str, version: str, inputs: bytes, *, revision: Revision, origin: Origin
) -> str | None:
    """Names what a process computes; None: its class has no source that could be compared.

    Args:
        inputs: Blob of all of them. A process among them counts as the one that has computed its outputs.
    """
    code = revision(class_path)
    return None if code is None else f"{code}:{asked_for(class_path, version, inputs, origin=origin)}"


def asked_for(class_path: str, version: str, inputs: bytes, *, origin: Origin) -> str:
    """Names what a process computes, of a code that is not known yet."""

    def stands_for(tag: str, plain: Any) -> Any:
        return [origin(plain[0])] if tag == TAG else plain

    digest = hashlib.sha256()
    for word in (class_path, str(version), digest_of(inputs, stands_for)):
        digest.update(b"%d:%s" % (len(word.encode()), word.encode()))
    return digest.hexdigest()
