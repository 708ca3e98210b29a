"""Lays the pages of the site out in build/pages: those of docs/, and the reference, made from the code.

The pages are plain Markdown. What their code blocks say for tests (`fragment`, `run`) is left out.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from quince.cli.reference.markdown import commands_page
from quince.cli.reference.names import names_page

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^( *```\w+) [^\n`]+$", flags=re.MULTILINE)


def lay_out(folder: Path) -> None:
    """Write all pages into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "python.md").write_text(names_page(), encoding="utf-8")
    for page in folder.glob("*.md"):
        page.write_text(FENCE.sub(r"\1", page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    lay_out(ROOT / "build" / "pages")
