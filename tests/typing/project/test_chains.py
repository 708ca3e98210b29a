"""A user's tests, with the fixtures of the pytest plugin."""

from __future__ import annotations

from chains import Scan, Square, square

from quince import Workspace, run
from quince.testing import CrashEverywhere, CrashReport
from quince.testing import crash_everywhere as crash


def test_square(quince_workspace: Workspace) -> None:
    assert run(Square, x=3) == {"square": 9}
    assert run(square, x=3, workspace=quince_workspace) == {"result": 9}


def test_scan(crash_everywhere: CrashEverywhere) -> None:
    report: CrashReport = crash_everywhere(Scan, points=2, settings={"most": 3})
    assert report.passed, report.story()
    assert crash(Scan, {"points": 2}).passed
