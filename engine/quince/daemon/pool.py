"""The workers of a daemon: those that are wanted, and the processes that are leaving."""

from __future__ import annotations

from quince.daemon.report import WorkerReport
from quince.daemon.wanted_worker import Launch, WantedWorker
from quince.daemon.worker_process import Stage, WorkerProcess


class WorkerPool:
    """Has as many workers as are wanted.

    Attributes:
        wanted: By number, from 1 on.
        leaving: Processes that were asked to leave, until they have.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.wanted: dict[int, WantedWorker] = {}
        self.leaving: list[WorkerProcess] = []

    def resize(self, count: int) -> None:
        """Want so many from now on; those that are too many leave."""
        for number in range(1, count + 1):
            self.wanted.setdefault(number, WantedWorker(number))
        for number in [number for number in self.wanted if number > count]:
            for process in self.wanted.pop(number).processes:
                self.dismiss(process)

    def dismiss(self, process: WorkerProcess) -> None:
        """It is to leave, and nobody waits for it: another may start in its place at once."""
        process.leave()
        self.leaving.append(process)

    def look_at_leaving(self) -> None:
        """Escalate with those that take too long, and forget those that have ended."""
        for process in self.leaving:
            process.look()
        self.leaving = [process for process in self.leaving if process.stage is not Stage.ENDED]

    def keep_running(self) -> None:
        """Start those that have ended, or never were, when that is due."""
        for worker in list(self.wanted.values()):
            worker.keep_running(self.launch)

    @property
    def at_work(self) -> bool:
        """A worker is, or none is wanted."""
        stages = [one.process.stage for one in self.wanted.values() if one.process is not None]
        return Stage.RUNNING in stages or not self.wanted

    @property
    def trouble(self) -> str | None:
        """Why one of them is not, in one sentence."""
        return next((one.trouble for one in self.wanted.values() if one.trouble), None)

    @property
    def ready_pipes(self) -> list[int]:
        """Where those that are starting say that they are ready."""
        processes = [process for worker in self.wanted.values() for process in worker.processes]
        return [process.descriptor for process in processes if process.descriptor is not None]

    @property
    def reports(self) -> tuple[WorkerReport, ...]:
        """How all of them stand."""
        leaving = (
            WorkerReport(one.name, one.ospid, one.stage.value, trouble=one.trouble) for one in self.leaving
        )
        return (*(worker.report for worker in self.wanted.values()), *leaving)
