"""From bytes to the value. Bytes that the codec did not write are refused; none are executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from quince_persistence.codec import arrays, frames, instances, registry, standard
from quince_persistence.codec.folding import refuse_folded
from quince_persistence.codec.kinds import READERS, Code, Shape
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.codec.unreadable import UnreadableValue
from quince_persistence.errors import Unreadable

_REFERRING = frozenset({int(Code.SHARED), int(Code.REF)})
_INSTANCE, _REGISTERED = int(Code.INSTANCE), int(Code.REGISTERED)
Bytes = bytes | memoryview | msgspec.Raw


def decode(data: Bytes) -> Any:
    """The value that `encode` was given.

    What cannot be made again here (its class is gone, a library is not installed) is an `UnreadableValue` at
    its place, and all else is there.

    Raises:
        Unreadable: these are not bytes of the codec.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        refuse_folded(data)
        raise Unreadable(f"the stored bytes cannot be read: {error}") from error
    except Unreadable:
        raise
    except RecursionError as error:
        raise Unreadable("the stored bytes are nested too deeply") from error
    except Exception as error:  # garbage may fail in any way; its own error is kept
        raise Unreadable(f"the stored bytes cannot be read: {error}") from error


def _decode(data: Bytes) -> Any:
    try:
        return _unpack(data)
    except _Refers:
        return _Reading().all(data)


class _Refers(Exception):
    """Some of it refers to other parts of it: it is read by a `_Reading`."""


def _extension(code: int, data: memoryview) -> Any:
    if code in _REFERRING:
        raise _Refers
    return _made(code, data, _unpack)


class _Reading:
    """Reads one value whose parts refer to each other."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}
        self._unpack = msgspec.msgpack.Decoder(ext_hook=self._extension).decode

    def all(self, data: Bytes) -> Any:
        try:
            return self._unpack(data)
        finally:
            del self._unpack  # it refers to this

    def _extension(self, code: int, data: memoryview) -> Any:
        if code == Code.REF:
            return self._known[_unpack(data)]
        if code == Code.SHARED:
            number, shape, content = _head(data)
            return self._shared(number, shape, content.data)
        return _made(code, data, self._unpack)

    def _shared(self, number: int, shape: str, data: memoryview) -> Any:
        if shape == Shape.LIST:
            items = self._known[number] = []
            items.extend(self._unpack(data))
            return items
        if shape == Shape.DICT:
            values = self._known[number] = {}
            values.update(self._unpack(data))
            return values
        inner = _head(data)
        if isinstance(inner, msgspec.msgpack.Ext) and inner.code == Code.INSTANCE:
            return _instance(inner.data, self._unpack, lambda made: self._known.update({number: made}))
        self._known[number] = made = self._unpack(data)
        return made


def _made(code: int, data: memoryview, unpack: Callable[[Any], Any]) -> Any:
    """What an extension stands for."""
    if code == _INSTANCE:
        return _instance(data, unpack, lambda _: None)
    # What is registered refers to nothing outside of itself.
    plain = unpack(data) if code != _REGISTERED or unpack is _unpack else _decode(data)
    try:
        reader = READERS.get(code)
        return _value(code, plain) if reader is None else reader(plain)
    except RecursionError:
        raise
    except Exception as error:  # whatever a reader, a class or an import says
        if is_temporary(error):
            raise
        return UnreadableValue(code, plain, _kind(code, plain), _words(error))


def _value(code: int, plain: Any) -> Any:
    match code:
        case Code.REGISTERED:
            tag, state = plain
            registered = registry.of_tag(tag)
            if registered is None:
                raise ValueError("nothing here has registered it; import the module that does")
            return registered.from_plain(state)
        case Code.ARRAY:
            return arrays.read_array(plain)
        case Code.SCALAR:
            return arrays.read_scalar(plain)
        case Code.STANDARD:
            return standard.read(*plain)
        case Code.ENUM:
            return instances.load_enum(*plain)
        case Code.FRAME:
            return frames.read(plain)
    raise ValueError("this Quince does not know it; a newer one wrote it")


def _instance(data: Any, unpack: Callable[[Any], Any], begun: Callable[[Any], None]) -> Any:
    """An instance of a class; `begun` is given it before its content is read."""
    family, path, names, declared, content = _head(data)
    head = (family, path, names, declared)
    try:
        plan = instances.load(path, family)
        plan.check(names, declared)
        if plan.family == "namedtuple":
            made = plan.tuple(names, unpack(content.data))
            begun(made)
            return made
        made = plan.new()
    except (RecursionError, msgspec.DecodeError, _Refers):
        raise
    except Exception as error:  # as above
        if is_temporary(error):
            raise
        unreadable = UnreadableValue(Code.INSTANCE, head, str(path), _words(error))
        begun(unreadable)
        unreadable._quince_plain = (*head, unpack(content.data))
        return unreadable
    begun(made)
    return plan.fill(made, names, unpack(content.data))


def _kind(code: int, plain: Any) -> str:
    """In words."""
    if code in (Code.REGISTERED, Code.STANDARD, Code.ENUM) and isinstance(plain, list) and plain:
        return str(plain[0])
    if code == Code.FRAME:
        return "value of pandas"
    try:
        return Code(code).name.lower()
    except ValueError:
        return f"value of kind {code}"


def _words(error: Exception) -> str:
    text = str(error)
    return text if type(error) is ValueError and text else f"{type(error).__name__}: {text}"


def parts(data: bytes) -> dict[str, msgspec.Raw]:
    """What `encode_each` was given, each value as bytes for `decode`.

    Raises:
        Unreadable: these are no bytes of a dict.
    """
    try:
        return _unpack_parts(data)
    except Exception as error:
        refuse_folded(data)
        raise Unreadable(f"the stored bytes cannot be read: {error}") from error


_head = msgspec.msgpack.Decoder().decode
_unpack = msgspec.msgpack.Decoder(ext_hook=_extension).decode
_unpack_parts = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
