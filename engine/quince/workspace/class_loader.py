"""Names of process classes, and the way back from a name to the class.

A stored class path has one of two forms: `module:Class` for what Python can import, and
`folder/file.py:Class` (relative to the workspace's folder, or absolute outside it) for a script. Nothing
but the import of a module that the workspace allows ever happens when one is loaded.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from quince import import_order
from quince.errors import EngineError, UnknownTarget, UnloadableClass, UnloadableNow
from quince.processes.bases import process_class_in
from quince.workspace import own_types
from quince.workspace.half_written import is_half_written, is_young
from quince.workspace.revision import revision_of
from quince.workspace.trust import distrust, is_named
from quince.workspace.user_modules import (
    file_behind,
    file_of,
    found_first_in,
    import_file,
    import_story,
    is_known_by_file,
    names_of_file,
    within_packages,
)
from quince_persistence.codec.temporary_errors import is_temporary

_MODULE_PATH = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_MODULE_NAME = re.compile(r"[^\W\d][\w.]*")
_FILE_PATH = re.compile(r"[^\0:]+\.py:[^\W\d][\w.]*")


class ProcessClass(Protocol):
    """What the registry names and loads."""

    __module__: str
    __qualname__: str
    __name__: str


class ClassLoader:
    """Names and loads process classes for one workspace.

    Args:
        folder: The workspace's folder; scripts are named relative to it, and it is importable.
        allowed: Patterns of modules (`mypkg.*`) or script paths that may be loaded; empty: any. They are
            compared with what a class path leads to, links and `..` followed, and with what was loaded.
    """

    def __init__(self, folder: Path, allowed: Sequence[str] = ()) -> None:
        self.folder = folder.resolve()
        self.allowed = tuple(allowed)
        self._loaded: dict[str, Any] = {}
        self._revisions: dict[str, str | None] = {}
        self._names: dict[int, tuple[ProcessClass, str]] = {}  # by identity

    def name_of(self, cls: ProcessClass) -> str:
        """The class path under which another interpreter finds the class.

        Here it leads to this class from now on: one that was defined again (a cell of a notebook that was
        run again, `importlib.reload`) is the one that runs.

        Raises:
            UnknownTarget: it cannot be found from outside (defined in a function, or in a session
                without a file).
        """
        if id(cls) not in self._names:
            path = own_types.name_of(cls) or _path_of(cls, self.folder)
            self._names[id(cls)] = cls, path
            self._revisions.pop(path.rpartition(":")[0], None)
        _, path = self._names[id(cls)]
        self._loaded[path] = cls
        return path

    def known(self, path: str) -> Any:
        """The class of a stored class path if it was loaded before, else None."""
        return self._loaded.get(path)

    def revision(self, path: str) -> str | None:
        """The revision of a class's code, as it was when that was asked first: call it when it is loaded."""
        module = path.rpartition(":")[0]
        if module not in self._revisions:
            self._revisions[module] = revision_of(path, self.folder)
        return self._revisions[module]

    def load(self, path: str) -> Any:
        """The class of a stored class path.

        Raises:
            UnloadableNow: it may be loaded when it is tried again.
            UnloadableClass: what could not be loaded, why, and what to do.
        """
        found = self._loaded.get(path)
        if found is None:
            found = self._loaded[path] = own_types.load(path) or self._load(path)
        return found

    def load_class(self, path: str) -> Any:
        """The same, the class itself (of a `@process` function too), with a spec that makes sense.

        Raises:
            UnloadableNow: it may be loaded when it is tried again.
            UnloadableClass: it cannot be loaded, or is no process class.
            InvalidDefinition: it is one that cannot work.
        """
        found = self.load(path)
        cls = process_class_in(found)
        if cls is None:
            raise UnloadableClass(f"{path} is not a process class")
        try:
            cls.spec()
        except EngineError:
            raise
        except Exception as error:  # its `define` may fail in any way
            kind = UnloadableNow if is_temporary(error) else UnloadableClass
            raise kind(f"{path} cannot be used: {type(error).__name__}: {error}") from error
        return cls

    def _load(self, path: str) -> Any:
        module_part, _, qualname = path.rpartition(":")
        if not (_MODULE_PATH.fullmatch(path) or _FILE_PATH.fullmatch(path)):
            raise UnloadableClass(f"{path!r} is no class path: write module:Class or file.py:Class")
        if module_part.endswith(".py"):
            file = (self.folder / module_part).resolve()
            self._require_allowed(path, names_of_file(file, self.folder))
            self._require_own(file)
        else:
            self._require_allowed(path, [module_part])
        found = self._find(module_part, qualname)
        self._require_allowed(path, _real_names(found, self.folder))
        return found

    def _find(self, module_part: str, qualname: str) -> Any:
        module = self._import(module_part)
        try:
            return functools.reduce(getattr, qualname.split("."), module)
        except AttributeError:
            own = file_behind(module_part, self.folder)
            if own is not None:
                return self._find(own.name, qualname)
            raise _lacks(module, module_part, qualname) from None

    def _require_allowed(self, path: str, names: Iterable[str]) -> None:
        """One of the names is among what this workspace allows."""
        known = sorted(names)
        if self.allowed and not any(fnmatchcase(name, one) for name in known for one in self.allowed):
            real = known[0] if known else "of no module that can be found"
            told = f"{path!r}" if real == path.rpartition(":")[0] else f"{path!r} (it is {real})"
            raise UnloadableClass(f"{told} is not among the modules that this workspace allows")

    def _require_own(self, file: Path) -> None:
        """Nobody but this user and root could have written the file: a stored path may name any."""
        for place in (file, file.parent):
            reason = distrust(place)
            if reason is not None and not (is_named(self.folder) or is_named(file.parent)):
                raise UnloadableClass(
                    f"{file} is not imported, since {place} {reason}: take others' rights away, or name the "
                    f"folder {file.parent} in QUINCE_TRUST if you trust them"
                )

    def _import(self, module_part: str, beside: Path | None = None) -> ModuleType:
        self.make_importable()
        importlib.invalidate_caches()  # a module may have come since it was last looked for
        try:
            if module_part.endswith(".py"):
                return import_file(self.folder / module_part)
            with found_first_in(beside or self.folder):
                return importlib.import_module(module_part)
        except UnknownTarget:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            passing = is_temporary(error) or is_half_written(error, self._source(module_part))
            kind = UnloadableNow if passing else UnloadableClass
            raise kind(import_story(module_part, error, self.folder)) from error

    def _source(self, module_part: str) -> Path | None:
        """The file of a module that could not be imported, if it can be told."""
        if module_part.endswith(".py"):
            return self.folder / module_part
        with contextlib.suppress(Exception):
            spec = importlib.util.find_spec(module_part)
            return Path(spec.origin) if spec is not None and spec.origin else None
        return None

    def make_importable(self) -> None:
        """Put the workspace's folder on the import path."""
        import_order.add(str(self.folder))


def load_target(target: str, registry: ClassLoader) -> Any:
    """The process class that a person named on the command line.

    Args:
        target: `module:Class`, `file.py:Class` (relative to the current directory), or either
            without the class if the module has just one.

    Raises:
        UnknownTarget: one sentence that names what is missing and what there is.
    """
    module_part, _, qualname = target.partition(":")
    own = file_behind(module_part, Path.cwd())
    if own is not None or module_part.endswith(".py") or "/" in module_part:
        file = own or Path(module_part).expanduser().resolve()
        if not file.is_file():
            raise UnknownTarget(f"there is no file {module_part!r} (in {Path.cwd()})")
        try:
            module = import_file(file)
        except UnknownTarget:
            raise
        except (Exception, SystemExit) as error:
            raise UnknownTarget(import_story(module_part, error, file.parent)) from error
    else:
        if not _MODULE_NAME.fullmatch(module_part):
            raise UnknownTarget(f"{target!r} is no target: write module:Class or file.py:Class")
        module = registry._import(module_part, beside=Path.cwd())
    return _pick(module, module_part, qualname)


def _real_names(found: Any, folder: Path) -> set[str]:
    """The names of the module that really defines it, by whatever way it was reached."""
    module = sys.modules.get(str(getattr(found, "__module__", None)))
    try:
        defined = functools.reduce(getattr, found.__qualname__.split("."), module)
    except AttributeError:
        return set()
    if module is None or not any(found is one for one in (defined, getattr(defined, "process_class", None))):
        return set()
    file = file_of(module)
    names = set() if file is None else names_of_file(file, folder)
    by_file = module.__name__ == "__main__" or is_known_by_file(module.__name__)
    return names if by_file else names | {module.__name__}


def _path_of(cls: ProcessClass, folder: Path) -> str:
    if "<locals>" in cls.__qualname__:
        raise UnknownTarget(
            f"{cls.__qualname__} is defined inside a function, where no worker can find it; "
            "move it to the top level of its module"
        )
    module = sys.modules.get(cls.__module__)
    file = file_of(module) if module is not None else None
    if cls.__module__ == "__main__" and file is None:
        return f"__main__:{cls.__qualname__}"
    name = _main_name() if cls.__module__ == "__main__" else cls.__module__
    if file is not None and file.suffix == ".py" and _is_script(file, name, folder):
        where = file.relative_to(folder) if file.is_relative_to(folder) else file
        return f"{where.as_posix()}:{cls.__qualname__}"
    return f"{name}:{cls.__qualname__}"


def _main_name() -> str:
    """How the program that runs is imported: `pkg.tool` for `python -m pkg.tool`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return "__main__" if spec is None or "." not in spec.name else str(spec.name)


def _is_script(file: Path, name: str, folder: Path) -> bool:
    """A module that only this interpreter finds by its name: the program that runs, one that was imported
    by its file, or one in a folder below the workspace's."""
    if name == "__main__":
        return True
    if name in sys.stdlib_module_names and file.is_relative_to(folder):
        return True  # by its name, another interpreter finds the standard library's
    if is_known_by_file(name):  # `my-flow.py` has no name to import it by
        return within_packages(file) != (folder, name) or not _MODULE_NAME.fullmatch(name)
    if file.name == "__init__.py":
        return False
    if "." in name:
        root, dotted = within_packages(file)
        return dotted == name and root != folder and root.is_relative_to(folder) and _only_here(root)
    return file.is_relative_to(folder) and file.parent != folder


def _only_here(root: Path) -> bool:
    """A folder is importable since this program was started in it (`python -m pkg.tool`), and for no other
    reason: a worker's interpreter has it not."""
    return [place for place, path in enumerate(sys.path) if Path(path).resolve() == root] == [0]


def _pick(module: ModuleType, module_part: str, qualname: str) -> Any:
    if not qualname:
        choices = _process_names(module)
        if len(choices) == 1:
            return getattr(module, choices[0])
        raise UnknownTarget(
            f"{module_part} has {'no process class' if not choices else 'several process classes'}: "
            f"write {module_part}:{'Class' if not choices else '|'.join(choices)}"
        )
    try:
        found = functools.reduce(getattr, qualname.split("."), module)
    except AttributeError:
        raise UnknownTarget(f"{module_part} has no {qualname!r}{_suggest(module, qualname)}") from None
    if process_class_in(found) is None:
        raise UnknownTarget(
            f"{module_part}:{qualname} is no process class but {_article(type(found).__name__)}"
            f"{_suggest(module, qualname)}"
        )
    return found


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _process_names(module: ModuleType) -> list[str]:
    """Names of the process classes that the module itself defines."""
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and process_class_in(value) is not None
    ]


def _suggest(module: ModuleType, qualname: str) -> str:
    names = _process_names(module)
    return f"; it has {', '.join(names)}" if names else "; it has no process class at all"


def _lacks(module: ModuleType, module_part: str, qualname: str) -> UnloadableClass:
    """The module has no such class; if its file has been written just now, it may have been half of it."""
    story = f"{module_part} has no {qualname!r}{_suggest(module, qualname)}"
    file = file_of(module)
    if file is None or not is_young(file):
        return UnloadableClass(story)
    sys.modules.pop(module.__name__, None)  # to be read anew
    return UnloadableNow(story)
