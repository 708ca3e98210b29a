"""UUIDs on the wire: an extension type of msgpack, so that they arrive as what they were.

msgspec writes a UUID as text, or as 16 bytes, and lets nobody say otherwise. Both forms are recognisable:
what is text in one encoding of a body and bytes in the other, at the same place, is a UUID. So a body is
encoded a second time if something in it looks like the text of a UUID, and only then.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import msgspec

UUID_CODE = 2
"""The code of the extension type (Tarantool has the same); its data are the 16 bytes of the UUID."""

MARK = 0xD9
"""A byte that is in every message with a UUID, as an ordinary encoder writes it; most small ones lack it."""

_AS_TEXT = re.compile(rb"\xd9\x24[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AS_BYTES = b"\xc4\x10"
_AS_EXTENSION = bytes([0xD8, UUID_CODE])
_SHORTER = 20
"""Bytes by which a UUID is shorter as bytes than as text. As an extension it is as long as bytes."""

_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")


def with_uuids(encoded: bytes, source: Any) -> bytes:
    """What msgspec has encoded, with the UUIDs in it as such.

    Args:
        encoded: As an ordinary encoder writes it.
        source: What was encoded.

    Raises:
        RuntimeError: another thread has changed it meanwhile.
    """
    if _AS_TEXT.search(encoded) is None:
        return encoded
    shorter = _encoder.encode(source)
    if len(shorter) == len(encoded):
        return encoded  # it is text that looks like that
    rewritten = bytearray(shorter)
    saved = 0
    for text in _AS_TEXT.finditer(encoded):
        start = text.start() - saved
        if rewritten[start : start + 2] == _AS_BYTES:
            rewritten[start : start + 2] = _AS_EXTENSION
            saved += _SHORTER
    if saved != len(encoded) - len(shorter):
        raise RuntimeError("the message was changed by another thread while it was being sent")
    return bytes(rewritten)


def read_extension(code: int, data: memoryview) -> uuid.UUID:
    """The value of an extension type. Raises ValueError for one that is not a UUID."""
    if code != UUID_CODE:
        raise ValueError(f"extension type {code} of msgpack is unknown here")
    return uuid.UUID(bytes=bytes(data))
