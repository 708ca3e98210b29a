"""What holds for one call of the command line: which workspace, and how talkative errors are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quince.workspace.location import Location, locate
from quince.workspace.workspace import Workspace


@dataclass
class Session:
    """The options that stand before the command.

    Attributes:
        folder: Of the workspace, or None to find it from here.
        debug: Show tracebacks.
    """

    folder: Path | None = None
    debug: bool = False

    def location(self) -> Location:
        """Where the workspace is; nothing is opened.

        Raises:
            WorkspaceError: the folder that was named is not there.
        """
        return locate(self.folder)

    @contextmanager
    def workspace(self, *, make: bool = False) -> Iterator[Workspace]:
        """The workspace; its store and its broker are opened when they are first asked for.

        Args:
            make: Make it if it is not there: for commands that put something into it.

        Raises:
            WorkspaceError: there is none.
        """
        location = self.location()
        if not make:
            location.require_shared()
            location.require_made()
        with Workspace(location) as home:
            yield home


session = Session()
