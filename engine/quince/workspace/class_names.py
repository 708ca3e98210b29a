"""How a class may be called by whoever looks for its processes: in every way in which it is submitted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from quince.workspace.user_modules import file_behind, names_of_file


def class_paths(word: str, folder: Path) -> tuple[str, ...]:
    """The class paths that a word may mean, whether there are such classes or not. Nothing is imported.

    Args:
        word: `module:Class`, `file.py:Class` (from the current folder, or from that of the workspace), or the
            name of the class alone, which stands for itself.
    """
    module, colon, name = word.rpartition(":")
    if not colon:
        return (word,)
    try:
        places = {module, *_places(module, folder)}
    except (OSError, ValueError, RuntimeError):  # what no file can be called
        places = {module}
    return tuple(f"{place}:{name}" for place in sorted(places))


def _places(module: str, folder: Path) -> Iterator[str]:
    if not module.endswith(".py") and "/" not in module:
        yield f"{module.replace('.', '/')}.py"
        if (file := file_behind(module, Path.cwd())) is not None:
            yield from names_of_file(file.resolve(), folder)
        return
    plain = Path(os.path.normpath(Path(module).expanduser()))
    yield plain.as_posix()
    yield plain.with_suffix("").as_posix().replace("/", ".")
    for base in (Path.cwd(), folder):
        yield from names_of_file((base / plain).resolve(), folder)
