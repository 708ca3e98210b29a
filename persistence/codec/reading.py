"""From bytes to the value. Bytes that nobody of us wrote are refused; none are executed."""

from __future__ import annotations

from typing import Any

import msgspec

from persistence.codec import arrays, registry
from persistence.codec.kinds import READERS, Code
from persistence.errors import Unreadable


def decode(data: bytes) -> Any:
    """The value that `encode` was given.

    Raises:
        Unreadable: these are not bytes of the codec, or a type in them is not registered here.
    """
    try:
        return _unpack(data)
    except Unreadable:
        raise
    except RecursionError as error:
        raise Unreadable("the stored bytes are nested too deeply") from error
    except Exception as error:  # garbage may fail in any reader in any way; its own error is kept
        raise Unreadable(f"the stored bytes cannot be read: {error}") from error


def _extension(code: int, data: memoryview) -> Any:
    plain = _unpack(data)
    if code == Code.REGISTERED:
        tag, value = plain
        registered = registry.of_tag(tag)
        if registered is None:
            raise Unreadable(
                f"the stored bytes hold a {tag!r}, which is not known here; "
                "import the module that registers it"
            )
        return registered.from_plain(value)
    if code == Code.ARRAY:
        return arrays.read_array(plain)
    if code == Code.SCALAR:
        return arrays.read_scalar(plain)
    reader = READERS.get(code)
    if reader is None:
        raise Unreadable(f"the stored bytes hold something of kind {code}, which this Quince does not know")
    return reader(plain)


_unpack = msgspec.msgpack.Decoder(ext_hook=_extension).decode
