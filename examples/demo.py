"""`make demo`: Quince at work, told by its own command line. Nothing is left running."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

QUINCE = str(Path(sys.executable).with_name("quince"))
EXAMPLE = Path(__file__).resolve().parent / "equation_of_state"
FIGURE = Path(__file__).resolve().parents[1] / ".demo" / "argon.png"
console = Console(highlight=False)


def story() -> None:
    tell("A workspace with nothing in it, and two workers. Store and messages are embedded: no server.")
    quince("daemon", "start", "--workers", "2", "--slots", "2")
    delay = pace()
    tell(
        "A crystal of argon: one child process for each of nine volumes, then a fit. Each takes "
        f"{2 * delay:.0f} seconds."
    )
    quince("submit", "equation_of_state/workflow.py:EquationOfState", f"delay={delay}")
    children = wait_for(lambda: ask("ps", "--parent", "1"), lambda rows: any(r["worker"] for r in rows))
    quince("tree", "1")
    held = max(row["pid"] for row in children)
    tell("Hold one of them back, from outside. The others go on, and the parent waits for all.")
    quince("pause", str(held), "--reason", "let me look at it first")
    workers = ask("daemon", "status")["workers"]
    victim = max(workers, key=lambda worker: worker["held"])
    many = "one process" if victim["held"] == 1 else f"{victim['held']} processes"
    tell(f"Now kill {victim['name']} outright, while it holds {many}.")
    console.print(f"[bold green]$ kill -9 {victim['process']}")
    os.kill(victim["process"], signal.SIGKILL)
    wait_for(lambda: ask("daemon", "status")["workers"], lambda now: {w["id"] for w in now} != ids(workers))
    quince("tree", "1")
    tell("Its processes run elsewhere, from their last checkpoint, and the daemon has replaced it.")
    quince("daemon", "status")
    tell("Let the one that was held back go on, and wait for the end.")
    quince("play", str(held))
    quince("wait", "1", "--timeout", "120")
    quince("tree", "1")
    tell("What happened to the one that was held back:")
    quince("logs", str(held))
    tell("The result, as any program gets it with --json (argon: lattice constant 5.25 A at this volume):")
    outputs = ask("result", "1")["outputs"]
    for name, unit in (("volume", "A^3 per atom"), ("energy", "eV per atom"), ("bulk_modulus", "GPa")):
        console.print(f"    {name:13}[bold]{outputs[name]:10.4f}[/] {unit}")
    FIGURE.parent.mkdir(exist_ok=True)
    FIGURE.write_bytes(base64.b64decode(outputs["plot"]))
    console.print(f"    figure         {FIGURE.relative_to(EXAMPLE.parents[1])}")


def pace() -> float:
    """Seconds for each of a child's two steps: enough for the commands that are to come meanwhile, also on
    a machine that is slow or busy."""
    began = time.monotonic()
    ask("status")
    return round(max(1.5, 2.5 * (time.monotonic() - began)), 1)


def ids(workers: Any) -> set[str]:
    return {worker["id"] for worker in workers}


def tell(sentence: str) -> None:
    console.print(f"\n[bold yellow]{sentence}")


def quince(*words: str) -> None:
    """Run a command as a person would."""
    console.print(f"[bold green]$ quince {' '.join(w if ' ' not in w else repr(w) for w in words)}")
    subprocess.run([QUINCE, *words], check=True)


def ask(*words: str) -> Any:
    """What a program sees of the same command."""
    return json.loads(subprocess.run([QUINCE, *words, "--json"], capture_output=True, check=True).stdout)


def wait_for(look: Any, enough: Any) -> Any:
    deadline = time.monotonic() + 60
    while not enough(seen := look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"the demo waited in vain; the last it saw: {seen}")
        time.sleep(0.2)
    return seen


def main() -> None:
    for variable in ("QUINCE_STORE", "QUINCE_BROKER"):
        os.environ.pop(variable, None)
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quince-demo-") as name:
        shutil.copytree(EXAMPLE, Path(name, EXAMPLE.name))
        os.chdir(name)
        try:
            story()
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sign, signal.SIG_IGN)
            tell("Stop the daemon; nothing is left.")
            quince("daemon", "stop", "--timeout", "5")
            os.chdir(EXAMPLE)
    console.print(f"\n[bold]That took {time.monotonic() - started:.0f} seconds.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("the demo was interrupted")
    except subprocess.CalledProcessError as error:
        sys.exit(f"the demo stopped: quince {error.cmd[1]} ended with status {error.returncode}")
