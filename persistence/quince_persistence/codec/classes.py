"""The names under which the classes of stored values are found again. Nothing else is ever loaded."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Protocol


class ClassNames(Protocol):
    """Who names classes, and loads them by these names; the engine has one for each workspace."""

    def name_of(self, cls: Any, /) -> str:
        """The name under which another interpreter finds the class; raises if it would not."""

    def load(self, path: str, /) -> Any:
        """What has this name; raises if it cannot, or must not, be loaded."""

    def known(self, path: str, /) -> Any:
        """What has this name if it is loaded already, else None."""


class _Imported:
    """For when no finder is set: classes of modules that are imported already."""

    def name_of(self, cls: Any) -> str:
        if "<locals>" in cls.__qualname__:
            raise ValueError(f"{cls.__qualname__} is defined inside a function")
        return f"{cls.__module__}:{cls.__qualname__}"

    def load(self, path: str) -> Any:
        module, _, qualname = path.partition(":")
        if module not in sys.modules:
            raise ValueError(f"the module {module} is not imported here")
        return functools.reduce(getattr, qualname.split("."), sys.modules[module])

    known = load


_imported = _Imported()
_local = threading.local()
_known: list[weakref.ref[ClassNames]] = []


def find_classes_by(names: ClassNames) -> None:
    """From now on classes are named and loaded by this (as long as it lives), before all earlier ones."""
    _known.insert(0, weakref.ref(names))
    _known[:] = [ref for ref in _known if ref() is not None]


def name_of(cls: type) -> str:
    """The name of a class.

    Raises:
        ValueError: another interpreter would not find it; says why.
    """
    try:
        # A script has another name in each workspace's folder, and outside of them one for all.
        path = max((source.name_of(cls) for source in _sources()), key=lambda name: name.startswith("/"))
    except Exception as error:
        raise ValueError(f"its class is not found from outside: {error}") from error
    if _of_module(cls) is not cls:
        raise ValueError(
            f"its class is not found from outside: in {cls.__module__}, {cls.__qualname__} is something else"
        )
    return path


def load(path: str) -> Any:
    """The class of this name, from the first of the known finders that finds it.

    Raises:
        Exception: none does; the error of the first one.
    """
    if getattr(_local, "nothing_new", False):
        return _loaded(path)
    first: Exception | None = None
    for source in _sources():
        try:
            return source.load(path)
        except Exception as error:  # an import may fail in any way
            first = first or error
    assert first is not None
    raise first


@contextlib.contextmanager
def loading_nothing() -> Iterator[None]:
    """Inside the block, and on this thread, classes are unreadable that are not loaded yet."""
    _local.nothing_new = True
    try:
        yield
    finally:
        _local.nothing_new = False


def _loaded(path: str) -> Any:
    for source in _sources():
        found = source.known(path)
        if found is not None:
            return found
    raise ValueError("it is not loaded here yet")


def _sources() -> list[ClassNames]:
    alive = [names for ref in list(_known) if (names := ref()) is not None]
    return alive or [_imported]


def _of_module(cls: type) -> Any:
    try:
        return functools.reduce(getattr, cls.__qualname__.split("."), sys.modules[cls.__module__])
    except (KeyError, AttributeError):
        return None
