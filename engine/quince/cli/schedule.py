"""`quince schedule`: processes that are made at certain times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.filters import with_options
from quince.cli.inputs import parse_inputs
from quince.cli.new_process import Cache, Priority, Target, Words, checked_inputs, labels_of
from quince.cli.options import AsJson
from quince.cli.output import complain, put, say
from quince.cli.schedule_view import (
    added_sentence,
    damage_document,
    damage_sentence,
    line_document,
    nobody_fires,
    schedule_document,
    schedule_lines,
    schedule_table,
)
from quince.cli.session import session
from quince.cli.terminal import show, show_json
from quince.client.schedules import ScheduleHandle, get_schedule
from quince.client.schedules import schedule as add_schedule
from quince.errors import InvalidSchedule
from quince.workspace.class_loader import load_target
from quince.workspace.workspace import Workspace
from quince_persistence.errors import ScheduleUnreadable, UnknownSchedule

app = typer.Typer(name="schedule", no_args_is_help=False, help="Have processes made at certain times.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the schedule.", show_default=False)]
Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Of schedules.", show_default=False)]


@app.callback(invoke_without_command=True, rich_help_panel="Run")
def _group(ctx: typer.Context) -> None:
    """Have processes made at certain times."""
    if ctx.invoked_subcommand is None:
        for line in ctx.get_help().split("\n"):
            put(line)


@dataclass(frozen=True)
class Times:
    """When it fires, as it was written."""

    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="EXPRESSION", help='Minute, hour, day, month, weekday: "0 2 * * *".'),
    ] = None
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help='From one to the next: "6 h".')
    ] = None
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="As Europe/Berlin.")] = "UTC"
    starting: Annotated[
        str | None,
        typer.Option("--starting", metavar="WHEN", help="Nothing before it: 2026-12-01, 2026-12-01T08:00."),
    ] = None
    overlap: Annotated[
        str, typer.Option("--overlap", help="If one has not ended: skip, queue, replace or allow.")
    ] = "skip"
    catch_up: Annotated[
        str,
        typer.Option("--catch-up", help='What no worker was there for: none, last, all or "within 1 d".'),
    ] = "last"
    jitter: Annotated[str, typer.Option("--jitter", metavar="TIME", help="Each is late by a part of it.")] = (
        "0"
    )


@dataclass(frozen=True)
class Made:
    """What each of its processes is, besides its inputs."""

    queue: Annotated[str | None, typer.Option("--queue", help="Which workers run them.")] = None
    priority: Priority = 0
    labels: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="By which they are found.")
    ] = None
    limits: Annotated[
        list[str] | None, typer.Option("--limit", metavar="NAME", help="Limits that they hold.")
    ] = None
    deadline: Annotated[
        str | None, typer.Option("--deadline", metavar="TIME", help="How long each may take.")
    ] = None
    on_failure: Annotated[
        str | None, typer.Option("--on-failure", metavar="WHAT", help="`fail`, or `pause`.")
    ] = None
    cache: Cache = None


@app.command()
@with_options
def add(
    name: Name,
    target: Target,
    times: Times,
    made: Made,
    words: Words = None,
    replace: Annotated[bool, typer.Option("--replace", help="Instead of one of that name.")] = False,
    as_json: AsJson = False,
) -> int:
    """Add a schedule: `quince schedule add nightly flows.py:Night --cron "0 2 * * *" --tz Europe/Berlin`."""
    parse_inputs(words or [])
    with session.workspace(make=True) as home:
        cls = load_target(target, home.registry)
        try:
            handle = add_schedule(
                cls, name=name, inputs=checked_inputs(cls, words or []), replace=replace, workspace=home,
                cron=times.cron, every=times.every, tz=times.tz, starting=times.starting,
                overlap=times.overlap, catch_up=times.catch_up, jitter=times.jitter,
                queue=made.queue, priority=made.priority, labels=labels_of(made.labels),
                limits=made.limits, deadline=made.deadline, on_failure=made.on_failure,
                cache=made.cache,
            )  # fmt: skip
        except InvalidSchedule as error:
            raise WrongUsage(str(error)) from error
        row = handle.row
        if as_json:
            show_json(schedule_document(row))
        else:
            put(added_sentence(row, time.time()))
        _say_nobody(home)
    return DONE


@app.command()
def ls(as_json: AsJson = False) -> int:
    """List schedules: when they fire next, and what they made last."""
    with session.workspace() as home:
        rows, damaged = home.store.schedules(), home.store.damaged_schedules()
        if as_json:
            show_json([schedule_document(row) for row in rows] + [damage_document(one) for one in damaged])
            return DONE
        for one in damaged:
            complain(damage_sentence(one))
        if rows:
            last = [row.last_pid for row in rows if row.last_pid is not None]
            results = {one.row.pid: one.row for one in home.store.results(last, small=0)}
            show(schedule_table(rows, results, time.time()))
            _say_nobody(home)
        elif not damaged:
            say("there are no schedules; `quince schedule add` makes one")
    return DONE


@app.command(name="show")
def show_(name: Name, as_json: AsJson = False) -> int:
    """Show a schedule: its times, its inputs, what it made and why it did not."""
    with session.workspace() as home:
        row = get_schedule(name, workspace=home).row
        last = None if row.last_pid is None else home.store.get(row.last_pid)
        if as_json:
            history = [line_document(line) for line in row.state.lines]
            show_json(schedule_document(row) | {"history": history})
        else:
            for line in schedule_lines(home, row, last, time.time()):
                show(line)
            _say_nobody(home)
    return DONE


@app.command()
def pause(names: Names, as_json: AsJson = False) -> int:
    """Let schedules fire no more, until they are played."""
    return _each(names, lambda handle: handle.pause(), lambda _: "paused", as_json=as_json)


@app.command()
def play(names: Names, as_json: AsJson = False) -> int:
    """Let paused schedules go on, from their next time on."""
    return _each(names, lambda handle: handle.play(), _fires_next, as_json=as_json)


@app.command()
def rm(names: Names, as_json: AsJson = False) -> int:
    """Remove schedules; the processes that they have made go on."""
    return _each(names, lambda handle: handle.remove(), lambda _: "removed", as_json=as_json)


@app.command()
def trigger(name: Name, as_json: AsJson = False) -> int:
    """Make a process of a schedule now. Prints its pid."""
    with session.workspace() as home:
        handle = get_schedule(name, workspace=home).trigger()
        show_json({"schedule": name, "pid": handle.pid}) if as_json else put(str(handle.pid))
    return DONE


@app.command()
def backfill(
    name: Name,
    first: Annotated[str, typer.Option("--from", metavar="WHEN", help="2026-11-01, 2026-11-01T08:00.")],
    last: Annotated[str, typer.Option("--to", metavar="WHEN", help="Of a day, its end.")],
    as_json: AsJson = False,
) -> int:
    """Make the processes of times that are past, each once, one after the other unless they may overlap."""
    with session.workspace() as home:
        handle = get_schedule(name, workspace=home)
        try:
            done = handle.backfill(first, last)
        except InvalidSchedule as error:
            raise WrongUsage(str(error)) from error
        if as_json:
            pids = {"made": [one.pid for one in done.made], "known": [one.pid for one in done.known]}
            show_json({"schedule": name, **pids, "queued": done.queued})
        else:
            there = f"; {len(done.known)} had been made before" if done.known else ""
            put(f"{name}: {len(done.made)} made, {done.queued} follow one after the other{there}")
            if done.queued and handle.paused:
                say(f"the schedule is paused: they follow when it is played (`quince schedule play {name}`)")
    return DONE


def _fires_next(handle: ScheduleHandle) -> str:
    return added_sentence(handle.row, time.time(), "")


def _each(
    names: Sequence[str],
    do: Callable[[ScheduleHandle], object],
    said: Callable[[ScheduleHandle], str],
    *,
    as_json: bool,
) -> int:
    failed, documents = False, []
    with session.workspace() as home:
        for name in dict.fromkeys(names):
            handle = ScheduleHandle(name, home)
            try:
                do(handle)
                if as_json:
                    row = home.store.schedule(name)
                    documents.append(
                        {"name": name, "removed": True} if row is None else schedule_document(row)
                    )
                else:
                    put(f"{name} {said(handle)}")
            except (UnknownSchedule, ScheduleUnreadable) as error:
                complain(str(error))
                failed = True
    if as_json:
        show_json(documents)
    return FAILED if failed else DONE


def _say_nobody(home: Workspace) -> None:
    if (nobody := nobody_fires(home)) is not None:
        say(nobody)
