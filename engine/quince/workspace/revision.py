"""The revision of a class's code: a hash of its file and of those files of users that this imports.

It is read off the files, and nothing is imported. What is installed does not belong to it, but for a class
that is installed itself; what a file imports by other means than `import` is not found.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from quince.workspace.sources import is_installed, is_library
from quince.workspace.user_modules import within_packages

MOST_FILES = 2_000

_NAMES = r"\([^)]*\)|[^\n;#]*"
_IMPORT = re.compile(
    r"(?m)(?:^|[;:])[ \t]*"
    rf"(?:from[ \t]+(\.*)[ \t]*([\w.]*)[ \t]+import[ \t]*({_NAMES})|import[ \t]+({_NAMES}))"
)


def revision_of(class_path: str, folder: Path) -> str | None:
    """The revision of a class, as its files are now: twelve hexadecimal digits. None: it has no file."""
    file = file_of_class(class_path, folder)
    if file is None:
        return None
    digest = hashlib.blake2b(digest_size=6)
    for name, text in sorted(_texts(file, folder).items()):
        digest.update(b"%s\0%d\0%s" % (name.encode(errors="surrogateescape"), len(text), text))
    return digest.hexdigest()


def files_of(class_path: str, folder: Path) -> list[Path]:
    """The files of which the revision of a class is made."""
    file = file_of_class(class_path, folder)
    return [] if file is None else [Path(name) for name in _texts(file, folder, absolute=True)]


def file_of_class(class_path: str, folder: Path) -> Path | None:
    """The file of the module that a class path names."""
    module = class_path.rpartition(":")[0]
    if module.endswith(".py"):
        file = (folder / module).resolve()
        return file if file.is_file() else None
    found = _Folders([folder, *map(Path, sys.path)]).files(module)
    return found[-1][1] if found and found[-1][0] == module else None


def _texts(file: Path, folder: Path, *, absolute: bool = False) -> dict[str, bytes]:
    """What stands in a class's file, and in those that it imports, by their names."""
    root, _ = within_packages(file)
    own = [path for path in sys.path if path and not is_library(path) and not path.endswith("-packages")]
    folders = _Folders([*([] if is_installed(str(file)) else [root, folder]), *map(Path, own)])
    texts: dict[str, bytes] = {}
    to_read = [(file.name, file)]
    seen = {file}
    while to_read and len(texts) < MOST_FILES:
        name, one = to_read.pop()
        try:
            text = one.read_bytes()
        except OSError:
            continue
        texts[str(one) if absolute else name] = text
        for dotted, base in _imported(text.decode(errors="replace"), one):
            for found in folders.files(dotted, base):
                if found[1] not in seen and not is_installed(str(found[1])):
                    seen.add(found[1])
                    to_read.append(found)
    return texts


def _imported(text: str, file: Path) -> Iterator[tuple[str, Path | None]]:
    """The names of modules that a file may import, each with the folder that it is relative to, if it is."""
    for match in _IMPORT.finditer(text):
        dots, module, names, modules = match.groups()
        if modules is not None:
            for one in modules.split(","):
                yield one.split(" as ")[0].strip(), None
            continue
        base = file.parents[len(dots) - 1] if 0 < len(dots) <= len(file.parents) else None
        if module:
            yield module, base
        for one in names.strip("() \t\n\\").split(","):
            if name := one.split(" as ")[0].strip():
                yield f"{module}.{name}" if module else name, base


class _Folders:
    """Where modules are sought, one folder after the other. Each is listed once."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = list(dict.fromkeys(roots))
        self._listed: dict[Path, frozenset[str]] = {}

    def files(self, dotted: str, base: Path | None = None) -> list[tuple[str, Path]]:
        """The files of a module and of the packages in which it lies, with their names.

        Args:
            base: In this folder, and in no other one.
        """
        if base is not None:
            return list(self._within(base, dotted))
        if dotted.partition(".")[0] in sys.stdlib_module_names:
            return []
        return next(filter(None, (list(self._within(root, dotted)) for root in self._roots)), [])

    def _within(self, folder: Path, dotted: str) -> Iterator[tuple[str, Path]]:
        parts = dotted.split(".")
        for count, part in enumerate(parts, 1):
            there, name = self._entries(folder), ".".join(parts[:count])
            if part in there and "__init__.py" in self._entries(folder / part):
                yield name, folder / part / "__init__.py"
            elif f"{part}.py" in there:
                yield name, folder / f"{part}.py"
                return
            elif part not in there:
                return
            folder /= part

    def _entries(self, folder: Path) -> frozenset[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder))  # noqa: PTH208
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]
