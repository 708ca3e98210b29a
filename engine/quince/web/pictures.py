"""Pictures among the values: files of pictures, and arrays that are one."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
LARGEST = 20_000_000
"""Bytes of a file that is shown."""
SMALLEST, WIDEST = 12, 480
"""An array of fewer rows or columns is a table; one of more is made smaller."""
_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""From the lowest value to the highest (of the map `viridis`)."""


@dataclass(frozen=True)
class Picture:
    """A picture as a browser takes it.

    Attributes:
        said: What it is, in words.
    """

    media_type: str
    content: bytes
    said: str


def picture_of(value: Any) -> Picture | None:
    """The picture that a value is; None if it is none."""
    if isinstance(value, (bytes, bytearray)):
        return _of_file(bytes(value)) if len(value) <= LARGEST else None
    shape = getattr(value, "shape", ())
    if hasattr(value, "dtype") and len(shape) in (2, 3) and min(shape[:2]) >= SMALLEST:
        return _of_array(value, shape)
    return None


def _of_file(content: bytes) -> Picture | None:
    for magic, kind in _MAGIC.items():
        if content.startswith(magic):
            return Picture(
                kind, content, f"picture ({kind.partition('/')[2].upper()}, {len(content):,} bytes)"
            )
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return Picture("image/webp", content, f"picture (WebP, {len(content):,} bytes)")
    return None


def _of_array(value: Any, shape: tuple[int, ...]) -> Picture | None:
    step = max(1, math.ceil(max(shape[:2]) / WIDEST))
    small = value[::step, ::step]
    said = f"{type(value).__name__} of {value.dtype}, {' × '.join(f'{length:,}' for length in shape)}"
    if len(shape) == 3:
        if shape[2] not in (3, 4) or str(value.dtype) != "uint8":
            return None
        content = _png(small.tobytes(), small.shape[1], small.shape[0], {3: 2, 4: 6}[shape[2]], shape[2])
        return Picture("image/png", content, said)
    if value.dtype.kind not in "iufb":
        return None
    numbers = [float(one) for one in small.ravel().tolist()]
    finite = [one for one in numbers if math.isfinite(one)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    table = [_colour(n / 255) for n in range(256)]
    pixels = b"".join(
        table[int(255 * (one - low) / ((high - low) or 1.0))] if math.isfinite(one) else b"\x80\x80\x80"
        for one in numbers
    )
    said += f" · {low:.5g} (dark) to {high:.5g} (bright)"
    return Picture("image/png", _png(pixels, small.shape[1], small.shape[0], 2, 3), said)


def _colour(share: float) -> bytes:
    place = share * (len(_COLOURS) - 1)
    index = min(int(place), len(_COLOURS) - 2)
    part = place - index
    return bytes(
        round(one + (other - one) * part)
        for one, other in zip(_COLOURS[index], _COLOURS[index + 1], strict=True)
    )


def _png(pixels: bytes, width: int, height: int, kind: int, depth: int) -> bytes:
    """A PNG file of eight bits a channel.

    Source: https://www.w3.org/TR/png-3/ (signature, IHDR, IDAT, IEND).
    """
    row = width * depth
    lines = b"".join(b"\0" + pixels[n * row : (n + 1) * row] for n in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
