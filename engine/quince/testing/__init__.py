"""For tests of workflows: crash them everywhere and see that they end the same.

    from quince.testing import crash_everywhere

    report = crash_everywhere(MyChain, {"n": 3})
    assert report.passed, report.story()

With pytest, the fixture of the same name does it, and fails with the story.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quince.testing.crashes import CrashTestFailed, crash_everywhere
    from quince.testing.points import Point, When
    from quince.testing.report import CrashReport, Outcome, Verdict

_HOME_OF = {
    "CrashReport": "quince.testing.report",
    "CrashTestFailed": "quince.testing.crashes",
    "Outcome": "quince.testing.report",
    "Point": "quince.testing.points",
    "Verdict": "quince.testing.report",
    "When": "quince.testing.points",
    "crash_everywhere": "quince.testing.crashes",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: every pytest loads this package's plugin, few use it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


__all__ = ["CrashReport", "CrashTestFailed", "Outcome", "Point", "Verdict", "When", "crash_everywhere"]
