"""Errors that come from a shortage of the machine, not from what failed: memory, descriptors, a disk."""

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
"""Of the system when it cannot do it now: descriptors, memory, disks and networks come back."""

_LINKER = (
    *map(os.strerror, ERRNOS),
    "failed to map segment",
    "cannot allocate memory",
    "can't start new thread",
)


def is_temporary(error: BaseException) -> bool:
    """Whether the same may succeed when it is tried again, though nothing has been mended.

    The cause and the context of the error count too: users' code wraps the errors that it meets.
    """
    return any(_is_temporary(one) for one in _chain(error))


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in ERRNOS
    if isinstance(error, (ImportError, RuntimeError)):  # the dynamic linker gives a text alone
        return any(text in str(error) for text in _LINKER)
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
