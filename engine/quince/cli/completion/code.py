"""Targets and their inputs, read from the text of a file: nothing of it is run."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from pathlib import Path

from quince.workspace.trust import distrust

MOST_FILES, MOST_BYTES = 100, 1_000_000


def targets(word: str, folder: Path) -> Iterator[str]:
    """What `word` may become: `file.py:Class` of the files in its folder, and folders."""
    path, colon, _ = word.partition(":")
    if colon:
        yield from (f"{path}:{name}" for name in _classes(_tree(folder / path)))
        return
    inside = path.rpartition("/")[0] + "/" if "/" in path else ""
    with contextlib.suppress(OSError):
        here = sorted((folder / inside).iterdir())[: 10 * MOST_FILES]
        yield from (f"{inside}{one.name}/" for one in here if one.is_dir() and one.name[0] not in "._")
        files = [one for one in here if one.suffix == ".py" and f"{inside}{one.name}".startswith(path)]
        for file in files[:MOST_FILES]:
            yield from (f"{inside}{file.name}:{name}" for name in _classes(_tree(file)))


def inputs(target: str, *folders: Path) -> Iterator[str]:
    """The names of the inputs of a target, as far as they are written in its file."""
    path, _, name = target.partition(":")
    relative = path if path.endswith(".py") else f"{path.replace('.', '/')}.py"
    tree = next((tree for folder in folders if (tree := _tree(folder / relative)).body), ast.Module([], []))
    wanted = name or next(iter(_classes(tree)), "")
    for node in tree.body:
        if getattr(node, "name", None) == wanted:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                yield from (one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs))
            else:
                yield from _ports(node)


def _ports(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
            first = call.args[0]
            if call.func.attr == "input" and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _classes(tree: ast.Module) -> list[str]:
    """Names at its top level that look like process classes and functions."""
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            if any(base in ("Process", "WorkChain", *found) for base in bases):
                found.append(node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [ast.unparse(mark).partition("(")[0].rpartition(".")[2] for mark in node.decorator_list]
            if "process" in marks:
                found.append(node.name)
    return found


def _tree(file: Path) -> ast.Module:
    with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):
        if file.stat().st_size <= MOST_BYTES and distrust(file) is None:
            return ast.parse(file.read_bytes())
    return ast.Module([], [])
