"""Telling one receiver one thing, once: by a command, a webhook or mail. Blocks; for a thread of its own.

What a way needs is loaded when somebody is told in that way.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from quince.notify.failures import NotSent
from quince.notify.messages import Message
from quince.text import in_line, words_of
from quince.workspace.receivers import LacksVariable, Receiver


def send(receiver: Receiver, message: Message, folder: Path) -> None:
    """Send it, once.

    Args:
        folder: Of the workspace, in which commands run.

    Raises:
        NotSent: it has not arrived, as far as is known here.
    """
    way = "commands" if receiver.command else "mails" if receiver.webhook is None else "webhooks"
    try:
        import_module(f"quince.notify.{way}").tell(receiver, message, folder)
    except NotSent:
        raise
    except LacksVariable as error:
        raise NotSent(str(error)) from error
    except Exception as error:  # whatever a receiver answers, nothing here ends at it
        raise NotSent(in_line(f"{type(error).__name__}: {words_of(error)}")) from error
