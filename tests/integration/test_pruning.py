"""Finding and pruning, by people and by workers, on either backend."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from quince import ProcessNotFound, Workspace, find, get_process, prune, run, submit
from quince.hosts.output_files import OutputFiles
from quince.workspace.location import Location
from quince_persistence.records import NewProcess, Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.crew import Crew, eventually
from tests.flows import Double, Fails, Family, add
from tests.forked import ForkServer
from tests.integration.commands import Quince


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Quince:
    return Quince(tmp_path, forks)


def crowd(store: Store, trees: int, children: int) -> list[int]:
    """Trees that have ended."""
    roots = store.allocate_pids(trees)
    store.insert([NewProcess(pid, "m:C", b"x" * 500, key=f"tree-{pid}") for pid in roots]).result()
    below = {
        root: [NewProcess(pid, "m:D", b"y", root, root) for pid in store.allocate_pids(children)]
        for root in roots
    }
    store.claim(roots, "w").result()
    for future in [store.commit(Step(root, "w", 1, State.RUNNING, children=below[root])) for root in roots]:
        future.result()
    store.claim([new.pid for some in below.values() for new in some], "w").result()
    everything = [*(new.pid for some in below.values() for new in some), *roots]
    ends = [store.commit(Step(pid, "w", 1, State.FINISHED, exit_status=0)) for pid in everything]
    assert not any(future.result().fenced for future in ends)
    return list(roots)


def test_a_pruned_tree_is_gone_for_everybody(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    family = submit(Family, children=3, workspace=home, key="family", labels={"study": "argon"})
    family.wait(60)
    failed = submit(Fails, workspace=home)
    failed.wait(60)
    (child, *_) = find(parent="family", workspace=home)
    printed = OutputFiles(home.location.folder)
    printed.make()
    printed.of(child.pid).write_text("what it has printed")
    assert {one.pid for one in find(labels={"study": "argon"}, workspace=home)} >= {family.pid, child.pid}
    assert find(failed=True, text="zerodivision", ended_since=None, workspace=home)[-1:] == [failed]

    found = prune(older_than="1 h", workspace=home)
    assert (found.processes, found.trees) == (0, [])
    dry = prune(older_than=0, labels={"study": "argon"}, dry_run=True, workspace=home)
    assert (dry.trees, dry.processes, dry.dry_run) == ([family.pid], 4, True)
    assert prune(processes=[child], workspace=home).kept == {
        child.pid: "it is a part of a tree, and only whole trees are pruned"
    }
    done = prune(older_than=0, failed_older_than="90 d", workspace=home)
    assert (done.trees, done.processes) == ([family.pid], 4)
    assert not printed.of(child.pid).exists()
    for gone in (family, child):
        for ask in (gone.wait, gone.result, lambda one=gone: one.state, gone.why, gone.tree, gone.kill):
            with pytest.raises(ProcessNotFound, match="it was pruned, or never was"):
                ask()
        assert gone.history() == []
    with pytest.raises(ProcessNotFound, match="no process has the key 'family'"):
        get_process("family", workspace=home)
    with pytest.raises(ProcessNotFound, match=r"there is no process 1\d{8} in this workspace \([^:]*\)$"):
        get_process(10**8, workspace=home)
    again = submit(add, inputs={"x": 1}, key="family", workspace=home)
    assert again.result(60) == {"result": 2}
    assert failed.state is State.EXCEPTED


def test_who_waits_for_one_that_is_pruned_is_told(home: Workspace) -> None:
    (pid,) = crowd(home.store, 1, 0)
    live = submit(Double, value=1, workspace=home)
    seen = home.watcher.wait([pid, live.pid], lambda row: row.pid != pid and row.terminated, timeout=0.3)
    assert {row.pid for row in seen} == {pid, live.pid}
    prune(older_than=0, workspace=home)
    assert home.watcher.wait([pid], lambda row: False, timeout=60) == []


def test_what_a_live_process_was_given_stays(home: Workspace, crew: Crew) -> None:
    first = run(add, x=1, workspace=home)
    assert first == {"result": 2}
    (given,) = find(cls=add, workspace=home)
    user = submit(add, inputs={"x": 1, "y": 2}, workspace=home)
    assert prune(processes=[given], dry_run=True, workspace=home).trees == [given.pid]
    holder = NewProcess(home.store.allocate_pids(1)[0], "m:C", b"", refers=[given.pid])
    home.store.insert([holder]).result()
    assert list(prune(older_than=0, workspace=home).kept.values()) == ["something that stays refers to it"]
    get_process(holder.pid, workspace=home).kill()
    user.kill()
    assert sorted(prune(older_than=0, workspace=home).trees) == sorted([given.pid, holder.pid, user.pid])


def test_workers_follow_the_policy(home: Workspace, location: Location, crew: Crew) -> None:
    roots = crowd(home.store, 30, 2)
    living = submit(Double, inputs={"value": 1}, queue="nobody", workspace=home)
    failed = submit(Fails, workspace=home)
    failed.kill()
    (location.folder / "quince.toml").write_text(
        '[retention]\nolder-than = "1 s"\nfailed-older-than = "90d"\n'
    )
    time.sleep(1.1)
    crew.start(2)
    eventually(lambda: not home.store.select(Selection(pids=roots)), what="the pruning")
    assert sum(home.store.counts().values()) == 2
    assert living.state is State.CREATED
    assert failed.state is State.KILLED


def test_a_prune_that_is_killed_leaves_whole_trees(quince: Quince) -> None:
    quince.good("init")
    with Workspace.at(quince.folder) as home:
        trees = crowd(home.store, 1500, 2)
        asked = quince.start("prune", "--all")
        eventually(lambda: home.store.pruned_to(), what="the first batch")
        asked.send_signal(signal.SIGKILL)
        asked.wait()
        left = home.store.select(Selection())
        sizes = home.store.tree_sizes(trees)
        assert sum(sizes.values()) == len(left)
        assert set(sizes.values()) <= {3}
        assert all(home.store.inputs(row.pid) for row in left)
        assert home.store.damage() == []
        said = quince.good("prune", "--all", "--json").document
        assert said["processes"] == len(left)
        assert home.store.select(Selection()) == []
        assert quince.good("prune", "--all").err == "nothing to prune\n"


def test_prune_and_find_from_the_shell(quince: Quince) -> None:
    said = quince.good("run", "steps.py:add", "x=1", "--key", "first", "--label", "study=argon", "--json")
    assert said.document["outputs"] == {"result": 2}
    assert quince("run", "steps.py:Part", "n=-1", "--label", "study=xenon", "--key", "7").status == 1
    rows = quince.good("ps", "--label", "study=argon", "--json").document
    assert [(row["key"], row["labels"]) for row in rows] == [("first", {"study": "argon"})]
    (bad,) = quince.good("ps", "--failed", "--text", "IS negative", "--since", "today", "--json").document
    assert bad["labels"] == {"study": "xenon"}
    hint = "no process has a label 'studdy'; did you mean 'study'?"
    assert hint in quince.good("ps", "--label", "studdy=argon").err
    assert "1 in the last 24 h: 1 Part (excepted)" in quince.good("status").out
    assert quince.good("status", "--json").document["failures"]["count"] == 1
    for command in ("show", "why", "tree", "logs", "wait", "result"):
        assert quince(command, "first").status == 0, command
    assert "study=xenon" in quince.good("show", "key:7").out
    (line,) = quince("show", "frist").err.splitlines()
    assert line.endswith("did you mean 'first'?")
    assert "no process has the key" in quince("kill", "\x1b[31mred").err
    assert "\x1b" not in quince("kill", "\x1b[31mred").err

    assert quince("prune").status == 2
    assert "30 days" in quince("prune", "--older-than", "30 days ago").err
    assert quince.good("prune", "--older-than", "30d").err == "nothing to prune\n"
    dry = quince.good("prune", "--all", "--dry-run", "--failed-older-than", "30d", "--older-than", "0s")
    assert dry.err == "1 process in 1 tree would be pruned\n"
    done = quince.good("prune", "first", "--vacuum")
    assert done.err.startswith("1 process in 1 tree pruned\nthe store took ")
    assert "it was pruned, or never was" in quince("show", str(rows[0]["pid"])).err
    assert quince("prune", "first").complaint().startswith("no process has the key 'first'")
    assert quince.good("prune", "--state", "excepted", "--json").document["trees"] == [bad["pid"]]


def test_the_file_gets_no_smaller_beside_workers(quince: Quince) -> None:
    quince.good("daemon", "start")
    try:
        refused = quince("prune", "--all", "--vacuum")
        assert refused.status == 1
        assert "quince daemon stop" in refused.complaint()
    finally:
        quince.good("daemon", "stop", "--timeout", "1")
    eventually(lambda: quince("prune", "--all", "--vacuum").status == 0, what="the vacuum")
