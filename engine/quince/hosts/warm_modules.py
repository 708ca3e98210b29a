"""Modules that a template imports before it forks hosts, which share their memory then.

Only what is installed is imported so, never a module of the user's: its state at import would be one for all
hosts, its random numbers the same, its text old once it is edited.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from quince.workspace.sources import is_installed, is_library, note

DEEPEST = 2
"""Dots in the names of modules that are asked for; what is below comes along or is imported in hosts."""


def installed_since(before: int, except_for: str) -> list[str]:
    """Installed modules that were imported since, in their order.

    Args:
        before: How many there were.
        except_for: A package that is the user's, though it is installed.
    """
    fresh = itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - before))
    return [name for name in reversed(list(fresh)) if _is_shareable(name, except_for)]


def _is_shareable(name: str, except_for: str) -> bool:
    parts = name.split(".")
    if parts[0] == except_for or len(parts) > DEEPEST + 1 or any(part.startswith("_") for part in parts):
        return False
    file = _file_of(sys.modules.get(name))
    return file is not None and is_installed(file) and not is_library(file)


def import_them(names: Iterable[str]) -> bool:
    """Import them here, where hosts are forked from now on. False: that would not do them good."""
    for path in sys.path:
        if path.endswith("-packages"):
            note(path)  # as it is now: what is installed later makes these hosts outdated
    before = set(sys.modules)
    environ = dict(os.environ)
    for name in names:
        importlib.import_module(name)
    files = [_file_of(sys.modules[name]) for name in list(sys.modules) if name not in before]
    if dict(os.environ) != environ or any(file is not None and not is_installed(file) for file in files):
        return False
    if not _forks_alone():
        return False
    gc.collect()
    gc.freeze()
    return True


def shadowed(names: Iterable[str], folders: Iterable[Path]) -> bool:
    """Whether a file in one of these folders, which come first, has the name of one of these modules."""
    tops = {name.partition(".")[0] for name in names}
    return any(
        (folder / top).exists() or (folder / f"{top}.py").exists() for folder in folders for top in tops
    )


def renew_random_numbers() -> None:
    """Of a generator that all forks would have in the same state. (Python's own looks after itself.)"""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _file_of(module: object) -> str | None:
    file = getattr(getattr(module, "__spec__", None), "origin", None)
    return file if isinstance(file, str) and file.startswith(os.sep) else None


def _forks_alone() -> bool:
    """Threads that a library has started end when its program forks, as those of OpenBLAS do, or there are
    none. (Others would be missing in the hosts, perhaps with a lock in their hands.)"""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
