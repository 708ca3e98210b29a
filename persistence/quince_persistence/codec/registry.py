"""Types that others teach the codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Registered(NamedTuple):
    """How a type is made plain, and made again from that."""

    cls: type
    tag: str
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


_by_class: dict[type, Registered] = {}
_by_tag: dict[str, Registered] = {}


def register_type(
    cls: type[T], tag: str, to_plain: Callable[[T], Any], from_plain: Callable[[Any], T]
) -> None:
    """Teach the codec a type. Call it where the type is defined, so that a program that has one has this too.

    Args:
        cls: The type; its subclasses are not meant.
        tag: Its name in the store, for ever; for example `quince.child`.
        to_plain: Gives a value that can be saved (it may hold other registered types).
        from_plain: Makes it again. It meets whatever bytes are in the store: it must check them, and
            must not execute them.

    Raises:
        ValueError: the tag belongs to another type.
    """
    known = _by_tag.get(tag)
    if known is not None and _name(known.cls) != _name(cls):
        raise ValueError(
            f"the tag {tag!r} belongs to {_name(known.cls)}; choose another one for {_name(cls)}"
        )
    entry = Registered(cls, tag, to_plain, from_plain)
    _by_class[cls] = _by_tag[tag] = entry


def register_as(cls: type[T], other: type, to_plain: Callable[[T], Any]) -> None:
    """Write a type as another one that is registered, which it comes back as."""
    _by_class[cls] = _by_class[other]._replace(to_plain=to_plain)


def of_class(cls: type) -> Registered | None:
    return _by_class.get(cls)


def of_tag(tag: str) -> Registered | None:
    return _by_tag.get(tag)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
