"""The standard library before the user's files: a `random.py` of theirs is never imported in its place by us.

Where we decide, a user's folder stands behind the standard library and before installed packages (`add`).
Where Python has decided, as it does for `python script.py`, all that we need is imported with those folders
out of the way, once (`guard`); from then on it is there under its name.

This imports nothing but what each interpreter has loaded already: any other name could be such a file.
"""

from __future__ import annotations

import os
import sys

_LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120 (pathlib is not loaded yet)
_OURS = ("quince", "quince_messaging", "quince_persistence")
_NEEDED = (
    "quince.worker.inline", "quince.client.find", "quince.client.signals", "quince.client.remote",
    "quince.cli.main", "quince.cli.init", "quince.cli.run", "quince.cli.daemon", "quince.cli.show",
    "quince.cli.doctor", "quince_messaging.transports.amqp.transport",
    "quince_messaging.transports.local.transport", "quince_messaging.transports.memory",
    "sqlalchemy.dialects.sqlite",
)  # fmt: skip
"""Modules that import, between them, everything that we ever import."""

_added: list[str] = []
_guarded: list[str] = []


def add(folder: str, *, first: bool = False) -> None:
    """Make the modules of a user's folder importable: behind the standard library, before what is installed.

    Args:
        first: Before other folders that were added.
    """
    if folder in sys.path:
        return
    _import_driver([folder])
    place = _ahead_of_library() + 1
    while place < len(sys.path) and (
        (sys.path[place].startswith(_LIBRARY + os.sep) and "-packages" not in sys.path[place])
        or (not first and sys.path[place] in _added)
    ):
        place += 1
    sys.path.insert(place, folder)
    _added.append(folder)


def added() -> list[str]:
    """The folders that were made importable by us."""
    return list(_added)


def forget(folder: str) -> None:
    """Make the modules of a folder that was added importable no more."""
    if folder in _added:
        _added.remove(folder)
    if folder in sys.path:
        sys.path.remove(folder)


def guard() -> None:
    """See to it that we are not given users' files where we need modules of the standard library, or packages
    that we depend on.

    Raises:
        ImportError: such a file has been imported already, in place of what we need; names it.
    """
    place = _ahead_of_library()
    ahead, behind = sys.path[:place], sys.path[place:]
    if ahead == _guarded:
        return
    files = _in_the_way([path for path in ahead if not _is_installed(path, behind)], behind)
    if files:
        _import_all(ahead, files)
    _guarded[:] = ahead


def _import_all(ahead: list[str], files: dict[str, str]) -> None:
    """Import what we need, as if the folders ahead of the library came last."""
    usurpers = {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in files and _comes_from(module, files[name.partition(".")[0]])
    }
    for name in usurpers:
        del sys.modules[name]
    sys.path[:] = [path for path in sys.path if path not in ahead] + ahead
    try:
        for name in _NEEDED:
            __import__(name)
        _import_driver(ahead)
        wanted = [name for name in usurpers if name in sys.modules]
    finally:
        sys.path[:] = ahead + [path for path in sys.path if path not in ahead]
        sys.modules.update(usurpers)
    if wanted:
        name, _, _ = min(wanted).partition(".")
        raise ImportError(
            f"{files[name]} is in the way: it was imported in place of the module {name} of that name, which "
            "Quince needs; rename it"
        )


def _import_driver(folders: list[str]) -> None:
    """Import what is else loaded when a store on PostgreSQL is opened, if a file could take its place."""
    if any(entry.startswith("psycopg") for folder in folders for entry in _entries(folder)):
        try:  # noqa: SIM105 (contextlib is not loaded yet)
            __import__("psycopg")
        except ImportError:
            pass  # it is not installed: an extra


def _ahead_of_library() -> int:
    """How many folders Python looks into before the standard library's."""
    return sys.path.index(_LIBRARY) if _LIBRARY in sys.path else 0


def _is_installed(folder: str, behind: list[str]) -> bool:
    """Whether a folder ahead of the library holds packages, not files of a user: those that clusters' modules
    put into PYTHONPATH, or one that stands behind the library too."""
    return folder.endswith("-packages") or os.path.realpath(folder) in map(os.path.realpath, behind)


def _in_the_way(folders: list[str], behind: list[str]) -> dict[str, str]:
    """The files in these folders that have names of the standard library or of what is installed, by name."""
    taken = {entry.partition(".")[0] for folder in behind for entry in _entries(folder)}
    taken.update(sys.stdlib_module_names)
    found: dict[str, str] = {}
    for folder in folders:
        for entry in _entries(folder):
            path = os.path.join(folder or os.getcwd(), entry)  # noqa: PTH109, PTH118
            name = entry.removesuffix(".py")
            package = os.path.exists(os.path.join(path, "__init__.py"))  # noqa: PTH110, PTH118
            if name in taken and (name != entry or (package and name not in _OURS)):
                found.setdefault(name, path)
    return found


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)  # noqa: PTH208
    except OSError:
        return []


def _comes_from(module: object, path: str) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and (file == path or file.startswith(path + os.sep))
