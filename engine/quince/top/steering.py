"""Pause, play, kill, retry and signal, as the command line does; and what came of it, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from quince.cli.input_values import Word
from quince.client.control import Answer, control
from quince.client.retry import retry
from quince.client.signals import send
from quince.processes.signals import checked_name
from quince.workspace.workspace import Workspace
from quince_persistence.records import Control, Selection

RETRY, SIGNAL = "retry", "signal"


def steer(workspace: Workspace, verb: str, pids: Sequence[int], lines: Sequence[str]) -> str:
    """Do it, durable on return.

    Args:
        lines: The reason; of a signal its name and its value.

    Returns:
        What came of it, for people.

    Raises:
        ValueError: that is no name of a signal.
    """
    if verb == SIGNAL:
        name, value = lines
        checked_name(name)
        outcomes = send(workspace, pids, name, Word(value or "true").value, None)
        refused = [one.refused for one in outcomes if one.refused is not None]
        return _said([f"{len(outcomes) - len(refused)} signalled: {name}"], refused, len(pids) - len(refused))
    reason = lines[0].strip() or None
    chosen = Selection(pids=list(pids))
    if verb == RETRY:
        answers = retry(workspace, chosen, reason=reason)
    else:
        answers = control(workspace, Control(verb), chosen, reason=reason)
    return sentence(answers)


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
