"""Which source files are Quince's own, or Python's, so that tracebacks and reports begin with the user's."""

from __future__ import annotations

import importlib.util
import os
import sysconfig

_PACKAGES = ("quince", "quince_messaging", "quince_persistence")


def _folders() -> tuple[str, ...]:
    found = (importlib.util.find_spec(name) for name in _PACKAGES)
    return tuple(
        f"{folder}{os.sep}" for spec in found if spec for folder in spec.submodule_search_locations or ()
    )


OWN_FOLDERS = _folders()
"""The folders of our packages, each with a slash at its end."""


def is_own(file: str) -> bool:
    """Whether a source file, as a code object names it, is one of ours."""
    return file.startswith(OWN_FOLDERS)


_STANDARD = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))


def is_standard(file: str) -> bool:
    """Whether a source file is one of Python's own library, and of no package that was installed."""
    return file.startswith("<frozen ") or (
        file.startswith(_STANDARD) and f"{os.sep}site-packages{os.sep}" not in file
    )
