"""What the packages give their users: names, errors, and the texts that an editor shows with them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import quince
import quince.testing
import quince_messaging
import quince_persistence

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = {
    "quince": ROOT / "engine" / "quince",
    "quince_messaging": ROOT / "messaging" / "quince_messaging",
    "quince_persistence": ROOT / "persistence" / "quince_persistence",
}
FACES = [quince, quince.testing, quince_messaging, quince_persistence]
ROOTS = {
    "quince": quince.EngineError,
    "quince_messaging": quince_messaging.MessagingError,
    "quince_persistence": quince_persistence.PersistenceError,
}
INSIDE = {
    "NotSent": "why a receiver was not told; stands in the store, and in what `quince notify` says",
    "Refused": "the web page's own: becomes a sentence on it",
    "NotTaken": "a trouble of a worker whose collector of traces takes none",
    "LacksVariable": "becomes NotSent",
    "WrongUsage": "the command line's own: words that make no sense together",
    "WrongValue": "the command line's own: what cannot be read as an input becomes one sentence",
    "WorkerGone": "ends a step host",
    "Garbled": "ends the link to a step host, and the host",
    "StepExited": "stands for sys.exit() in a step; the process ends with ProcessExcepted",
    "Unasked": "ends side tasks whose owner is gone",
    "LockTimeout": "becomes StoreBusy or a broker's sentence",
    "BadFrame": "ends the connection to a peer that sends garbage",
    "UnsaveableArray": "becomes Unsaveable, with the place",
    "UnsaveableZone": "becomes Unsaveable, with the place",
    "_Refers": "an object that refers to one that is not read yet",
}
"""Exceptions that never leave their package, and what becomes of them."""
INSIDE_MODULES = {
    "quince.hosts.failures": "from where a step runs to the runner of its process",
}
"""Modules of which that is true for every exception."""


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    folder = PACKAGES[package]
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), ast.parse(file.read_text())


def exceptions_of(package: str) -> list[type[BaseException]]:
    """All that are defined in it."""
    found = []
    for name, tree in modules(package):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.bases and "__main__" not in name:
                kind = getattr(importlib.import_module(name), node.name, None)
                if isinstance(kind, type) and issubclass(kind, BaseException):
                    found.append(kind)
    return found


def exported_types(face: ModuleType) -> dict[str, str]:
    """What a package imports for type checkers: names, and where they come from."""
    tree = ast.parse(inspect.getsource(face))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found = {
        alias.asname: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    plain = {
        alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in block.body:
        if isinstance(node, ast.Assign):
            assert isinstance(node.targets[0], ast.Name)
            assert isinstance(node.value, ast.Name)
            found[node.targets[0].id] = plain[node.value.id]
    return found


@pytest.mark.parametrize("face", FACES, ids=lambda face: str(face.__name__))
def test_type_checkers_find_every_export_where_it_is(face: Any) -> None:
    assert exported_types(face) == face._HOME_OF
    assert all(getattr(face, name) is not None for name in face.__all__)


@pytest.mark.parametrize(
    ("face", "page"),
    [
        (quince, "workflows.md"),
        (quince.testing, "workflows.md"),
        (quince_persistence, "workflows.md"),
        (quince_messaging, "communicator.md"),
    ],
    ids=lambda value: str(getattr(value, "__name__", "")),
)
def test_the_reference_lists_every_export(face: Any, page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    section = re.search(rf"^### `{re.escape(face.__name__)}`\n(.*?)(?=^##|\Z)", text, re.S | re.M)
    assert section, "its names stand nowhere"
    listed = [
        name
        for line in section[1].splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted(listed) == sorted(face.__all__)


def is_inside(kind: type[BaseException]) -> bool:
    return kind.__name__ in INSIDE or kind.__module__ in INSIDE_MODULES


@pytest.mark.parametrize("package", PACKAGES)
def test_the_errors_stand_in_the_tree_that_is_drawn(package: str) -> None:
    errors = importlib.import_module(f"{package}.errors")
    drawn: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^((?:│   |    |├── |└── )*)(\w+)(?:  +.*)?$", line):
            above[len(match[1]) // 4 :] = [match[2]]
            drawn[match[2]] = above[-2] if len(above) > 1 else None
    kinds = [kind for kind in exceptions_of(package) if not is_inside(kind)]
    assert {kind.__name__ for kind in kinds} == set(drawn) - {"KeyboardInterrupt"}
    for kind in kinds:
        assert kind is ROOTS[package] or kind.__bases__[0].__name__ == drawn[kind.__name__], kind
        assert kind.__name__ in {name for face in FACES for name in face.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_inside_is_nothing_that_users_could_catch(package: str) -> None:
    inside = [kind for kind in exceptions_of(package) if is_inside(kind)]
    assert not [kind for kind in inside if issubclass(kind, ROOTS[package])]
    assert not [kind for kind in inside if any(kind.__name__ in face.__all__ for face in FACES)]


CONTRACTS = (quince_messaging.AsyncCommunicator,)
"""Their texts are those of what implements them."""


def public_parts(face: Any) -> Iterator[tuple[str, Any]]:
    """Exported functions and classes, with the methods and properties that the classes define."""
    for name in face.__all__:
        thing = getattr(face, name)
        if not isinstance(thing, type):
            if callable(thing):
                yield name, thing
            continue
        if thing.__module__.startswith("quince") and thing not in CONTRACTS:
            yield name, thing
            for inner, part in vars(thing).items():
                function = getattr(part, "fget", None) or getattr(part, "__func__", part)
                if inspect.isfunction(function) and not inner.startswith("_"):
                    yield f"{name}.{inner}", function


def raised(function: Any) -> bool:
    """Its own code raises something new."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) for node in ast.walk(tree))


NEEDS_THE_FILE = re.compile(r"^The same\b|see above|see below|: +[Aa]s (for )?`")


@pytest.mark.parametrize("face", FACES, ids=lambda face: str(face.__name__))
def test_every_public_name_has_a_text_that_can_be_read_alone(face: Any) -> None:
    wrong = []
    for name, part in public_parts(face):
        text = part.__dict__.get("__doc__") if isinstance(part, type) else inspect.getdoc(part)
        if not text:
            wrong.append(f"{name} has none")
        elif NEEDS_THE_FILE.search(text):
            wrong.append(f"{name} needs another page")
        elif inspect.isfunction(part) and "Raises:" not in text and raised(part):
            wrong.append(f"{name} raises, and does not say what")
    assert wrong == []
