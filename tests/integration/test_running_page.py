"""What docs/running.md shows for systemd: systemd takes the unit, and its command does what is said of it."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import psutil
import pytest

from quince import Workspace, submit
from quince.settings import GRACE_SECONDS
from quince_persistence.records import State
from tests import flows
from tests.crew import ROOT, environment, eventually
from tests.integration.test_notices import EMBEDDED

PAGE = ROOT / "docs" / "running.md"
PROGRAM = Path(sys.executable).with_name("quince")


def unit(folder: Path, *, of_user: bool = False) -> str:
    """That of the page, for this installation and this folder; as the page says that a user changes it."""
    text: str
    (text,) = re.findall(r"^```ini\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    shown = {"/opt/quince/bin/quince": str(PROGRAM), "/srv/study": str(folder)}
    if of_user:
        shown |= {"User=eva\n": "", "WantedBy=multi-user.target": "WantedBy=default.target"}
    for theirs, ours in shown.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("of_user", [False, True])
def test_systemd_takes_the_unit(tmp_path: Path, of_user: bool) -> None:
    file = tmp_path / "quince-study.service"
    file.write_text(unit(tmp_path, of_user=of_user))
    done = subprocess.run(
        ["systemd-analyze", *["--user"] * of_user, "--man=no", "verify", str(file)],
        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if file.name in line] == []
    assert done.returncode == 0, done.stderr


@EMBEDDED
def test_its_command_works_until_its_signal_and_ends_its_steps_first(home: Workspace, tmp_path: Path) -> None:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit(tmp_path))
    service = parser["Service"]
    assert float(service["TimeoutStopSec"]) > GRACE_SECONDS
    assert f"after {GRACE_SECONDS:g} s" in PAGE.read_text()
    gate = tmp_path / "gate"
    handle = submit(flows.Blocker, gate=str(gate), workspace=home)
    log = tmp_path / "log"
    with log.open("wb") as stream:
        worker = psutil.Popen(
            shlex.split(service["ExecStart"]), cwd=service["WorkingDirectory"], stdin=subprocess.DEVNULL,
            stdout=stream, stderr=stream, env=environment(home.location),
        )  # fmt: skip
    try:
        eventually((tmp_path / "gate.blocked").exists, what="the step")
        below = worker.children(recursive=True)
        worker.send_signal(signal.Signals[service["KillSignal"]])
        eventually(lambda: " drains: " in log.read_text(), what="the end that begins")
        gate.touch()
        assert worker.wait(60) == 0, log.read_text()
        assert handle.row.state is State.FINISHED
        assert psutil.wait_procs(below, 30)[1] == []
    finally:
        if worker.poll() is None:
            worker.kill()
