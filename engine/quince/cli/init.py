"""`quince init`: a folder becomes a workspace."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from quince.cli.errors import DONE
from quince.cli.options import AsJson
from quince.cli.output import say
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.errors import WorkspaceError
from quince.private_files import write_private
from quince.recovery.lease import is_dead
from quince.settings import CONFIG, EXPIRY_SECONDS
from quince.workspace.link_warnings import broker_warning, store_warning
from quince.workspace.location import Location, locate
from quince.workspace.workspace import Workspace
from quince_messaging.passwords import without_password
from quince_persistence.errors import PersistenceError
from quince_persistence.migrations import upgrade
from quince_persistence.records import TERMINAL
from quince_persistence.store import Store

app = typer.Typer()


@app.command(rich_help_panel="Workspace")
def init(
    store: Annotated[str | None, typer.Option("--store", metavar="URL", help="SQLAlchemy URL.")] = None,
    broker: Annotated[
        str | None,
        typer.Option("--broker", metavar="URI", help="amqp://user:password@host/vhost or local://FOLDER"),
    ] = None,
    upgraded: Annotated[bool, typer.Option("--upgrade", help="Bring an older store up to date.")] = False,
    copied: Annotated[
        bool,
        typer.Option("--new-identity", help="This store is a copy: make it another one."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make this folder a workspace: embedded, or on the store and the broker given."""
    here = session.location().folder if upgraded or copied else Path.cwd()  # what is there is found as ever
    folder = (session.folder or here).resolve()
    location = locate(folder, store=store, broker=broker)
    if upgraded:
        upgrade(location.store)
    before = locate(folder)
    with Workspace(location) as home:
        if copied:
            _change_identity(home)
        _ = home.store, home.communicator  # both answer, or nothing is written down
    if store or broker:  # as given, or whole if that would mean another file there
        same = folder == Path.cwd().resolve() and f"{store}{broker}".isprintable()
        write_config(
            folder / CONFIG,
            store=store and (store if same else location.store),
            broker=broker and (broker if same else location.broker),
        )
    say(f"workspace {folder}")
    say(f"store     {without_password(location.store)}")
    say(f"broker    {without_password(location.broker)}")
    if before.store != location.store:
        _say_left_behind(before)
    for warning in (store_warning(location), broker_warning(location)):
        if warning is not None:
            say(f"warning: {warning}")
    if as_json:
        urls = {"store": without_password(location.store), "broker": without_password(location.broker)}
        show_json({"workspace": str(folder), **urls})
    return DONE


def _say_left_behind(before: Location) -> None:
    """What the store that the workspace had before still holds, and how it comes along."""
    with contextlib.suppress(WorkspaceError, PersistenceError):
        before.require_made()
        with Store(before.store) as store:
            counts = store.counts()
        live = sum(number for state, number in counts.items() if state not in TERMINAL)
        where = without_password(before.store)
        if any(counts.values()):
            say(
                f"{sum(counts.values())} processes, {live} of them live, stay in {where}; "
                f"`quince copy --from {shlex.quote(where)}` brings them along"
            )


def _change_identity(home: Workspace) -> None:
    """What workers of the original have written into a copy of its store is no worker here."""
    alive = [
        worker.name
        for worker in home.store.workers()
        if not is_dead(worker) and home.store.clock() - worker.heartbeat <= EXPIRY_SECONDS
    ]
    if alive:
        raise WorkspaceError(
            f"{', '.join(alive)} work on this store; stop them first, since its names on the broker change"
        )
    home.store.change_identity()


def write_config(file: Path, *, store: str | None, broker: str | None) -> None:
    """Write the two URLs down; what else the file says is kept. Only its owner may read it.

    Raises:
        WorkspaceError: it cannot be written.
    """
    wanted = {name: url for name, url in (("store", store), ("broker", broker)) if url is not None}
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for name, url in wanted.items():
            text = _set(text, name, url)
        write_private(file, text)  # a URL may hold a password
    except OSError as error:
        raise WorkspaceError(f"cannot write {file}: {error.strerror}") from error


def _set(text: str, name: str, url: str) -> str:
    """The text with `name = "url"` in it, in the place of the old line or at the beginning."""
    line = f"{name} = {msgspec.json.encode(url).decode()}"  # a JSON string is a TOML string
    replaced, count = re.subn(rf"^{name}\s*=.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    return replaced if count else f"{line}\n{text}"
