"""A digest of what bytes of the codec mean: the same for equal values, however dicts and sets were made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from quince_persistence.codec.kinds import Code

Replace = Callable[[str, Any], Any]
"""Given the tag and the plain value of something of a registered type: a plain value that stands for it."""

_UNORDERED = frozenset({int(Code.SET), int(Code.FROZENSET)})
_unpack = msgspec.msgpack.Decoder().decode


def digest_of(blob: bytes, replace: Replace = lambda tag, plain: plain) -> str:
    """Hexadecimal digits that two values share if they are equal and of the same types.

    Two names for one list count as two lists that are equal.
    """
    return _Digesting(replace).of(_unpack(blob)).hex()


class _Digesting:
    def __init__(self, replace: Replace) -> None:
        self._replace = replace
        self._shared: dict[int, bytes] = {}

    def of(self, value: Any) -> bytes:
        if isinstance(value, dict):
            return _hashed(b"dict", sorted(self.of(key) + self.of(item) for key, item in value.items()))
        if isinstance(value, list):
            return _hashed(b"list", map(self.of, value))
        if isinstance(value, msgspec.msgpack.Ext):
            return self._extension(value.code, value.data)
        if isinstance(value, str):
            return _hashed(b"str", [value.encode()])
        if isinstance(value, bytes):
            return _hashed(b"bytes", [value])
        return _hashed(type(value).__name__.encode(), [repr(value).encode()])

    def _extension(self, code: int, data: Any) -> bytes:
        plain = _unpack(data)
        match code:
            case Code.SHARED:
                number, _, content = plain
                self._shared[number] = b"itself"
                self._shared[number] = made = self.of(_unpack(content.data))
                return made
            case Code.REF:
                return self._shared[plain]
            case Code.MAP:
                pairs = zip(plain[::2], plain[1::2], strict=True)
                return _hashed(b"map", sorted(self.of(key) + self.of(item) for key, item in pairs))
            case Code.REGISTERED:
                plain = [plain[0], self._replace(plain[0], plain[1])]
        parts = map(self.of, plain) if isinstance(plain, list) else [self.of(plain)]
        return _hashed(b"%d" % code, sorted(parts) if code in _UNORDERED else parts)


def _hashed(kind: bytes, parts: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256(kind)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()
