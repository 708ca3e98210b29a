"""The code of the chapters of docs, run as it stands: `python -m tests.chapters docs/limits.md`.

All "```python" blocks of a chapter run, in order, in one module, in a workspace in memory with a worker
(a sandbox: so time can be skipped with `clock.advance(hours=6)`). In a block

- `await` may stand at the top level, and `assert` says what must hold;
- a first line `# jobs.py` makes that file of it, and later blocks have all its names (its classes have that
  module, as a reader's would have). Those called `# test_jobs.py` are run by pytest in the end;
- "```python fragment" is only shown, and not run: a part of something, or what needs what a reader has.

"```console run" runs its lines that begin with `$ `: commands, which must end well, on a workspace on disk
(that of the whole chapter, then). What they print is not compared.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from quince.testing import sandbox

_BLOCK = re.compile(r"^( *)```(python|console)([^\n]*)\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+)\.py\n")
AWAITS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True)
class Block:
    """One block that is to run.

    Attributes:
        line: Where it begins in its chapter.
    """

    code: str
    line: int
    console: bool

    @property
    def file(self) -> str | None:
        """The module that it is."""
        found = _FILE.match(self.code)
        return found[1] if found else None

    @property
    def is_test(self) -> bool:
        """It holds tests."""
        return self.file is not None and self.file.startswith("test_")


def blocks_of(chapter: Path) -> list[Block]:
    """The blocks of a chapter that are to run."""
    text, found = chapter.read_text(encoding="utf-8"), []
    for match in _BLOCK.finditer(text):
        indent, language, word, code = match.groups()
        wanted = "run" in word.split() if language == "console" else "fragment" not in word.split()
        if wanted:
            line = text.count("\n", 0, match.start(4)) + 1
            lines = [one.removeprefix(indent) for one in code.splitlines(keepends=True)]
            found.append(Block("".join(lines), line, language == "console"))
    return found


def run_chapter(chapter: Path) -> None:
    """Run all that a chapter shows. Raises what is raised there, with the line of the chapter."""
    blocks = blocks_of(chapter)
    with ExitStack() as stack:
        on_disk = any(block.console for block in blocks)
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if on_disk else None
        box = stack.enter_context(sandbox(folder))
        module = ModuleType(re.sub(r"\W", "_", chapter.stem) + "_chapter")
        module.__file__ = str(box.folder / f"{module.__name__}.py")
        Path(module.__file__).write_text("".join(block.code for block in blocks if not block.console))
        sys.modules[module.__name__] = module
        sys.path.insert(0, str(box.folder))
        names: dict[str, Any] = vars(module)
        names.update(sandbox=box, clock=box.clock)
        for block in blocks:
            _run_block(block, chapter, names)
        if tests := [f"{block.file}.py" for block in blocks if block.is_test]:
            _call([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests])


def _run_block(block: Block, chapter: Path, names: dict[str, Any]) -> None:
    source = "\n" * (block.line - 1) + block.code
    if block.console:
        _run_commands(block.code)
    elif block.file is None:
        asyncio_code = compile(source, str(chapter), "exec", flags=AWAITS)
        if asyncio_code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(asyncio_code, names))
        else:
            exec(asyncio_code, names)
    else:
        Path(f"{block.file}.py").write_text(source)
        if not block.is_test:
            exec(f"from {block.file} import *", names)


def _run_commands(text: str) -> None:
    for line in text.splitlines():
        if line.startswith("$ "):
            _call(["sh", "-ec", f'quince() {{ "{sys.executable}" -m quince.cli.main "$@"; }}\n{line[2:]}'])


def _call(words: list[str]) -> None:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=180, env=dict(os.environ) | {"NO_COLOR": "1"}
    )
    if done.returncode:
        raise AssertionError(f"{words[-1]}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    run_chapter(Path(sys.argv[1]).resolve())
