"""What hatchling asks when it builds a wheel: the chapters of docs/ come along, for `quince help`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Chapters(BuildHookInterface[Any]):
    """Puts them into the package. An editable installation reads them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel of that kind is built."""
        if version == "standard":
            for page in (Path(self.root) / "docs").glob("*.md"):
                build_data["force_include"][str(page)] = f"quince/pages/{page.name}"
