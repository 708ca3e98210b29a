"""From what the command line says to the rows it means."""

from __future__ import annotations

from quince.cli.errors import WrongUsage
from quince.cli.filters import Filter
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow


def resolve(home: Workspace, chosen: Filter, *, live: bool = False) -> list[ProcessRow]:
    """The processes that were named, or that the filters choose, oldest first.

    Args:
        live: Only those that have not terminated.

    Raises:
        WrongUsage: nothing was said at all.
        ProcessNotFound: one that was named does not exist.
    """
    if chosen.empty:
        raise WrongUsage("say which processes: pids, a filter as --state waiting, or --all")
    rows = sorted(home.store.select(chosen.selection(live=live)), key=by_age)
    if not chosen.narrowed:
        require_found(home, set(chosen.named()) - {row.pid for row in rows})
    return rows


def by_age(row: ProcessRow) -> tuple[float, int]:
    """A key to sort by; pids come in blocks, so alone they do not tell who is older."""
    return row.created, row.pid


def require_found(home: Workspace, missing: set[int]) -> None:
    """Refuse to go on if processes that were named are missing.

    Raises:
        ProcessNotFound: names them.
    """
    if missing:
        raise home.not_found(*missing)
