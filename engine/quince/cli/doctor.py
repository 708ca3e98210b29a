"""`quince doctor`: a check-up of the workspace."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from quince.cli.errors import DONE, FAILED
from quince.cli.options import AsJson
from quince.cli.session import session
from quince.cli.terminal import NEWLINE, Styled, Text, show, show_json
from quince.diagnosis.doctor import Finding, unattended
from quince.diagnosis.doctor import doctor as examine

app = typer.Typer()

NAMED = 8
"""How many pids are named one by one."""


@app.command(rich_help_panel="Workspace")
def doctor(
    mend: Annotated[
        bool,
        typer.Option("--mend", help="Release what dead workers hold; enqueue what has no task."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check store, broker, workers, queues, and every live process against the present code.

    Exit status 0 if all is well, or was mended; 1 if not.
    """
    with session.workspace() as home:
        findings = [*examine(home, mend=mend), *unattended(home)]
    healthy = all(one.mended or one.note for one in findings)
    if as_json:
        show_json({"healthy": healthy, "findings": [dataclasses.asdict(one) for one in findings]})
    elif all(one.note for one in findings):
        show(Text.assemble(("✔ ", "green"), "all is well"))
    for one in [] if as_json else findings:
        show(_lines(one))
    return DONE if healthy else FAILED


def _lines(finding: Finding) -> Styled:
    sign = ("✔ mended ", "green") if finding.mended else ("✘ ", "bold red")
    sign = ("○ ", "dim") if finding.note else sign
    text = Text.assemble(sign, (f"{finding.about}: ", "bold"), finding.sentence)
    if finding.pids:
        more = f", and {len(finding.pids) - NAMED} more" if len(finding.pids) > NAMED else ""
        text.append(NEWLINE).append(f"    processes {', '.join(map(str, finding.pids[:NAMED]))}{more}")
    if not finding.mended:
        text.append(NEWLINE).append(f"    {finding.remedy}", "dim")
    return text
