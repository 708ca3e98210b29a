"""Every command, as a program of its own, with a daemon that is started and stopped for real."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quince import Workspace, find
from quince.settings import host_name
from quince.workspace.location import locate
from tests.crew import eventually
from tests.forked import ForkServer
from tests.integration.commands import Quince

PROMISED = {
    "pid", "parent", "class", "state", "paused", "status", "exit_status", "exit_message", "queue",
    "priority", "worker", "created", "updated", "ended",
}  # fmt: skip


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Iterator[Quince]:
    """A workspace without a daemon; one that a test starts is stopped."""
    command = Quince(tmp_path, forks)
    yield command
    command("daemon", "stop", "--timeout", "1")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, forks: ForkServer) -> Iterator[Quince]:
    """A workspace with a daemon of two workers, for all tests of this module."""
    command = Quince(tmp_path_factory.mktemp("busy"), forks)
    command.good("daemon", "start", "-n", "2")
    yield command
    command.good("daemon", "stop", "--timeout", "1")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file for which processes wait; a test makes it, and in the end nothing waits any more."""
    file = tmp_path / "gate"
    yield file
    file.touch()


# Launching


def test_run_prints_outputs_and_ends_with_how_it_ended(quince: Quince) -> None:
    done = quince.good("run", "steps.py:Whole", "n=3")
    assert done.out.split() == ["total", "6"]
    assert "part 2 begins" in done.err
    assert quince.good("run", "steps:add", "x=2", "--json").document["outputs"] == {"result": 3}
    failed = quince("run", "steps.py:Whole", "n=0")
    assert (failed.status, failed.out) == (1, "")
    assert failed.complaint().endswith("ended with exit status 410: 0 is too small")
    excepted = quince("run", "steps.py:Part", "n=-1", "--json")
    assert excepted.status == 1
    assert excepted.document["error"]["type"] == "ValueError"
    assert "raise ValueError" in excepted.document["error"]["traceback"]


def test_submit_without_a_daemon_keeps_the_process_until_it_comes(quince: Quince) -> None:
    kept = quince.good("submit", "steps.py:Whole", "n=2")
    pid = int(kept.out)
    assert "no worker is running" in kept.err
    assert quince.row(pid)["state"] == "created"
    quince.good("daemon", "start")
    assert quince.good("wait", str(pid), "--timeout", "30").out == f"{pid} Whole finished 0\n"
    assert quince.good("result", str(pid), "--json").document["outputs"] == {"total": 2}


def test_submit_and_wait(busy: Quince) -> None:
    done = busy.good("submit", "steps.py:Whole", "n=4", "--wait")
    assert done.out.split() == ["total", "12"]
    failed = busy("submit", "steps.py:Part", "n=-1", "--wait", "--json")
    assert (failed.status, failed.document["state"]) == (1, "excepted")


def test_key_queue_and_priority(busy: Quince) -> None:
    words = ("steps.py:Part", "n=1", "--key", "only one", "--priority", "7")
    pid = busy.submit(*words)
    again = busy.good("submit", *words)
    assert int(again.out) == pid
    assert again.err == f"key only one is taken by process {pid}, which is returned\n"
    other = busy.good("submit", "steps.py:Part", "n=2", "--key", "only one")
    assert other.err == f"key only one is taken by process {pid}, which is returned; its inputs differ\n"
    assert {key: busy.row(pid)[key] for key in ("key", "priority")} == {"key": "only one", "priority": 7}
    elsewhere = busy.good("submit", "steps.py:Part", "n=1", "--queue", "elsewhere")
    assert "no worker takes the queue 'elsewhere'" in elsewhere.err
    assert busy.good("status", "--json").document["backlog"] == {"elsewhere": 1}
    busy.good("kill", elsewhere.out.strip())


def test_inputs_from_a_file(busy: Quince) -> None:
    (busy.folder / "inputs.json").write_text('{"x": 40, "y": 1}')
    pid = busy.submit("steps.py:add", "@inputs.json", "y=2")
    busy.good("wait", str(pid))
    assert busy.row(pid)["inputs"] == {"x": 40, "y": 2}
    assert busy.good("result", str(pid)).out.split() == ["result", "42"]


def test_ctrl_c_on_run_kills_the_process_and_is_quiet(quince: Quince, gate: Path) -> None:
    running = quince.start("run", "steps.py:Part", "n=1", f"gate={gate}", stderr=subprocess.PIPE)
    assert running.stderr is not None
    assert "part 1 begins" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    _, rest = running.communicate(timeout=30)
    assert running.returncode == 130
    (row,) = quince.good("ps", "--json").document
    assert rest == f"interrupted; process {row['pid']} is killed\n"
    assert row["state"] == "killed"


@pytest.mark.parametrize("words", [("submit", "steps.py:Part", "n=1", "--wait"), ("wait",)])
def test_ctrl_c_on_waiting_leaves_the_process(quince: Quince, words: tuple[str, ...]) -> None:
    if words == ("wait",):
        words = ("wait", str(quince.submit("steps.py:Part", "n=1")))
    waiting = quince.start(*words, stderr=subprocess.PIPE)
    assert waiting.stderr is not None
    if words[0] == "submit":
        assert "submitted" in waiting.stderr.readline()
        assert "no worker is running" in waiting.stderr.readline()
    listening = f".quince/messages/*/peers/{waiting.pid}-*.lock"
    eventually(lambda: list(quince.folder.glob(listening)), what="the wait")
    waiting.send_signal(signal.SIGINT)
    _, rest = waiting.communicate(timeout=30)
    (row,) = quince.good("ps", "--json").document
    assert (waiting.returncode, rest) == (130, f"interrupted; process {row['pid']} goes on\n")
    assert row["state"] == "created"


def test_waiting_tells_of_a_pause_and_ends_when_nothing_can_go_on(busy: Quince, gate: Path) -> None:
    (busy.folder / "gone.py").write_text((busy.folder / "steps.py").read_text())
    pid = busy.submit("gone.py:Part", "n=1", "--queue", "nobody")
    (busy.folder / "gone.py").unlink()
    waiting = busy.start("wait", str(pid), stderr=subprocess.PIPE)
    assert waiting.stderr is not None
    busy.good("pause", str(pid), "--reason", "lunch")
    assert waiting.stderr.readline().startswith(f"process {pid} is paused: lunch; `quince play {pid}`")
    late = busy("wait", str(pid), "--timeout", "0.1")
    assert (late.status, "paused it" in late.err.splitlines()[-1]) == (1, True)
    waiting.kill()
    waiting.communicate()

    (busy.folder / "gone.py").write_text((busy.folder / "steps.py").read_text())
    held = busy.submit("gone.py:Part", "n=1", f"gate={gate}", "--queue", "other")
    (busy.folder / "gone.py").unlink()
    worker = busy.start("worker", "--queue", "other", stderr=subprocess.DEVNULL)
    try:
        ended = busy("wait", str(held), "--timeout", "30")
    finally:
        worker.terminate()
        worker.wait(30)
    assert ended.status == 1
    assert "cannot be loaded: there is no module 'gone'" in ended.complaint()
    busy.good("kill", str(pid), str(held))


def test_a_document_stands_alone_on_stdout_whatever_users_print(quince: Quince) -> None:
    (quince.folder / "chatty.py").write_text(
        "import subprocess\n"
        "from quince import process\n"
        "print('imported')\n"
        "@process\n"
        "def loud(x: int) -> int:\n"
        "    print('in the step')\n"
        "    subprocess.run(['echo', 'in a child'], check=True)\n"
        "    return x\n"
    )
    done = quince.good("run", "chatty.py:loud", "x=3", "--json")
    assert done.document["outputs"] == {"result": 3}
    for words in ("imported", "in the step", "in a child"):
        assert words in done.err
    assert quince.good("submit", "chatty.py:loud", "x=3", "--json").document["state"] == "created"
    assert "in the step" in quince.good("run", "chatty.py:loud", "x=3").out


# Looking


def test_ps_lists_what_is_chosen(busy: Quince, gate: Path) -> None:
    parent = busy.submit("steps.py:Whole", "n=2", f"gate={gate}")
    busy.until(parent, "waiting")
    tree = busy.good("ps", str(parent), "--tree", "--json").document
    assert [row["class"] for row in tree] == ["steps:Whole", "steps:Part", "steps:Part"]
    assert set(tree[0]) >= PROMISED
    family = ("ps", "--parent", str(parent))
    children = busy.good(*family, "--class", "Part", "--state", "live", "--json").document
    assert {row["pid"] for row in children} == {row["pid"] for row in tree[1:]}
    assert all(row["state"] == "running" and row["worker"] for row in children)
    assert busy.good(*family, "--state", "finished", "--json").document == []
    assert parent in {row["pid"] for row in busy.good("ps", "--since", "1h", "--json").document}
    assert busy.good("ps", "--since", "2999-01-01", "--json").document == []
    assert len(busy.good("ps", "--limit", "1", "--json").document) == 1
    gate.touch()
    busy.good("wait", str(parent), "--timeout", "30")


def test_a_class_is_found_by_every_name_by_which_it_may_be_submitted(quince: Quince) -> None:
    folder = quince.folder
    (folder / "sub").mkdir(exist_ok=True)
    shutil.copy(folder / "steps.py", folder / "sub" / "my-steps.py")
    file, own = quince.submit("steps.py:Part", "n=1"), quince.submit("sub/my-steps.py:Part", "n=1")
    for name in ("steps.py:Part", "steps:Part", "./steps.py:Part", f"{folder}/steps.py:Part", "Part"):
        found = quince.good("ps", "--class", name, "--json").document
        assert [row["pid"] for row in found] == ([file, own] if name == "Part" else [file]), name
    for name in ("sub/my-steps.py:Part", f"{folder}/sub/../sub/my-steps.py:Part"):
        assert [row["pid"] for row in quince.good("ps", "--class", name, "--json").document] == [own], name
    with Workspace(locate(folder)) as home:
        for name in ("steps.py:Part", "./steps.py:Part", "steps:Part"):
            with contextlib.chdir(folder):
                assert [one.pid for one in find(cls=name, workspace=home)] == [file]
        with pytest.warns(UserWarning, match="no process is of a class 'steps.py:Prat'"):
            assert find(cls="steps.py:Prat", workspace=home) == []
    assert "no process is of a class 'steps.py:Prat'" in quince("ps", "--class", "steps.py:Prat").err
    assert "class" not in quince("ps", "--class", "steps.py:Part", "--failed").err


def test_ps_for_people_piped_has_no_colours_and_whole_lines(busy: Quince) -> None:
    pid = busy.submit("steps.py:Part", "n=-1")
    busy("wait", str(pid))
    head, line = busy.good("ps", str(pid)).out.splitlines()
    assert head.split() == ["PID", "PARENT", "CLASS", "STATE", "STEP", "EXIT", "WORKER", "TOOK", "AGE"]
    assert line.split()[:5] == [str(pid), "-", "Part", "✘", "excepted"]
    assert "ValueError: -1 is negative" in line
    assert "\x1b" not in line


def test_show_tells_the_whole_story(busy: Quince) -> None:
    pid = busy.submit("steps.py:Part", "n=-1")
    assert busy("wait", str(pid)).status == 1
    story = busy.good("show", str(pid)).out
    for words in (
        "steps:Part",
        "excepted",
        "Inputs",
        "raise ValueError",
        "part -1 begins",
        "→ excepted",
    ):
        assert words in story
    document = busy.row(pid)
    assert set(document) >= PROMISED | {"inputs", "outputs", "error", "children", "history"}
    assert [event["text"] for event in document["history"] if event["kind"] == "report"] == ["part -1 begins"]
    assert document["ended"].endswith("Z")


def test_tree_shows_descendants_with_durations(busy: Quince) -> None:
    pid = busy.submit("steps.py:Whole", "n=3")
    busy.good("wait", str(pid))
    first, *others = busy.good("tree", str(pid)).out.splitlines()
    assert first.startswith(f"{pid} Whole  ✔ finished")
    assert "3/3 done" in first
    assert len(others) == 3
    document = busy.good("tree", str(pid), "--json").document
    assert [child["class"] for child in document["children"]] == ["steps:Part"] * 3


def test_logs_tell_reports_and_controls_with_author_and_reason(busy: Quince, gate: Path) -> None:
    pid = busy.submit("steps.py:Whole", "n=1", f"gate={gate}")
    busy.until(pid, "waiting")
    busy.good("pause", str(pid), "--reason", "the disk is full", "--wait")
    busy.good("play", str(pid))
    gate.touch()
    busy.good("wait", str(pid), "--timeout", "30")
    lines = busy.good("logs", str(pid)).out.splitlines()
    assert lines[0].endswith(": the disk is full")
    assert "pause by " in lines[0]
    assert "play by " in lines[1]
    assert "created" in busy.good("logs", str(pid), "--states").out
    assert "part 0 begins" in busy.good("logs", str(pid), "--tree").out
    (child,) = busy.row(pid)["children"]
    events = busy.good("logs", str(child["pid"]), "--json").document["events"]
    assert {"report", "state"} <= {event["kind"] for event in events}


def test_logs_show_what_steps_print_while_they_do(busy: Quince, gate: Path) -> None:
    pid = str(busy.submit("steps.py:Speaks", f"gate={gate}"))
    lines: list[str] = []
    with busy.start("logs", pid, "--output", "-f", stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        while not lines or lines[-1] != "it waits":
            lines.append(follower.stdout.readline().removesuffix("\n"))
        gate.touch()
        lines += follower.stdout.read().splitlines()
    assert follower.returncode == 0
    headings = [line for line in lines if line.startswith(f"=== process {pid}, ")]
    assert ["step end" in line for line in headings] == [False, True]
    assert [line for line in lines if line not in headings] == [
        "to everybody:   green, amqp://me:***@host/", "10%", "by a program", "100 %", "it waits", "the end",
    ]  # fmt: skip
    whole = busy.good("logs", pid, "--output").out
    assert "step begin, " in whole.splitlines()[0]
    assert busy.good("logs", pid, "--output", "-n", "1").out == "it waits\nthe end\n"
    document = busy.good("logs", pid, "--output", "--json").document
    assert "\r90 %\r100 %\nit waits\nthe end" in document["output"]
    assert document["elsewhere"] == []
    assert "amqp" not in busy.good("daemon", "logs").out


def test_logs_say_where_output_is_if_it_is_not_here(busy: Quince) -> None:
    pid = str(busy.submit("steps.py:add", "x=1"))
    busy.good("wait", pid)
    here = busy.good("logs", pid, "--output")
    assert (here.out, here.err[:40]) == ("", f"nothing is kept of what process {pid} printed"[:40])
    there = busy.good("logs", pid, "--output", "-f", QUINCE_HOST="another")
    assert there.err == f"process {pid} ran on {host_name()}: what it printed there is kept there\n"
    assert busy("logs", pid, "-n", "3").complaint().startswith("--lines goes with --output")


def test_result_of_several_and_of_one_that_has_not_ended(busy: Quince, gate: Path) -> None:
    good, late = busy.submit("steps.py:Part", "n=4"), busy.submit("steps.py:Part", "n=5", f"gate={gate}")
    busy.good("wait", str(good))
    ended = busy("result", str(good), str(late))
    assert ended.status == 1
    assert "double  8" in ended.out
    assert ended.complaint().startswith(f"process {late} has not ended")
    gate.touch()
    both = busy.good("result", str(good), str(late), "--wait", "--json").document
    assert [one["outputs"]["double"] for one in both] == [8, 10]


def test_why_says_what_to_do_when_a_class_is_not_there(busy: Quince) -> None:
    (busy.folder / "gone.py").write_text(
        "import os\n"
        "from quince import process\n"
        "assert 'QUINCE_SUPERVISOR' not in os.environ, 'not on workers'\n"
        "@process\n"
        "def work() -> int:\n"
        "    return 1\n"
    )
    pid = busy.submit("gone.py:work")
    busy.until(pid, "running", paused=True)
    sentence, cure, advice = busy.good("why", str(pid)).out.splitlines()
    assert sentence.startswith(f"{pid}: it is held: it cannot be loaded: ")
    assert "not on workers" in sentence
    assert "with the environment of `quince daemon start`" in cure
    assert advice.strip() == f"`quince play {pid}` lets it go on when that is mended"
    step = busy.good("ps", str(pid)).out.splitlines()[1]
    assert "not on workers" not in step
    busy.good("kill", str(pid))


def test_wait_is_over_in_time(busy: Quince, gate: Path) -> None:
    pid = busy.submit("steps.py:Part", "n=1", f"gate={gate}")
    late = busy("wait", str(pid), "--timeout", "0.2")
    assert late.status == 1
    assert late.complaint().startswith(f"not ended after 0.2 s: {pid}: it ")
    gate.touch()
    busy.good("wait", "--class", "Part", "--state", "live", "--timeout", "30")


def test_a_terminal_gets_colours_and_progress(busy: Quince) -> None:
    screen = on_a_terminal(busy, "submit", "steps.py:Whole", "n=2", "--wait")
    assert "2/2 children" in screen
    assert "\x1b[" in screen
    plain = on_a_terminal(busy, "ps", "--limit", "3", NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert "finished" in plain


# Controlling


def test_a_process_that_no_worker_holds_is_controlled_without_a_daemon(quince: Quince) -> None:
    pid = quince.submit("steps.py:Part", "n=1")
    paused = quince.good("pause", str(pid), "--json").document
    assert paused == [{"pid": pid, "verb": "pause", "accepted": True, "applied": True, "message": "paused"}]
    assert quince.row(pid)["paused"] is True
    assert quince.good("ps", "--state", "paused", "--json").document[0]["pid"] == pid
    assert quince.good("play", str(pid)).out == f"{pid} playing\n"
    assert quince.good("kill", str(pid), "-r", "no need").out == f"{pid} killed\n"
    refused = quince("pause", str(pid))
    assert refused.status == 1
    assert str(pid) in refused.complaint()
    assert quince("result", str(pid)).complaint() == f"process {pid} was killed: no need"


def test_a_running_step_is_killed_by_force(busy: Quince, gate: Path) -> None:
    pid = busy.submit("steps.py:Part", "n=1", f"gate={gate}")
    busy.until(pid, "running")
    busy.good("kill", str(pid), "--force", "--wait", "--timeout", "30")
    assert busy.row(pid)["state"] == "killed"


def test_a_tree_is_paused_played_and_killed(busy: Quince, gate: Path) -> None:
    pid = busy.submit("steps.py:Whole", "n=2", f"gate={gate}")
    busy.until(pid, "waiting")
    assert len(busy.good("pause", str(pid), "--tree", "--json").document) == 3
    busy.until(pid, "waiting", paused=True)
    busy.good("play", str(pid), "--tree")
    busy.good("kill", str(pid))
    gate.touch()  # a blocking step is not cut off without --force
    assert busy("wait", str(pid), "--tree", "--timeout", "30").status == 1
    assert {row["state"] for row in busy.good("ps", str(pid), "--tree", "--json").document} == {"killed"}


def test_all_of_them_at_once(quince: Quince) -> None:
    pids = [quince.submit("steps.py:Part", f"n={n}") for n in range(3)]
    done = quince.good("pause", "--all", "--json").document
    assert [answer["pid"] for answer in done] == pids
    assert all(answer["applied"] for answer in done)
    assert quince.good("play", "--state", "paused", "--class", "Part", "--json").document
    assert quince.good("ps", "--state", "paused", "--json").document == []
    quince.good("kill", "--all")
    assert {row["state"] for row in quince.good("ps", "--json").document} == {"killed"}
    assert quince.good("kill", "--all", "--json").document == []


def test_a_signal_is_sent_with_its_value(busy: Quince) -> None:
    first, second = busy.submit("steps.py:Asks"), busy.submit("steps.py:Asks")
    busy.until(first, "waiting")
    assert "it waits for signal answer" in busy.good("why", str(first)).out
    assert "waits for signal answer" in busy.good("tree", str(first)).out
    busy.good("signal", str(first), "noise")
    sent = busy.good("signal", str(first), str(second), "answer", "--value", '{"x": [1, 2]}', "--json")
    assert [(one["pid"], one["signal"], one["accepted"]) for one in sent.document] == [
        (first, "answer", True),
        (second, "answer", True),
    ]
    busy.good("wait", str(first), str(second), "--timeout", "30")
    for result in busy.good("result", str(first), str(second), "--json").document:
        assert result["outputs"] == {"answer": {"x": [1, 2]}}
    assert "signal answer by " in busy.good("logs", str(first)).out
    refused = busy("signal", str(first), "answer")
    assert (refused.status, refused.complaint()) == (1, f"process {first} has terminated (finished)")
    assert busy("signal", "nonsense").status == 2
    assert busy("signal", str(first), "").status == 2


# The daemon and the workspace


def test_the_daemon_lives_and_ends(quince: Quince) -> None:
    down = quince("daemon", "status")
    assert (down.status, down.out) == (1, "the daemon does not run; start it with `quince daemon start`\n")
    quince.good("daemon", "start", "-n", "1", "--slots", "3")
    state = quince.good("daemon", "status", "--json").document
    assert (state["running"], [worker["slots"] for worker in state["workers"]]) == (True, [3])
    again = quince("daemon", "start")
    assert again.status == 1
    assert "runs already" in again.complaint()
    quince.good("daemon", "scale", "2")
    workers = eventually(lambda: two_workers(quince), what="the second worker")
    quince.good("daemon", "restart")
    eventually(lambda: workers.isdisjoint(two_workers(quince) or workers), what="new workers")
    assert "worker-1" in quince.good("status").out
    family = [psutil.Process(state["process"]), *psutil.Process(state["process"]).children(recursive=True)]
    assert quince.afresh("daemon", "stop").status == 0  # a fork would be back before the daemon's last breath
    assert not any(_lives(member) for member in family)
    assert "no daemon was running" in quince.good("daemon", "stop").err


def test_of_two_daemons_at_once_one_is_told_that_the_other_runs(quince: Quince) -> None:
    starts = [
        quince.start("daemon", "start", "-n", number, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for number in "12"
    ]
    ends = [start.communicate(timeout=60)[1] for start in starts]
    statuses = [start.returncode for start in starts]
    assert sorted(statuses) == [0, 1], ends
    assert "runs already" in ends[statuses.index(1)]
    wanted = statuses.index(0) + 1
    assert quince.good("daemon", "status", "--json").document["wanted"] == wanted


def test_workers_that_outlive_their_daemon_are_named_and_ended(quince: Quince, gate: Path) -> None:
    quince.good("daemon", "start")
    pid = quince.submit("steps.py:Part", "n=1", f"gate={gate}")
    quince.until(pid, "running")
    state = quince.good("daemon", "status", "--json").document
    (worker,) = (psutil.Process(one["process"]) for one in state["workers"])
    psutil.Process(state["process"]).kill()
    left = eventually(
        lambda: quince("daemon", "status", "--json").document["survivors"], what="the daemon's death"
    )
    assert left == [{"name": "worker-1", "process": worker.pid}]
    told = quince("daemon", "status")
    assert told.status == 1
    assert f"worker-1 (process {worker.pid}) still lives" in told.out
    started = quince.good("daemon", "start").err
    assert f"worker-1 (process {worker.pid}), left of an earlier one" in started
    assert len(started.splitlines()) == 1
    assert f"worker-1 (process {worker.pid}) of an earlier daemon" in quince.good("status").out
    ended = quince.good("daemon", "stop", "--timeout", "5")
    assert f"worker-1 (process {worker.pid})" in ended.err
    assert not _lives(worker)
    assert quince("daemon", "status", "--json").document["survivors"] == []


def test_the_logs_of_the_daemon(busy: Quince) -> None:
    everything = busy.good("daemon", "logs").out
    for name in ("==> daemon <==", "==> worker-1 <==", "==> worker-2 <=="):
        assert name in everything
    assert len(busy.good("daemon", "logs", "daemon", "-n", "1").out.splitlines()) == 1
    lines = busy.good("daemon", "logs", "worker-1", "-n", "5", "--json").out.splitlines()
    assert {json.loads(line)["log"] for line in lines} == {"worker-1"}
    assert 1 <= len(lines) <= 5
    unknown = busy("daemon", "logs", "worker-9")
    assert unknown.complaint() == "no log is called 'worker-9'; there are daemon, worker-1, worker-2"
    following = busy.start("daemon", "logs", "-f", "-n", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert following.stdout is not None
    while following.stdout.readline() != "==> worker-2 <==\n":
        pass
    number = os.getpid()
    pid = busy.submit("steps.py:Part", f"n={number}")
    assert any(f"part {number} begins" in line for line in iter(following.stdout.readline, ""))
    following.send_signal(signal.SIGINT)
    _, complaint = following.communicate(timeout=30)
    assert (following.returncode, complaint) == (130, "")
    busy.good("wait", str(pid))


def test_status_tells_store_broker_workers_and_counts(busy: Quince) -> None:
    busy.good("submit", "steps.py:Part", "n=1", "--wait")
    document = busy.good("status", "--json").document
    assert document["store"]["ok"]
    assert document["broker"]["ok"]
    assert document["daemon"]["running"]
    assert [worker["name"] for worker in document["workers"]] == ["worker-1", "worker-2"]
    assert document["counts"]["finished"] >= 1
    words = busy.good("status").out
    assert "sqlite:///" in words
    assert "2 workers of 64 slots" in words


def test_init_writes_down_what_answers(quince: Quince, tmp_path: Path) -> None:
    quince.good("init", "--store", f"sqlite:///{tmp_path}/mine.db")
    assert f'store = "sqlite:///{tmp_path}/mine.db"' in (tmp_path / "quince.toml").read_text()
    assert quince.good("status", "--json").document["store"]["url"].endswith("mine.db")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert quince.good("-C", str(inner), "init").err.startswith(f"workspace {inner}")
    assert (inner / ".quince").is_dir()
    quince.good("init", "--upgrade")
    below = tmp_path / "c"
    below.mkdir()
    (tmp_path / ".quince").mkdir(exist_ok=True)
    upgraded = subprocess.run(
        quince.command("init", "--upgrade"), cwd=below, env=quince.environment(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert upgraded.stderr.startswith(f"workspace {tmp_path}\n")
    assert not (below / ".quince").exists()


def test_a_command_finds_the_workspace_above_or_as_it_is_told(quince: Quince, tmp_path: Path) -> None:
    quince.good("init")
    pid = quince.submit("steps.py:Part", "n=1")
    inner = tmp_path / "inner"
    inner.mkdir()
    for words, folder in (((), inner), (("-C", str(tmp_path)), Path("/"))):
        done = subprocess.run(
            quince.command(*words, "ps", "--json"), cwd=folder, env=quince.environment(),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f'"pid": {pid},' in done.stdout
    assert not (inner / ".quince").exists()


@pytest.mark.postgres
@pytest.mark.rabbitmq
def test_passwords_are_never_shown(quince: Quince, postgres_url: str, rabbitmq_url: str) -> None:
    store = postgres_url.replace("quince@", "quince:s3cret@")
    quince.good("init", "--store", store, "--broker", rabbitmq_url)
    ended = quince.good("status")
    assert "s3cret" not in ended.out + ended.err
    assert "guest:guest" not in ended.out + ended.err
    assert quince.good("submit", "steps.py:Part", "n=1").out.strip().isdigit()


def test_a_reader_that_goes_away_is_no_trouble(busy: Quince) -> None:
    busy.submit("steps.py:Part", "n=1")
    for words in (("ps", "--all"), ("ps", "--all", "--json")):
        listing = busy.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert listing.stdout is not None
        listing.stdout.close()
        assert listing.stderr is not None
        with listing.stderr:
            assert listing.stderr.read() == ""
        listing.wait(30)


def _lives(member: psutil.Process) -> bool:
    """It runs, and is not the remains of one that nobody has collected yet."""
    return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)


def two_workers(quince: Quince) -> set[int]:
    """The operating-system processes of the workers, if there are just two."""
    workers = {w["process"] for w in quince.good("daemon", "status", "--json").document["workers"]}
    return workers if len(workers) == 2 else set()


def on_a_terminal(quince: Quince, *words: str, **environment: str) -> str:
    """What a command writes to a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        quince.command(*words), cwd=quince.folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env=quince.environment(COLUMNS="120", TERM="xterm-256color", **environment), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    chunks = []
    while chunk := _read(ours):
        chunks.append(chunk)
    os.close(ours)
    assert process.wait(30) == 0
    return b"".join(chunks).decode()


def _read(descriptor: int) -> bytes:
    """What comes next; nothing when the terminal has been closed (Linux: EIO)."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
