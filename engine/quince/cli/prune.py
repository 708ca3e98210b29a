"""`quince prune`: deleting what has ended long ago."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.filters import Filter, with_options
from quince.cli.options import AsJson
from quince.cli.output import complain, put, say
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.prune import PruneReport, prune_selected
from quince.workspace.retention import NEVER, age_of
from quince.workspace.workspace import Workspace
from quince_persistence.records import Selection
from quince_persistence.records.pruning import Spared

app = typer.Typer()

SHOWN = 20
"""Trees that are named one by one."""


@dataclass(frozen=True)
class Ended(Filter):
    """Which trees: as for every command, but that an age is counted from the end."""

    older: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", rich_help_panel="Which processes",
            help="All of it ended so long ago: 30d, 12h, 2 w.",
        ),
    ] = None  # fmt: skip


@app.command(rich_help_panel="Workspace")
@with_options
def prune(
    chosen: Ended,
    failed_older: Annotated[
        str | None,
        typer.Option(
            "--failed-older-than",
            metavar="AGE",
            help="The same for what has not ended well.",
            show_default="as --older-than",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; say what would be.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Make the store's file smaller afterwards; no worker may run.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Delete trees that have ended, with all that is known of them: `quince prune --older-than 30d`.

    A tree stays as long as anything needs it that lives, or that has its outputs from it."""
    if chosen.empty and not failed_older:
        raise WrongUsage("say what to prune: --older-than 30d, pids, or --all for everything that has ended")
    with session.workspace() as home:
        named = chosen.named(home)  # their keys are free afterwards
        report = _prune(home, chosen, failed_older, dry_run=dry_run, vacuum=vacuum)
    if as_json:
        show_json(_document(report))
    else:
        _print(report)
    for pid in named:
        if pid in report.kept:
            complain(f"process {pid} stays: {report.kept[pid]}")
    return FAILED if any(pid in report.kept for pid in named) else DONE


def _prune(
    home: Workspace, chosen: Filter, failed_older: str | None, *, dry_run: bool, vacuum: bool
) -> PruneReport:
    """
    Raises:
        WrongUsage: an age is none.
        ProcessNotFound: one that was named does not exist.
    """
    if chosen.tree:
        raise WrongUsage("trees are always pruned as a whole: leave --tree out")
    now = home.store.clock()
    well = _age(chosen.older, "--older-than")
    failed = _age(failed_older, "--failed-older-than")
    failed = well if failed is None else failed
    if well is None and failed is None:
        well = failed = 0.0  # nothing was said of when
    selection = replace(chosen, older=None).selection(home)
    there = home.store.select(Selection(pids=selection.pids)) if selection.pids else ()
    if missing := set(selection.pids) - {row.pid for row in there}:
        raise home.not_found(*missing)
    before, failed_before = (NEVER if age is None else now - age for age in (well, failed))
    return prune_selected(
        home, selection, before=before, failed_before=failed_before, dry=dry_run, vacuum=vacuum
    )


def _age(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return age_of(text)
    except ValueError as error:
        raise WrongUsage(f"{option} {error}") from error


def _print(report: PruneReport) -> None:
    if report.dry_run:
        for root in report.trees[:SHOWN]:
            put(str(root))
        if len(report.trees) > SHOWN:
            say(f"... and {len(report.trees) - SHOWN} more trees")
    verb = "would be pruned" if report.dry_run else "pruned"
    many = f"{report.processes} process{'' if report.processes == 1 else 'es'}"
    trees = f"{len(report.trees)} tree{'' if len(report.trees) == 1 else 's'}"
    say(f"{many} in {trees} {verb}" if report.trees else "nothing to prune")
    for why, count in Counter(report.kept.values()).most_common():
        say(f"{count} kept: {why}")
    if report.shrunk is not None:
        before, after = report.shrunk
        say(f"the store took {before / 1e6:,.1f} MB, and takes {after / 1e6:,.1f} MB now")


def _document(report: PruneReport) -> dict[str, Any]:
    return {
        "dry_run": report.dry_run,
        "processes": report.processes,
        "trees": report.trees,
        "kept": [
            {"pid": root, "why": Spared(why).name.lower(), "sentence": why}
            for root, why in sorted(report.kept.items())
        ],
        "bytes": None if report.shrunk is None else {"before": report.shrunk[0], "after": report.shrunk[1]},
    }
