"""Large parts of encoded values, taken out: each is known by a digest of its bytes, and kept once.

`encode` marks where large parts stand in its bytes; a store, or whoever hands bytes to one, folds these: what
is left refers to the parts. Any piece of the bytes may be such a part: to unfold is to put pieces in a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from quince_persistence.errors import Unreadable

LEAST = 32_768
"""Bytes of a part; what has less stays where it is."""

FOLDED = 0xC1
"""With this byte, which msgpack never uses, folded bytes begin."""

_BEGIN, _BROKEN = b"\xc1", b"\xc1\xc1"
_PREFIX = 64
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes | tuple[bytes, int]]).decode


class Marked(bytes):
    """Encoded bytes that are to be folded.

    Attributes:
        cuts: Where its large parts begin and end, in their order.
    """

    cuts: Sequence[tuple[int, int]]


def marked(data: bytes, cuts: Iterable[tuple[int, int]]) -> bytes:
    """The data, with the places of those parts that are large enough and lie beside each other."""
    kept: list[tuple[int, int]] = []
    for begin, end in sorted(cuts):
        if end - begin >= LEAST and end <= len(data) and (not kept or begin >= kept[-1][1]):
            kept.append((begin, end))
    if not kept:
        return data
    whole = Marked(data)
    whole.cuts = kept
    return whole


def cuts_of(blob: bytes) -> Sequence[tuple[int, int]]:
    """Where its large parts begin and end, if it is marked."""
    return blob.cuts if type(blob) is Marked else ()


def places(data: bytes, parts: Sequence[Any]) -> list[tuple[int, int]]:
    """Where the parts (bytes or texts) stand in the data, if they were packed into it in this order."""
    found: list[tuple[int, int]] = []
    after = 0
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        whole = _pack(part)
        head = len(whole) - len(raw)
        at = data.find(whole[: head + _PREFIX], after)
        if at >= 0:
            after = at + len(whole)
            found.append((at + head, after))
    return found


def fold(blob: bytes, contents: MutableMapping[str, bytes]) -> bytes:
    """The bytes without their large parts.

    Args:
        contents: The parts are put here, by their digests.
    """
    if type(blob) is not Marked:
        return blob
    pieces: list[Any] = []
    at = 0
    view = memoryview(blob)
    for begin, end in blob.cuts:
        if begin > at:
            pieces.append(bytes(view[at:begin]))
        digest = hashlib.sha256(view[begin:end])
        if digest.hexdigest() not in contents:
            contents[digest.hexdigest()] = bytes(view[begin:end])
        pieces.append((digest.digest(), end - begin))
        at = end
    if at < len(blob):
        pieces.append(bytes(view[at:]))
    return _BEGIN + _pack(pieces)


def is_folded(blob: bytes | None) -> bool:
    """Whether parts of it stand elsewhere."""
    return blob is not None and blob[:1] == _BEGIN


def digests(blob: bytes | None) -> list[str]:
    """Those of the parts that stand elsewhere; none of bytes that cannot be read, which `decode` refuses."""
    if not is_folded(blob):
        return []
    try:
        return [piece[0].hex() for piece in _pieces(blob) if isinstance(piece, tuple)]
    except Unreadable:
        return []


def length(blob: bytes) -> int:
    """How many bytes it has with all its parts."""
    if not is_folded(blob) or blob[:2] == _BROKEN:
        return len(blob)
    try:
        return sum(piece[1] if isinstance(piece, tuple) else len(piece) for piece in _pieces(blob))
    except Unreadable:
        return len(blob)


def unfold(blob: bytes, contents: Mapping[str, bytes]) -> bytes:
    """The bytes with all their parts. If one is not there, or is damaged, bytes that `decode` refuses with a
    sentence about that.

    Args:
        contents: By digest; each has been looked at by `sound`.
    """
    if not is_folded(blob):
        return blob
    try:
        pieces = _pieces(blob)
    except Unreadable as error:
        return broken(str(error))
    whole: list[bytes] = []
    for piece in pieces:
        if not isinstance(piece, tuple):
            whole.append(piece)
            continue
        digest, size = piece
        part = contents.get(digest.hex())
        if part is None or len(part) != size:
            return broken(f"a part of {size} bytes is missing in the store, or damaged ({digest.hex()[:12]})")
        whole.append(part)
    return b"".join(whole)


def sound(digest: str, part: bytes) -> bool:
    """Whether the bytes are those of the digest."""
    return hashlib.sha256(part).hexdigest() == digest


def broken(reason: str) -> bytes:
    """In the place of bytes that cannot be put together."""
    return _BROKEN + reason.encode()


def refuse_folded(blob: Any) -> None:
    """Nothing that is folded can be read.

    Raises:
        Unreadable: it is; says why.
    """
    if len(blob) and blob[0] == FOLDED:
        said = bytes(blob)[len(_BROKEN) :].decode(errors="replace") if bytes(blob[:2]) == _BROKEN else ""
        raise Unreadable(f"the stored value is not whole: {said or 'its large parts are kept elsewhere'}")


def _pieces(blob: bytes | None) -> list[bytes | tuple[bytes, int]]:
    try:
        return _unpack(memoryview(blob or b"")[1:])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Unreadable(f"the stored bytes cannot be read: {error}") from error
