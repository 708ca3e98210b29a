"""`quince set`."""

from __future__ import annotations

import typer

from quince.cli.control import show_answers
from quince.cli.errors import WrongUsage
from quince.cli.filters import Filter, with_options
from quince.cli.options import AsJson
from quince.cli.retry import split_words
from quince.cli.session import session
from quince.client.place import checked, place
from quince.errors import InvalidInput

app = typer.Typer()


@app.command(name="set", rich_help_panel="Control")
@with_options
def set_(chosen: Filter, as_json: AsJson = False) -> int:
    """Change the queue or the priority of processes that live: `quince set 17 priority=7 queue=gpu`."""
    chosen, words = split_words(chosen)
    if chosen.empty:
        raise WrongUsage("say which processes to set: pids, a filter as --state waiting, or --all")
    queue, priority = _given(words)
    try:
        checked(queue, priority)
    except InvalidInput as error:
        raise WrongUsage(str(error)) from error
    with session.workspace() as home:
        selection = chosen.selection(home, live=chosen.everything or chosen.narrowed)
        if missing := set(selection.trees) - {row.pid for row in home.store.select(selection)}:
            raise home.not_found(*missing)
        answers = place(home, selection, queue=queue, priority=priority)
        return show_answers("set", answers, as_json=as_json)


def _given(words: list[str]) -> tuple[str | None, int | None]:
    given: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in ("queue", "priority"):
            raise WrongUsage(f"{word!r}: what can be set is priority=0..9 and queue=NAME")
        given[name] = value
    number = given.get("priority")
    if number is not None and number not in tuple("0123456789"):
        raise WrongUsage(f"priority {number} is not between 0 and 9")
    return given.get("queue"), None if number is None else int(number)
