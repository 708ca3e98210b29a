"""The source files of users that this interpreter has imported, and whether they are still as they were read.

What is installed counts as a whole: a folder of packages changes when one of them is installed or removed.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from types import CodeType, ModuleType

RACY_SECONDS = 2.0
"""A compiled file tells of its source the second in which that was written, and its size: one that is not so
much younger than its source may be that of an earlier text."""

Signature = tuple[int, int] | None
"""When a file was written (ns), and its size; None: it is not there."""

_LIBRARY = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})
_IN_LIBRARY = tuple(path + os.sep for path in _LIBRARY)
OURS = tuple(
    str(Path(str(spec.origin)).parent) + os.sep
    for name in ("quince", "quince_messaging", "quince_persistence")
    if (spec := find_spec(name)) is not None
)
"""The folders of our packages, each with a slash at its end."""

_read: dict[str, Signature] = {}


class SourceLoader(SourceFileLoader):
    """Loads a module of users as its file is now, and remembers how that was."""

    def get_code(self, fullname: str) -> CodeType | None:
        note(self.path)
        return super().get_code(fullname)

    def path_stats(self, path: str) -> dict[str, float]:
        """As the base class; an OSError makes that read and write no compiled file."""
        found: dict[str, float] = dict(super().path_stats(path))
        try:
            compiled = Path(cache_from_source(path)).stat().st_mtime
        except OSError:
            compiled = time.time()
        if compiled - found["mtime"] < RACY_SECONDS:
            raise OSError(f"{path} has been written too recently for a compiled file")
        return found


class SourceFinder(MetaPathFinder):
    """Finds modules as Python does for a script, but for the standard library, which comes first.

    Args:
        folders: Of users; they come first on `sys.path`, in this order, as the folder of a script does.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = list(dict.fromkeys(folders))
        self._library = [path for path in sys.path if is_library(path)]

    def install(self) -> None:
        """Have this interpreter import so, from now on."""
        sys.path[:] = [*self._folders, *(path for path in sys.path if path not in self._folders)]
        sys.meta_path.insert(0, self)
        for path in sys.path:
            if path.endswith("-packages"):
                note(path)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = self._in_library(name) if path is None and name in sys.stdlib_module_names else None
        spec = spec or self._elsewhere(name, path, target)
        if spec is None or not spec.has_location or spec.origin is None or is_installed(spec.origin):
            return spec
        note(spec.origin)
        if type(spec.loader) is SourceFileLoader:
            spec.loader = SourceLoader(name, spec.origin)
        return spec

    def _in_library(self, name: str) -> ModuleSpec | None:
        return (
            BuiltinImporter.find_spec(name)
            or FrozenImporter.find_spec(name)
            or PathFinder.find_spec(name, self._library)
        )

    def _elsewhere(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is not self and find is not None and (spec := find(name, path, target)) is not None:
                found: ModuleSpec = spec
                return found
        return None


def note(file: str) -> None:
    """It is being read, as it is now."""
    if file not in _read:
        _read[file] = _signature(file)


def changed() -> list[str]:
    """What is not as it was when it was read here first."""
    return [file for file, before in _read.items() if _signature(file) != before]


def is_library(path: str) -> bool:
    """Whether this is a file or folder of the standard library."""
    return "-packages" not in path and (path in _LIBRARY or path.startswith(_IN_LIBRARY))


def is_installed(path: str) -> bool:
    """Whether this file is of the standard library, or in a folder of installed packages, or ours."""
    return "/site-packages/" in path or "/dist-packages/" in path or path.startswith(OURS) or is_library(path)


def _signature(file: str) -> Signature:
    try:
        found = os.stat(file)  # noqa: PTH116 (called for each file of each process)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size
