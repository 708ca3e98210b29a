"""What fails in passing, and what has to be mended: of imports, and in general."""

from __future__ import annotations

import errno
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quince.errors import UnloadableClass, UnloadableNow
from quince.workspace.class_loader import ClassLoader
from quince_persistence.codec import Unreadable, classes, decode, encode
from quince_persistence.codec.classes import find_classes_by
from quince_persistence.codec.temporary_errors import is_temporary

CLASS = """
from quince import Process
class Late(Process):
    def run(self):
        pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a module of a name of its own will be; not yet written."""
    monkeypatch.setattr("sys.path", [*os.sys.path])  # type: ignore[attr-defined]
    return tmp_path / f"late_{tmp_path.name.replace('-', '_')}.py"


def _write(module: Path, text: str, *, seconds_ago: float = 60) -> ClassLoader:
    module.write_text(text)
    then = time.time() - seconds_ago
    os.utime(module, (then, then))
    return ClassLoader(module.parent)


def _path(module: Path) -> str:
    return f"{module.stem}:Late"


@contextmanager
def _no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_import_without_a_file_descriptor_may_be_tried_again(module: Path) -> None:
    registry = _write(module, CLASS)
    with _no_descriptors_left(), pytest.raises(UnloadableNow, match="Too many open files"):
        registry.load_class(_path(module))
    assert registry.load_class(_path(module)).__name__ == "Late"


@pytest.mark.parametrize(
    "failure",
    [
        "raise MemoryError",
        "raise OSError(5, 'Input/output error')",
        "raise ImportError('no library') from OSError(24, 'Too many open files')",
        "raise ImportError('libz.so: cannot open shared object file: Too many open files')",
        'raise RuntimeError("can\'t start new thread")',
        "try:\n    raise OSError(12, 'No memory')\nexcept OSError:\n    raise ValueError('no table')",
    ],
)
def test_imports_that_fail_in_passing(module: Path, failure: str) -> None:
    registry = _write(module, failure)
    with pytest.raises(UnloadableNow):
        registry.load_class(_path(module))
    _write(module, CLASS)
    assert registry.load_class(_path(module)).__name__ == "Late"


@pytest.mark.parametrize(
    "failure",
    [
        "raise ImportError('no such thing')",
        "import nothing_of_this_name",
        "raise OSError(2, 'No such file or directory')",
        "raise PermissionError(13, 'Permission denied')",
        "class Late(",
        "raise ValueError('no table')",
        "Other = 1",
    ],
)
def test_real_failures_are_real(module: Path, failure: str) -> None:
    registry = _write(module, failure)
    with pytest.raises(UnloadableClass) as caught:
        registry.load_class(_path(module))
    assert not isinstance(caught.value, UnloadableNow)


@pytest.mark.parametrize("cut", [CLASS[: CLASS.index(":")], CLASS[: CLASS.index("class")], CLASS + "\0"])
def test_a_file_that_is_half_written_is_read_again(module: Path, cut: str) -> None:
    registry = _write(module, cut, seconds_ago=0)
    with pytest.raises(UnloadableNow):
        registry.load_class(_path(module))
    _write(module, CLASS)
    assert registry.load_class(_path(module)).__name__ == "Late"


def test_a_definition_that_fails_in_passing(module: Path) -> None:
    text = f"{CLASS}    @classmethod\n    def define(cls, spec):\n        raise MemoryError\n"
    with pytest.raises(UnloadableNow, match="MemoryError"):
        _write(module, text).load_class(_path(module))


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(errno.EMFILE, "x"), True),
        (OSError(errno.ENOSPC, "x"), True),
        (BlockingIOError(errno.EAGAIN, "x"), True),
        (OSError("without a number"), False),
        (FileNotFoundError(errno.ENOENT, "x"), False),
        (MemoryError(), True),
        (KeyError("x"), False),
        (RecursionError(), False),
    ],
)
def test_what_passes(error: Exception, passing: bool) -> None:
    assert is_temporary(error) is passing


def test_a_value_whose_class_cannot_be_imported_in_passing_is_not_taken_for_unreadable(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its process would go on without it, or be held until somebody plays it."""
    monkeypatch.setattr(classes, "_known", [])  # a registry of another test may live, and would know it too
    data = "from dataclasses import dataclass\n@dataclass\nclass Late:\n    n: int\n"
    whole = _write(module, data)
    find_classes_by(whole)
    blob = encode({"value": whole.load(_path(module))(7)})
    del sys.modules[module.stem], whole
    failing = _write(module, "raise OSError(24, 'Too many open files')")
    find_classes_by(failing)
    with pytest.raises(Unreadable, match="Too many open files") as caught:
        decode(blob)
    assert is_temporary(caught.value)
    _write(module, data)
    assert decode(blob)["value"].n == 7
