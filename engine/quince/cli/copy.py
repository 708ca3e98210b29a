"""`quince copy`: everything of a store into another one, embedded or on a server."""

from __future__ import annotations

from typing import Annotated

import typer

from quince.cli.errors import DONE, WrongUsage
from quince.cli.options import AsJson
from quince.cli.output import say
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.control import login
from quince.settings import EXPIRY_SECONDS
from quince_messaging.passwords import without_password
from quince_persistence.store import Store

app = typer.Typer()


@app.command(rich_help_panel="Workspace")
def copy(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL", help="The other store; this workspace's if not given."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Where from; this workspace's if not given.")
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Do not pause what lives in the store that is copied, as for a backup."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Copy all processes, whatever their state, with timers, signals and history, under their pids.

    Workers have to be stopped first. What lives is paused in the old store, so that it does not go on twice.
    """
    if (to is None) == (source is None):
        raise WrongUsage("say where from or where to: --to URL, or --from URL")
    own = session.location().store
    url, target = source or own, to or own
    if source is None:
        session.location().require_made()
    with Store(url) as store:
        copied = store.copy_to(target, alive=EXPIRY_SECONDS, author=login(), pause=not keep).result()
    if as_json:
        show_json(dict(copied))
        return DONE
    from_where, to_where = without_password(url), without_password(target)
    say(f"{copied['processes']} processes copied from {from_where} to {to_where}")
    if to is not None:
        say("`quince init --store URL` with that URL lets this workspace use it")
    return DONE
