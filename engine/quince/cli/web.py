"""`quince web`: the pages."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.output import complain, put, say
from quince.cli.session import session

app = typer.Typer()

PORT = 8642
_NEEDED = ("starlette", "uvicorn", "jinja2")


@app.command(rich_help_panel="Look")
def web(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where it listens; 0.0.0.0: everywhere.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: some free one.")] = PORT,
    base_path: Annotated[
        str, typer.Option("--base-path", metavar="/PATH", help="What stands before all its addresses.")
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="Another name of it, as that of a proxy before it."
        ),
    ] = None,
) -> int:
    """Show and steer everything on web pages, for this machine alone if nothing else is said.

    Prints the address; whoever has it may look and steer.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        complain(f'`quince web` needs {", ".join(missing)}: pip install "quince[web]"')
        return FAILED
    from quince.web.access import LOOPBACK, Access  # noqa: PLC0415 - an extra, imported when it is used
    from quince.web.server import serve  # noqa: PLC0415

    try:
        names = frozenset(name.lower().strip("[]") for name in allow_host or ())
        access = Access(host, base_path.rstrip("/"), names)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    with session.workspace() as home:
        if host not in LOOPBACK:
            say("it can be reached from other machines, and does not encrypt: put a proxy with TLS before it")
        serve(home, access, port, put)
    return DONE
