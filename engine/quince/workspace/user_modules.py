"""Importing modules of users, by their name or by their file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from quince import import_order
from quince.errors import UnloadableClass

_FORMER_NAMES = {
    "engine": "quince", "messaging": "quince_messaging", "persistence": "quince_persistence"
}  # fmt: skip
_by_file: set[str] = set()


def is_known_by_file(name: str) -> bool:
    """Whether this module was imported by its file: another interpreter may not find it by its name."""
    return name in _by_file


def import_file(file: Path) -> ModuleType:
    """Import a script by its path, once; its folder becomes importable, as when it is run.

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
    import_order.add(str(root))
    if dotted != file.stem:
        return _import_from_package(file, dotted)
    free = file.stem.isidentifier() and not _is_taken(file.stem)
    name = file.stem if free else f"script_{abs(hash(file)):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UnloadableClass(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _by_file.add(name)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


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
