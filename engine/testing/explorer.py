"""The program that crashes a workflow everywhere: it forks a fresh worker for every life.

`python -m engine.testing.explorer JOB` reads a job, tries every point, and prints one line of JSON for
each. It has one thread and opens nothing, so that its forks are sound; what dies in them dies as a
killed process does, with its locks freed and its files as they were.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

import messaging.local  # noqa: F401 - what a life would import is there before the first fork
from engine.registry import Registry
from engine.testing.life import Course, Plan, live
from engine.testing.points import CRASHED, Point
from engine.testing.portrait import Portrait
from engine.testing.report import Outcome, Verdict, compare

UNDISTURBED = "undisturbed"


class Job(msgspec.Struct, frozen=True):
    """What to crash.

    Attributes:
        target: Class path of the workflow, imported before the first fork.
        template: A workspace in which it is submitted, and nobody has worked.
        scratch: Where copies of it may be made.
        paths: The import path.
        lingers: Each a whole exploration.
        most: How many points of each exploration at most, spread evenly; 0 for all.
        workers: How many points are tried at the same time.
    """

    target: str
    template: str
    scratch: str
    paths: list[str]
    lingers: list[float]
    patience: float
    ignore: list[str]
    most: int
    workers: int


def main(file: str) -> None:
    """Explore, and print the outcomes."""
    job = msgspec.json.decode(Path(file).read_bytes(), type=Job)
    sys.path[:] = [*job.paths, *(path for path in sys.path if path not in job.paths)]
    Registry(Path.cwd()).load(job.target).spec()
    for linger in job.lingers:
        for outcome in _explore(job, linger):
            print(msgspec.json.encode(outcome).decode(), flush=True)


def _explore(job: Job, linger: float) -> Iterator[Outcome]:
    folder = _fresh(job, f"{UNDISTURBED}-{linger:g}")
    course = _course(Plan(str(folder), linger, job.patience, job.ignore))
    if course is None or course.portrait.late or course.portrait.left_behind:
        story = course.portrait.left_behind if course else ["the worker failed"]
        raise SystemExit(f"it does not even work undisturbed: {'; '.join(story)}; see {folder}/log")
    points = _spread(course.points, job.most)
    forks: dict[int, Path] = {}
    for number, point in enumerate(points):
        result = Path(job.scratch) / f"{linger:g}-{number}.json"
        forks[_fork(lambda p=point, r=result: _try(job, linger, p, course.portrait, r))] = result  # type: ignore[misc]
        if len(forks) >= job.workers:
            yield _reap(forks)
    while forks:
        yield _reap(forks)


def _spread(points: list[Point], most: int) -> list[Point]:
    if not most or len(points) <= most:
        return points
    return [points[round(number * (len(points) - 1) / max(1, most - 1))] for number in range(most)]


def _reap(forks: dict[int, Path]) -> Outcome:
    """Wait for the next point to be done with."""
    ospid, status = os.wait()
    result = forks.pop(ospid)
    if status:
        raise SystemExit(f"trying a point failed with status {status}; see {result.with_suffix('.error')}")
    return msgspec.json.decode(result.read_bytes(), type=Outcome)


def _try(job: Job, linger: float, point: Point, expected: Portrait, result: Path) -> None:
    """In a fork: one worker that dies at the point, one that recovers, and what came of it."""
    sys.stderr = result.with_suffix(".error").open("w")
    folder = _fresh(job, result.stem)
    first = Plan(str(folder), linger, job.patience, job.ignore, point)
    status = _wait(_fork(lambda: _write(folder, live(first))))
    verdict = Verdict.SAME
    if status == 0:
        course: Course | None = _read(folder)
        verdict = Verdict.MISSED
    elif status == CRASHED:
        course = _course(Plan(str(folder), linger, job.patience, job.ignore, recovers=True))
    else:
        course = None
    differences = compare(expected, course.portrait) if course else [f"a worker failed; see {folder}/log"]
    if differences:
        outcome = Outcome(point, linger, Verdict.DIFFERENT, differences, str(folder))
    else:
        outcome = Outcome(point, linger, verdict)
        shutil.rmtree(folder)
    result.write_bytes(msgspec.json.encode(outcome))


def _course(plan: Plan) -> Course | None:
    """A whole life in a fork; None if it failed."""
    folder = Path(plan.folder)
    return _read(folder) if _wait(_fork(lambda: _write(folder, live(plan)))) == 0 else None


def _fresh(job: Job, name: str) -> Path:
    folder = Path(job.scratch) / name
    shutil.copytree(job.template, folder)
    return folder


def _write(folder: Path, course: Course) -> None:
    (folder / "course").write_bytes(msgspec.json.encode(course))


def _read(folder: Path) -> Course:
    return msgspec.json.decode((folder / "course").read_bytes(), type=Course)


def _fork(work: Callable[[], None]) -> int:
    """Do it in a fork, which ends with it; returns its process id."""
    ospid = os.fork()
    if ospid:
        return ospid
    try:
        work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _wait(ospid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(ospid, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1])
