"""What the command `quince` starts: the command line, or an answer to a shell that completes a word."""

from __future__ import annotations

import importlib
import os

from quince.cli.completion.answer import ASKED, answer


def main() -> None:
    """Run one command, or answer, and end the interpreter."""
    if os.environ.get(ASKED, "").startswith("complete_"):
        answer()
    importlib.import_module("quince.cli.main").main()


if __name__ == "__main__":
    main()
