"""Whether two pieces of encoded bytes mean the same."""

from __future__ import annotations

from typing import Any

import msgspec

from quince_persistence.codec.kinds import Code


def same(one: bytes, other: bytes) -> bool:
    """Whether both were made by `encode` from equal values: sets have no order, all else has."""
    return one == other or repr(_unpack(one)) == repr(_unpack(other))


def _extension(code: int, data: memoryview) -> Any:
    plain = _unpack(data)
    if code in {Code.SET, Code.FROZENSET}:
        plain = sorted(map(repr, plain))
    return (code, plain)


_unpack = msgspec.msgpack.Decoder(ext_hook=_extension).decode
