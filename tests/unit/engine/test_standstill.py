"""What a program has started stands still while it is not certain that it is still wanted."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, os, signal, subprocess, time
from quince.hosts import standstill
from quince.os_process import since_boot
from quince.processes.program_guard import descendants

standstill.SILENCE_SECONDS = 0.05
guard, seen = standstill.Standstill(), {}
children = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
os.kill(children[1].pid, signal.SIGSTOP)

def note(what):
    time.sleep(0.05)
    states = descendants()
    seen[what] = [states[child.pid] for child in children]

guard.look()
note("never heard")
guard.heard(None)
note("heard")
before = since_boot()
time.sleep(0.1)
assert guard.look() == standstill.LOOK_SECONDS
note("silent")
guard.heard(None)
note("it lives")
guard.heard(before - 1)
note("it was known")
guard.heard(since_boot())
note("it is known")
time.sleep(0.1)
guard.heard(None)
note("heard too late")
for child in children:
    child.kill()
    child.wait()
print(json.dumps(seen))
"""


def test_they_go_on_when_it_is_certain_again() -> None:
    """And who was stopped by somebody else is left to him."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == {
        "never heard": ["S", "T"],
        "heard": ["S", "T"],
        "silent": ["T", "T"],
        "it lives": ["T", "T"],
        "it was known": ["T", "T"],
        "it is known": ["S", "T"],
        "heard too late": ["T", "T"],
    }
