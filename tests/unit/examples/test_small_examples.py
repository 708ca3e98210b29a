"""The small examples, tested as docs/testing.md teaches it: a step, a workflow, time that is skipped."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from approval import HeatOfVaporisation
from convergence import Converged, energy
from nightly import DayReport, add
from sweep import Energy, Sweep
from word_count import WordCount, count

from quince import ProcessState, find, get_schedule, limits, run, set_limit, submit
from quince.testing import Sandbox, excepted, finished, run_step

EXAMPLES = Path(__file__).parents[3] / "examples"
A12, A6 = 12.13188, 14.45392  # lattice sums of fcc; Source: Kittel, Introduction to Solid State Physics


def test_every_example_is_small_and_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for file in EXAMPLES.rglob("*.py"):
        assert len(file.read_text().splitlines()) < 80 or file.name == "demo.py", file
    for folder in EXAMPLES.iterdir():
        assert folder.name in {"README.md", "demo.py", "__pycache__"} or f"({folder.name}" in listed


# An approval


def test_the_heat_of_vaporisation_is_what_is_known() -> None:
    heat = run_step(HeatOfVaporisation, "fit").ctx["heat"]
    assert 40.6 < heat < 45.0  # kJ/mol; Source: steam tables: at 100 and at 0 degrees


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("no", 410), (None, 411)])
def test_it_is_published_if_somebody_says_yes(
    quince_sandbox: Sandbox, answer: str | None, status: int
) -> None:
    handle = submit(HeatOfVaporisation)
    quince_sandbox.clock.advance(hours=47)
    assert (handle.row.signals, handle.row.exit_status) == (("approval",), None)
    if answer is not None:
        handle.signal("approval", answer)
    quince_sandbox.clock.advance(hours=2)
    assert handle.row.exit_status == status


# A convergence study


def test_it_converges_to_the_lattice_sum(quince_sandbox: Sandbox) -> None:
    found = run(Converged, element="Xe", tolerance=1e-3)
    power = (3.98 / 4.35) ** 6
    assert found["energy"] == pytest.approx(2 * 19.97 * (A12 * power**2 - A6 * power), rel=5e-3)
    assert len(find(cls=energy)) >= 3


def test_what_cannot_converge_is_told() -> None:
    assert run_step(Converged, "look_up", inputs={"element": "Au"}).exit_status == 410
    ctx = {"part": excepted(MemoryError()), "cutoff": 20.0, "energies": [1.0]}
    assert "MemoryError" in str(run_step(Converged, "compare", ctx=ctx).exit_message)


# A map-reduce over files


def test_words_are_counted(quince_sandbox: Sandbox) -> None:
    words = [
        word
        for file in (EXAMPLES / "word_count" / "texts").iterdir()
        for word in re.findall(r"[a-z]+(?:'[a-z]+)?", file.read_text().lower())
    ]
    found = run(WordCount)
    assert found["words"] == len(words)
    assert found["most"][0] == ("the", words.count("the"))


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    assert run_step(WordCount, "map_files", inputs={"folder": tmp_path}).exit_status == 410
    parts = [finished({"words": {"a": 1}}, of=count), excepted(OSError("gone"), of=count)]
    done = run_step(WordCount, "reduce", ctx={"parts": parts})
    assert (done.exit_status, done.exit_message) == (420, "1 files could not be read: OSError: gone")


# A sweep with a limit


def test_the_sweep_finds_the_known_distance(quince_sandbox: Sandbox) -> None:
    set_limit("solver", 2)
    best = run(Sweep, points=11)["best"]
    for distance, sigma in ((best["Ar"][0], 3.40), (best["Ne"][0], 2.74)):
        assert distance == pytest.approx(1.09 * sigma, rel=0.01)  # Source: Kittel


def test_no_more_run_than_the_licence_allows(quince_sandbox: Sandbox) -> None:
    set_limit("solver", 0)
    handle = submit(Sweep, points=3)
    quince_sandbox.settle()
    (limit,) = limits()
    assert (limit.name, limit.held, limit.waiting) == ("solver", 0, 12)
    set_limit("solver", 2)
    assert handle.result(30)["best"].keys() == {"Ne", "Ar", "Kr", "Xe"}
    assert len(find(cls=Energy)) == 12
    assert [(limit.held, limit.waiting) for limit in limits()] == [(0, 0)]


# A nightly schedule


def test_the_day_before_the_night_is_read() -> None:
    readings = {"readings": EXAMPLES / "nightly" / "readings.csv"}
    night = {"scheduled": "2025-10-27T02:00:00+01:00"}
    done = run_step(DayReport, "read", inputs=readings, labels=night)
    assert (done.ctx["day"].isoformat(), len(done.ctx["values"])) == ("2025-10-26", 12)


def test_every_night_becomes_a_report(quince_sandbox: Sandbox) -> None:
    file = quince_sandbox.folder / "readings.csv"
    add(file)
    first = get_schedule("weather").next
    assert first is not None
    days = [first.date() + timedelta(days=number - 1) for number in range(3)]
    file.write_text("time,celsius\n" + "".join(f"{day}T12:00,{n}\n" for n, day in enumerate(days)))
    quince_sandbox.clock.advance(days=3, hours=1)
    reports = find(cls=DayReport)[::-1]
    assert [report.result(5) for report in reports[:3]] == [
        {"day": day, "lowest": n, "mean": n, "highest": n} for n, day in enumerate(days)
    ]


def test_a_station_that_is_away_is_asked_again(quince_sandbox: Sandbox) -> None:
    file = quince_sandbox.folder / "readings.csv"
    add(file)
    report = get_schedule("weather").trigger()
    quince_sandbox.clock.advance(minutes=15)
    assert (report.state, report.row.attempt) == (ProcessState.WAITING, 2)
    file.write_text("time,celsius\n")
    quince_sandbox.clock.advance(minutes=30)
    assert report.row.exit_status == 410


def test_nights_are_back_filled(quince_sandbox: Sandbox) -> None:
    add(EXAMPLES / "nightly" / "readings.csv")
    get_schedule("weather").backfill("2025-10-26", "2025-10-30")
    quince_sandbox.settle()
    reports = find(cls=DayReport)
    assert {report.state for report in reports} == {ProcessState.FINISHED}
    good = {report.result(5)["day"].day for report in reports if report.row.exit_status == 0}
    assert good == {25, 26, 27, 28}
    assert [report.row.exit_message for report in reports if report.row.exit_status == 410] == [
        "there are no readings of 2025-10-29"
    ]
