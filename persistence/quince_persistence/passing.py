"""Failures that say nothing about what failed: the machine was short of something, and may not be soon."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

ERRNOS = frozenset(
    {
        errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNRESET, errno.EDQUOT, errno.EHOSTDOWN,
        errno.EHOSTUNREACH, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENETDOWN, errno.ENETUNREACH,
        errno.ENFILE, errno.ENOBUFS, errno.ENOLCK, errno.ENOMEM, errno.ENOSPC, errno.ENOTCONN,
        errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT, errno.ETXTBSY,
    }
)  # fmt: skip
"""What the system says when it cannot now: descriptors, memory, disks and networks come back."""

_LINKER = (
    *map(os.strerror, ERRNOS),
    "failed to map segment",
    "cannot allocate memory",
    "can't start new thread",
)


def is_passing(error: BaseException) -> bool:
    """It may not fail when it is tried again, though nobody has mended anything.

    What it was raised from, or in the handling of, counts too: code of users wraps what it meets.
    """
    return any(_passes(one) for one in _chain(error))


def _passes(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in ERRNOS
    if isinstance(error, (ImportError, RuntimeError)):  # of the dynamic linker there is a text alone
        return any(said in str(error) for said in _LINKER)
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
