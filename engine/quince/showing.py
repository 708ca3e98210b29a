"""What shows itself as a small table where somebody looks at it in a notebook."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def notebook_shell() -> Any:
    """The shell of the notebook in which this program runs; None: it runs in none."""
    ipython = sys.modules.get("IPython")  # not imported: then it is no notebook
    shell = None if ipython is None else ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


class ShowsItself:
    """Has a view in a notebook, which is loaded when it is first wanted."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        view: Callable[[Any], str] = importlib.import_module("quince.notebook.views").html_of
        return view(self)
