"""The reference of what programs import: every public name with its signature and its text, as Markdown."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

FACES = {
    "quince": "Writing, running, seeing and steering processes.",
    "quince.testing": "Testing workflows; [testing.md](testing.md) teaches it.",
    "quince_messaging": "Messages without the engine; [communicator.md](communicator.md) teaches it.",
    "quince_persistence": "What handles give back, types of your own, and errors of the store.",
}
"""What a program of yours may import, and what each is for."""

HEAD = """\
# Python

Every name that a program may import, with the text that an editor shows. What belongs together stands in
[workflows.md](workflows.md#names).
"""
_SECTION = re.compile(r"(Args|Returns|Raises|Attributes|Yields|Examples?|Source|Note):$")
_ENTRY = re.compile(r"(\*{0,2}[\w., \[\]]+?)(?: \([^)]*\))?: +(.*)")


def names_page() -> str:
    """All of them, face by face."""
    parts = [HEAD]
    for face, about in FACES.items():
        module = importlib.import_module(face)
        parts.append(f"\n## `{face}`\n\n{about}\n")
        parts += [f"\n{section(name, getattr(module, name))}" for name in module.__all__]
    return "".join(parts)


def name_section(name: str) -> str | None:
    """What is said of one name, `Retry` or `Workspace.at`, or None if there is no public one."""
    first, *rest = name.removeprefix("quince.").split(".")
    for face in FACES:
        module = importlib.import_module(face)
        if first not in module.__all__:
            continue
        thing = getattr(module, first)
        if not rest:
            return section(first, thing)
        found = dict(_members(thing)) if isinstance(thing, type) else {}
        return "\n".join(_entry(name, found[rest[0]], "###")) + "\n" if rest[0] in found else None
    return None


def section(name: str, thing: Any) -> str:
    """A public name, with what it has."""
    lines = [*_entry(name, thing, "###")]
    if isinstance(thing, type):
        for inner, part in _members(thing):
            lines += _entry(f"{name}.{inner}", part, "####")
    return "\n".join(lines).rstrip("\n") + "\n"


def _entry(name: str, thing: Any, heading: str) -> Iterator[str]:
    yield from (f"{heading} `{name}`", "")
    if signature := _signature(name, thing):
        yield from ("```text", signature, "```", "")
    yield from _text(_doc(thing))
    if isinstance(thing, type) and issubclass(thing, enum.Enum):
        yield from ("One of " + ", ".join(f"`{one.value}`" for one in thing) + ".", "")


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class, or one of ours that it inherits from, defines."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in ("quince", "quince_messaging", "quince_persistence"):
            for name, part in vars(base).items():
                if not name.startswith("_") and (_function(part) or isinstance(part, property)):
                    found.setdefault(name, part)
    if not issubclass(cls, BaseException):
        yield from ((name, part) for name, part in found.items() if _doc(part))


def _function(part: Any) -> Callable[..., Any] | None:
    inner = getattr(part, "__func__", part)
    return inner if inspect.isfunction(inner) else None


def _doc(thing: Any) -> str:
    own = thing if not isinstance(thing, type) else vars(thing).get("__doc__") and thing
    return inspect.cleandoc(getattr(own, "__doc__", None) or "")


def _signature(name: str, thing: Any) -> str:
    if isinstance(thing, property):
        result = inspect.signature(thing.fget).return_annotation if thing.fget else inspect.Signature.empty
        return f"{name}: {result}" if isinstance(result, str) else name
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return f"{name}({thing.__bases__[0].__name__})"
    called = thing if isinstance(thing, type) else _function(thing)
    if called is None or (isinstance(called, type) and issubclass(called, enum.Enum)):
        return ""
    if _is_made_elsewhere(thing):
        return ""
    signature = inspect.signature(called)
    kind = "async " if inspect.iscoroutinefunction(called) else ""
    result = signature.return_annotation
    ending = f" -> {result}" if isinstance(result, str) and not isinstance(thing, type) else ""
    return _folded(kind + name, _words(signature), ending)


def _is_made_elsewhere(thing: Any) -> bool:
    """It is a class whose objects no program makes by hand, as far as its text and its fields say."""
    made = "Args:" in (thing.__doc__ or "") or dataclasses.is_dataclass(thing)
    return isinstance(thing, type) and not made


def _words(signature: inspect.Signature) -> list[str]:
    """Its parameters, as they are written, but those that are nobody's business."""
    shown = [
        one
        for name, one in signature.parameters.items()
        if name not in ("self", "unnamed") and name[0] != "_" and (name, one.annotation) != ("cls", one.empty)
    ]
    words = [re.sub(r"<class (\w+)>", r"\1", str(one).replace("'", "")) for one in shown]
    kinds = [one.kind for one in shown]
    by_name = inspect.Parameter.KEYWORD_ONLY
    if by_name in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        words.insert(kinds.index(by_name), "*")
    return words


def _folded(name: str, words: list[str], ending: str) -> str:
    line = f"{name}({', '.join(words)}){ending}"
    return (
        line
        if len(line) <= 100
        else "\n".join([f"{name}(", *(f"    {word}," for word in words), f"){ending}"])
    )


def _text(doc: str) -> Iterator[str]:
    """A text in the form of Google's as Markdown: its sections become lists."""
    inside = False
    for line in doc.splitlines():
        if _SECTION.match(line):
            inside = True
            yield from (f"**{line.removesuffix(':')}**", "")
        elif inside and line.startswith("     "):
            yield line.removeprefix("  ")  # goes on with the entry before it
        elif inside and line.startswith("    "):
            found = _ENTRY.fullmatch(line[4:])
            yield f"- `{found[1]}`: {found[2]}" if found else line[4:]
        else:
            inside = inside and not line.strip()
            yield line
    yield ""
