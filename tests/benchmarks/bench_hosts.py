"""Memory of step hosts: of one that is idle, of many that are at work in a module that imports much, and
how many are left when there is nothing to do.

    python -m tests.benchmarks.bench_hosts [--module numpy] [--hosts 64]

PSS: what is shared with others counts in parts. Own: what is shared with nobody.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from quince import ProcessHandle, Workspace, submit_many
from tests.benchmarks.bench_chains import places
from tests.crew import Crew, eventually

SOURCE = """
import time
from pathlib import Path

{imports}
from quince import Process


class Waits(Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("gate", valid_type=str)

    def run(self):
        Path(self.inputs.gate + f"-{{self.pid}}").touch()
        while not Path(self.inputs.gate).exists():
            time.sleep(0.05)
"""
IDLE_SECONDS = 22


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--module", default="numpy", help="what the heavy module imports")
    parser.add_argument("--hosts", type=int, default=64)
    options = parser.parse_args()
    with places("embedded") as location:
        (location.folder / "light.py").write_text(SOURCE.format(imports=""))
        (location.folder / "heavy.py").write_text(SOURCE.format(imports=f"import {options.module}"))
        sys.path.insert(0, str(location.folder))
        crew = Crew(location)
        with Workspace(location) as home:
            try:
                (worker,) = crew.start(1, slots=options.hosts)
                print(f"worker: {memory([psutil.Process(worker.process.pid)])}")
                at_work(home, worker.process.pid, "light", 1)
                at_work(home, worker.process.pid, "heavy", 1)
                at_work(home, worker.process.pid, "heavy", options.hosts)
                time.sleep(IDLE_SECONDS)
                left = hosts(worker.process.pid)
                print(f"{IDLE_SECONDS} s after that: {len(left)} hosts, {memory(left)}")
            finally:
                crew.close()


def at_work(home: Workspace, worker: int, module: str, count: int) -> None:
    """Measure while so many steps run."""
    cls = __import__(module).Waits
    gate = Path(home.location.folder) / f"gate-{module}-{count}"
    began = time.perf_counter()
    handles = submit_many(cls, [{"gate": str(gate)}] * count, workspace=home)
    busy = eventually(lambda: at_work_now(worker, gate, handles), 120, f"{count} hosts at work")
    seconds = time.perf_counter() - began
    time.sleep(1)
    print(f"{count} at work in {module}, after {seconds:.1f} s: {memory(busy)}")
    print(f"  their templates: {memory(templates(worker))}")
    gate.touch()
    for handle in handles:
        handle.result(timeout=60)
    time.sleep(1)
    idle = hosts(worker)
    print(f"  then idle: {len(idle)} hosts, {memory(idle)}")


def at_work_now(worker: int, gate: Path, handles: Sequence[ProcessHandle]) -> list[psutil.Process]:
    """The hosts, if all of these run there."""
    return hosts(worker) if all(Path(f"{gate}-{handle.pid}").exists() for handle in handles) else []


def hosts(worker: int) -> list[psutil.Process]:
    """The step hosts of a worker: the programs without children below it that are no templates."""
    known = {one.pid for one in templates(worker)}
    return [one for one in psutil.Process(worker).children(recursive=True) if one.pid not in known]


def templates(worker: int) -> list[psutil.Process]:
    """Its templates: what it has forked itself, and what has forked others below that."""
    (first,) = psutil.Process(worker).children()
    return [first, *(one for one in first.children() if one.children())]


def memory(programs: list[psutil.Process]) -> str:
    """What they take together, and on the average."""
    found = [one.memory_full_info() for one in programs]
    pss, own, count = sum(one.pss for one in found), sum(one.uss for one in found), max(1, len(found))
    each = f"{pss / count / 1e6:.1f} MB each, {own / count / 1e6:.1f} MB its own"
    return f"{pss / 1e6:.0f} MB PSS together, {each}"


if __name__ == "__main__":
    main()
