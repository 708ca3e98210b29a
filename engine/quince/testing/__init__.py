"""For tests of workflows: crash them everywhere and see that they end the same.

    from quince.testing import crash_everywhere

    report = crash_everywhere(MyChain, {"n": 3})
    assert report.passed, report.story()

With pytest, the fixture of the same name does it, and fails with the story.

What is exported is loaded when it is first asked for: every pytest loads the plugin, few use it.
"""

# isort: skip_file
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quince.testing.crashes import (
        CrashTestFailed as CrashTestFailed, crash_everywhere as crash_everywhere,
    )  # fmt: skip
    from quince.testing.flaky_services import Failing as Failing, failing as failing
    from quince.testing.one_step import (
        StepRun as StepRun, Submitted as Submitted, run_step as run_step,
    )  # fmt: skip
    from quince.testing.plugin import CrashEverywhere as CrashEverywhere
    from quince.testing.points import Point as Point, When as When
    from quince.testing.report import CrashReport as CrashReport, Outcome as Outcome, Verdict as Verdict
    from quince.testing.sandboxes import Sandbox as Sandbox, sandbox as sandbox
    from quince.testing.skipping import SkippingClock as SkippingClock
    from quince.testing.stand_ins import (
        excepted as excepted, finished as finished, killed as killed, unfinished as unfinished,
    )  # fmt: skip

_HOMES = {
    "quince.testing.crashes": ("CrashTestFailed", "crash_everywhere"),
    "quince.testing.flaky_services": ("Failing", "failing"),
    "quince.testing.one_step": ("StepRun", "Submitted", "run_step"),
    "quince.testing.plugin": ("CrashEverywhere",),
    "quince.testing.points": ("Point", "When"),
    "quince.testing.report": ("CrashReport", "Outcome", "Verdict"),
    "quince.testing.sandboxes": ("Sandbox", "sandbox"),
    "quince.testing.skipping": ("SkippingClock",),
    "quince.testing.stand_ins": ("excepted", "finished", "killed", "unfinished"),
}  # fmt: skip
"""Where each name is, as above; a test compares them."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
