"""Pause, play, kill, retry, restart, signal, as the command line does; and what came of it, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from quince.cli.input_values import Word
from quince.client.control import Answer, control
from quince.client.restart import beginnings, restart
from quince.client.retry import retry
from quince.client.signals import send
from quince.processes.signals import checked_name
from quince.workspace.workspace import Workspace
from quince_persistence.records import Control, Selection

SHOWN = 5
"""Steps that are named."""
RETRY, RESTART, SIGNAL = "retry", "restart", "signal"


def steer(
    workspace: Workspace, verb: str, pids: Sequence[int], lines: Sequence[str], *, option: bool = False
) -> str:
    """Do it, durable on return.

    Args:
        lines: The reason, and of a restart the step; of a signal its name and its value.
        option: (pause) Now, in the midst of a step. (kill) By force.

    Returns:
        What came of it, for people.

    Raises:
        ValueError: that is no name of a signal; or such a restart is none that can be done here.
    """
    if verb == SIGNAL:
        name, value = lines
        checked_name(name)
        outcomes = send(workspace, pids, name, Word(value or "true").value, None)
        refused = [one.refused for one in outcomes if one.refused is not None]
        return _said([f"{len(outcomes) - len(refused)} signalled: {name}"], refused, len(pids) - len(refused))
    reason = lines[0].strip() or None
    if verb == RESTART:
        return _restarted(workspace, pids, reason, lines[1].strip())
    chosen = Selection(pids=list(pids))
    if verb == RETRY:
        answers = retry(workspace, chosen, reason=reason)
    else:
        force, now = option and verb == Control.KILL, option and verb == Control.PAUSE
        answers = control(workspace, Control(verb), chosen, reason=reason, force=force, now=now)
    return sentence(answers)


def _restarted(workspace: Workspace, pids: Sequence[int], reason: str | None, step: str) -> str:
    """Begin one anew, without loading its class: from a checkpoint that is kept."""
    if len(pids) != 1:
        raise ValueError("one process at a time is begun anew")
    (pid,) = pids
    kept = [name for name, _ in beginnings(workspace.store, pid)]
    if step and step not in {*kept, *(name.partition("#")[0] for name in kept)}:
        there = f"before {', '.join(kept[-SHOWN:])}" if kept else "of none"
        raise ValueError(
            f"{pid} keeps a checkpoint {there}; for its first step: `quince restart {pid} --from`"
        )
    made = restart(workspace, pid, step or None, reason=reason)
    return f"{pid} begins anew as {made.pid}, from {made.step or 'its first step'}"


def sentence(answers: Sequence[Answer]) -> str:
    """What was answered: all of one, and of several how many were accepted and what was refused first."""
    accepted = [f"{one.pid} {one.message}" for one in answers if one.accepted]
    return _said(accepted, [one.message for one in answers if not one.accepted], len(accepted))


def _said(accepted: Sequence[str], refused: Sequence[str], count: int) -> str:
    parts = [accepted[0] if count == 1 else f"{count} accepted"] if count else []
    if refused:
        more = f" (and {len(refused) - 1} others)" if len(refused) > 1 else ""
        parts.append(f"refused: {refused[0]}{more}")
    return "; ".join(parts) or "nothing to do"
