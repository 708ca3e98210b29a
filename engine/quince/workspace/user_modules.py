"""Importing modules of users, by their name or by their file."""

from __future__ import annotations

import importlib.util
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from quince import import_order
from quince.errors import UnloadableClass
from quince.workspace.sources import SourceLoader

_FORMER_NAMES = {
    "engine": "quince", "messaging": "quince_messaging", "persistence": "quince_persistence"
}  # fmt: skip
_by_file: set[str] = set()


def is_known_by_file(name: str) -> bool:
    """Whether this module was imported by its file: another interpreter may not find it by its name."""
    return name in _by_file


def import_file(file: Path) -> ModuleType:
    """Import a script by its path, once. Its folder becomes importable, before other folders of users, as
    when it is run: modules that are called alike in two such folders do not get into each other's way.

    Raises:
        UnknownTarget: there is no such file.
    """
    file = file.resolve()
    root, dotted = within_packages(file)
    for module in (sys.modules.get("__main__"), sys.modules.get(dotted)):
        if module is not None and file_of(module) == file:
            return module
    if not file.is_file():
        raise UnloadableClass(f"there is no file {file}")
    name = _name_for(file)
    with found_first_in(root):
        return _import_from_package(file, dotted) if dotted != file.stem else _import_script(file, name)


def _import_script(file: Path, name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file, loader=SourceLoader(name, str(file)))
    if spec is None or spec.loader is None:
        raise UnloadableClass(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _by_file.add(name)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _name_for(file: Path) -> str:
    """Under which the module of a script is known here: that of its file, even if it is no Python name (a
    program that it starts finds it by that), unless something else has it."""
    name = file.stem.replace(".", "_")
    if name == file.stem and not _is_taken(name):
        return name
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', name)}_{zlib.crc32(bytes(file)):x}"


@contextmanager
def found_first_in(root: Path) -> Iterator[None]:
    """What is imported meanwhile is sought in this folder before other folders of users.

    Modules of those that stand in the way are set aside, and come back afterwards. A folder that was not
    importable is from now on, before the others.
    """
    folder = str(root)
    if folder not in sys.path:
        import_order.add(folder, first=True)
    added = import_order.added()
    others = {*added} - {folder}
    first = min((sys.path.index(one) for one in added if one in sys.path), default=0)
    moved = folder in added and sys.path[first] != folder
    if moved:
        behind = sys.path[sys.path.index(folder) + 1 :]
        sys.path.remove(folder)
        sys.path.insert(first, folder)
    imported = list(sys.modules.items()) if others else []  # a look at all costs a step host 3 MB of its own
    aside = {
        name: module for name, module in imported if _stands_in_the_way(name.partition(".")[0], root, others)
    }
    for name in aside:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(aside)
        if moved and folder in sys.path:
            sys.path.remove(folder)
            place = next((sys.path.index(one) for one in behind if one in sys.path), len(sys.path))
            sys.path.insert(place, folder)


def _stands_in_the_way(name: str, root: Path, folders: set[str]) -> bool:
    """A module of this name was imported from one of the folders, and there is another one in `root`."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str) or not any(file.startswith(folder + "/") for folder in folders):
        return False
    there = [root / f"{name}.py", root / name / "__init__.py"]
    return Path(file) not in there and any(one.is_file() for one in there)


def file_behind(name: str, folder: Path) -> Path | None:
    """The file in a folder that is no longer, or not, reached by its name, since a module of the standard
    library or one that is loaded has that name; None if there is no such file."""
    file = folder / f"{name}.py"
    if not _is_taken(name) or not file.is_file():
        return None
    module = sys.modules.get(name)
    return None if module is not None and file_of(module) == file.resolve() else file


def within_packages(file: Path) -> tuple[Path, str]:
    """The folder from which a file is imported, and its name there: dotted if it lies in a package."""
    folder, parts = file.parent, [file.stem]
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def names_of_file(file: Path, folder: Path) -> set[str]:
    """The names of a file in a workspace: its path, and that by which it is imported from the folder."""
    root, dotted = within_packages(file)
    within = file.is_relative_to(folder)
    return {(file.relative_to(folder) if within else file).as_posix(), *([dotted] if root == folder else ())}


def file_of(module: ModuleType) -> Path | None:
    """The real path of the file of a module, if it has one."""
    name = getattr(module, "__file__", None)
    return Path(name).resolve() if name else None


def import_story(module_part: str, error: BaseException, folder: Path) -> str:
    """One sentence about an import that failed: what failed, and which file of the folder may be why."""
    if isinstance(error, ModuleNotFoundError) and error.name and module_part.startswith(error.name):
        story = (
            f"there is no module {error.name!r}: it is not installed, nor in the workspace's folder {folder}"
        )
    else:
        story = f"importing {module_part} failed with {type(error).__name__}: {error}"
    return story + _advice(error, folder)


def _advice(error: BaseException, folder: Path) -> str:
    """What to do if a name means something else than its author thought: the standard library, or nothing."""
    lacking = error.name if isinstance(error, ImportError) else getattr(error, "obj", None)
    name = str(getattr(lacking, "__name__", lacking)).partition(".")[0]
    own = next((path for path in (folder / f"{name}.py", folder / name) if path.exists()), None)
    if own is not None and name in sys.stdlib_module_names:
        return f"; {name} is a module of the standard library: rename {own}"
    if own is None and name in _FORMER_NAMES and isinstance(error, ImportError):
        return f"; Quince's package of that name is {_FORMER_NAMES[name]} now"
    return ""


def _is_taken(name: str) -> bool:
    return name in sys.modules or name in sys.stdlib_module_names


def _import_from_package(file: Path, name: str) -> ModuleType:
    module = importlib.import_module(name)
    if file_of(module) != file:
        raise UnloadableClass(f"{file} is {name}, but {file_of(module)} is loaded under that name")
    _by_file.add(name)
    return module
