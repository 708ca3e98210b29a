"""The program that crashes a workflow everywhere: it forks a fresh worker for every life.

`python -m quince.testing.explorer JOB` reads a job, tries every point, and prints one line of JSON for
each. It has one thread and opens nothing, so that its forks are sound; what dies in them dies as a
killed process does, with its locks freed and its files as they were.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from quince import import_order
from quince.testing.grounds import OnServers, embedded
from quince.testing.life import Course, live
from quince.testing.outcomes import Portrait
from quince.testing.points import CRASHED, Point
from quince.testing.report import Outcome, Verdict, compare
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import Location

UNDISTURBED = "undisturbed"
FIRST_IMPORTS = {
    False: ["quince_messaging.transports.local", "sqlalchemy.dialects.sqlite"],
    True: ["quince_messaging.transports.amqp", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"],
}
"""What a life would import is there before the first fork: embedded, and on servers."""


class Job(msgspec.Struct, frozen=True):
    """What to crash.

    Attributes:
        target: Class path of the workflow, imported before the first fork.
        template: A workspace in which it is submitted, and nobody has worked.
        scratch: Where copies of it may be made.
        paths: The import path.
        lingers: Each a whole exploration.
        only: How the names of the points begin that are tried; empty: all.
        most: How many points of each exploration at most, spread evenly; 0 for all.
        twice: How many points of each recovery at most, at which that worker dies too.
        workers: How many points are tried at the same time.
        grounds: The servers, one for each of these; empty: embedded workspaces.
    """

    target: str
    template: str
    scratch: str
    paths: list[str]
    lingers: list[float]
    patience: float
    ignore: list[str]
    only: list[str]
    most: int
    twice: int
    workers: int
    grounds: list[OnServers]


def main(file: str) -> None:
    """Explore, and print the outcomes."""
    job = msgspec.json.decode(Path(file).read_bytes(), type=Job)
    for path in job.paths:
        import_order.add(path)
    for module in FIRST_IMPORTS[bool(job.grounds)]:
        importlib.import_module(module)
    ClassLoader(Path.cwd()).load(job.target).spec()
    for linger in job.lingers:
        for outcome in _explore(job, linger):
            print(msgspec.json.encode(outcome).decode(), flush=True)


def _explore(job: Job, linger: float) -> Iterator[Outcome]:
    lanes = [_Lane(job, linger, number) for number in range(job.workers)]
    course = lanes[0].undisturbed()
    trials = [(point, course.portrait) for point in _chosen(job, course.points)]
    if linger == job.lingers[0]:  # what a host does does not depend on it
        course = lanes[0].undisturbed(hosted=True)
        trials += [(point, course.portrait) for point in _chosen(job, course.points)]
    forks: dict[int, tuple[_Lane, Path]] = {}
    for number, (point, expected) in enumerate(trials):
        lane, result = lanes.pop(), Path(job.scratch) / f"{linger:g}-{number}.json"
        forks[_fork(lambda a=lane, p=point, e=expected, r=result: a.try_point(p, e, r))] = lane, result  # type: ignore[misc]
        if not lanes:
            yield from _reap(forks, lanes)
    while forks:
        yield from _reap(forks, lanes)


def _chosen(job: Job, points: list[Point]) -> list[Point]:
    if job.only:
        points = [point for point in points if point.what.startswith(tuple(job.only))]
    return _spread(points, job.most)


def _spread(points: list[Point], most: int) -> list[Point]:
    if not most or len(points) <= most:
        return points
    return [points[round(number * (len(points) - 1) / max(1, most - 1))] for number in range(most)]


def _reap(forks: dict[int, tuple[_Lane, Path]], lanes: list[_Lane]) -> list[Outcome]:
    """Wait until a lane is done with its point."""
    ospid, status = os.wait()
    lane, result = forks.pop(ospid)
    lanes.append(lane)
    if status:
        raise SystemExit(f"trying a point failed with status {status}; see {result.with_suffix('.error')}")
    return msgspec.json.decode(result.read_bytes(), type=list[Outcome])


class _Lane:
    """Where one point at a time is tried."""

    def __init__(self, job: Job, linger: float, number: int) -> None:
        self._job = job
        self._linger = linger
        self._ground = job.grounds[number] if job.grounds else None

    def undisturbed(self, *, hosted: bool = False) -> Course:
        """A whole life. Ends the program if it does not end as it should.

        Args:
            hosted: Steps run in step hosts.
        """
        folder = self._folder(f"{UNDISTURBED}{'-hosted' * hosted}-{self._linger:g}")
        course = self._course(self._fresh(folder), hosted=hosted)
        if course is None or course.portrait.late or course.portrait.left_behind:
            story = course.portrait.left_behind if course else ["the worker failed"]
            raise SystemExit(f"it does not even work undisturbed: {'; '.join(story)}; see {folder}/log")
        return course

    def try_point(self, point: Point, expected: Portrait, result: Path) -> None:
        """In a fork: a worker dies at the point and another one recovers; and, if that is asked for, dies
        too, at some of its points, and a third one recovers."""
        sys.stderr = result.with_suffix(".error").open("w")
        if point.in_host:
            result.write_bytes(msgspec.json.encode([self._kill_host(result.stem, expected, point)]))
            return
        first, course = self._attempt(result.stem, expected, point)
        outcomes = [first]
        if course is not None and first.verdict is Verdict.SAME and self._job.twice:
            for number, second in enumerate(_spread(course.points, self._job.twice)):
                outcomes.append(self._attempt(f"{result.stem}-{number}", expected, point, second)[0])
        result.write_bytes(msgspec.json.encode(outcomes))

    def _kill_host(self, name: str, expected: Portrait, point: Point) -> Outcome:
        """A step host dies at the point, and its worker goes on; what came of it."""
        folder = self._folder(name)
        course = self._course(self._fresh(folder), hosted=True, fatal=point)
        met = course is not None and point in course.points
        return self._outcome(folder, expected, course, 1, Verdict.SAME if met else Verdict.MISSED, point)

    def _attempt(self, name: str, expected: Portrait, *fatal: Point) -> tuple[Outcome, Course | None]:
        """One worker after another dies at its point, the last one recovers; what came of it."""
        folder = self._folder(name)
        location = self._fresh(folder)
        deaths, verdict = 0, Verdict.SAME
        for point in fatal:
            status = self._live(location, point, recovers=deaths > 0)
            if status != CRASHED:
                course, verdict = _read(folder) if status == 0 else None, Verdict.MISSED
                break
            deaths += 1
        else:
            course = self._course(location, recovers=True)
        return self._outcome(folder, expected, course, deaths, verdict, *fatal), course

    def _outcome(
        self,
        folder: Path,
        expected: Portrait,
        course: Course | None,
        deaths: int,
        verdict: Verdict,
        first: Point,
        second: Point | None = None,
    ) -> Outcome:
        failed = [f"a worker failed; see {folder}/log"]
        differences = compare(expected, course.portrait, deaths) if course else failed
        if not differences:
            shutil.rmtree(folder)
            return Outcome(first, self._linger, verdict, second=second)
        return Outcome(first, self._linger, Verdict.DIFFERENT, differences, str(folder), second)

    def _course(
        self,
        location: Location,
        *,
        recovers: bool = False,
        hosted: bool = False,
        fatal: Point | None = None,
    ) -> Course | None:
        """A life that no point cuts short (one in a step host does not); None if it failed."""
        status = self._live(location, fatal, recovers=recovers, hosted=hosted)
        return _read(location.folder) if status == 0 else None

    def _live(
        self, location: Location, fatal: Point | None = None, *, recovers: bool = False, hosted: bool = False
    ) -> int:
        """Live, in a fork; its exit status."""
        return _wait(_fork(lambda: _write(location.folder, live(
            location, linger=self._linger, patience=self._job.patience, ignore=self._job.ignore,
            fatal=fatal, recovers=recovers, hosted=hosted,
        ))))  # fmt: skip

    def _folder(self, name: str) -> Path:
        return Path(self._job.scratch) / name

    def _fresh(self, folder: Path) -> Location:
        template = Path(self._job.template)
        return embedded(template, folder) if self._ground is None else self._ground.fresh(template, folder)


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
