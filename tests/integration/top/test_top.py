"""`quince top`, driven by keys: what is seen is what the store says, and what is asked reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quince import StoreUnavailable, Workspace, find, set_limit, submit, submit_many
from quince.monitor.monitor import Monitor
from quince.workspace.location import Location
from quince_persistence.records import Selection
from tests import flows
from tests.crew import Crew
from tests.integration.top.screens import seen


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    place = Location(
        tmp_path, f"sqlite:///{tmp_path}/.quince/quince.db", f"local://{tmp_path}/.quince/messages"
    )
    with Workspace(place) as workspace:
        yield workspace


async def test_what_runs_is_seen_and_steered(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start(1)
    approval, bad = submit(flows.Approval, workspace=home), submit(flows.Fails, workspace=home)
    family = submit(flows.Family, children=3, workspace=home)
    family.result(60), bad.wait(60)
    async with seen(home) as screen:
        await screen.until("waits for signal approval")
        await screen.until("!ZeroDivisionError: as asked")
        assert [line for line in screen.lines if line.split()[:2] == [str(family.pid), "Family"]]
        await screen.press("2")
        await screen.until("test-worker-1")
        await screen.press("1", "slash")
        await screen.type("class=tests.flows:Approval")
        await screen.gone("Family")
        await screen.press("enter", "S")
        await screen.until("name:")
        await screen.press("enter")  # the name stands there
        await screen.press(*["backspace"] * 4)
        await screen.type("[1, 2]")
        await screen.press("enter")
        await screen.until("1 signalled: approval")
        await screen.until("finished")
        assert approval.result(60)["values"] == [[1, 2]]

        await screen.press("slash", "escape")
        await screen.until("Family")
        await screen.press("slash")
        await screen.type(str(bad.pid))
        await screen.press("enter")
        await screen.gone("Family")
        await screen.press("R")
        await screen.until("reason:")
        await screen.type("once more")
        await screen.press("enter")
        await screen.until("goes on from step run")
        await screen.press("enter", "3")
        await screen.until("retry by")
        assert "once more" in screen.text


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
async def test_a_process_with_its_tree_history_and_output(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start(1)
    gate = tmp_path / "gate"
    family = submit(flows.Family, children=3, workspace=home)
    family.result(60)
    talker = submit(flows.Talker, gate=str(gate), workspace=home)
    async with seen(home, str(family.pid)) as screen:
        await screen.until("Family")
        await screen.press("enter")
        await screen.until("total  6")
        assert "  launch" in screen.text
        await screen.press("2")
        await screen.until("└─")
        assert "3/3 done" in screen.text
        await screen.press("left")
        await screen.until("+ folded")
        assert "└─" not in screen.text
        await screen.press("right", "down", "enter")
        await screen.until("Double")
        await screen.press("escape", "escape", "slash")
        await screen.press(*["backspace"] * 9)
        await screen.type(str(talker.pid))
        await screen.press("enter")
        await screen.until("Talker")
        await screen.press("l")
        await screen.until("printed by a step")
        gate.touch()
        await screen.until("finished")


async def test_pause_play_and_kill_of_what_is_marked_keep_the_reason(here: Workspace) -> None:
    handles = submit_many(flows.add, [{"x": n} for n in range(4)], workspace=here)
    async with seen(here) as screen:
        await screen.until("add")
        await screen.press("space", "space", "p")
        await screen.until("Pause 2 processes")
        await screen.press("escape")
        await screen.gone("Pause 2 processes")
        assert not find(paused=True, workspace=here)
        for key, verb in (("p", "Pause"), ("P", "Play"), ("K", "Kill")):
            await screen.press(key)
            await screen.until(f"{verb} 2 processes")
            await screen.type(f"{verb} it: h, t, K and q")  # letters that are keys elsewhere
            await screen.press("enter")
            await screen.until("2 accepted")
            said = [e for e in handles[3].history() if e.kind == "control"][-1].body
            assert (said["verb"], said["reason"]) == (verb.lower(), f"{verb} it: h, t, K and q")
        assert [one.terminated for one in handles] == [False, False, True, True]


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
async def test_a_step_is_stopped_in_its_midst_by_force_and_begun_anew(home: Workspace, crew: Crew) -> None:
    crew.start(1)
    sleeper = submit(flows.Sleeper, workspace=home)
    async with seen(home) as screen:
        await screen.until(lambda: sleeper.state == "running")
        await screen.press("p")
        await screen.until("[ ] now, in the midst")
        await screen.press("ctrl+t")
        await screen.until("[x] now, in the midst")
        await screen.press("enter")
        await screen.until(lambda: sleeper.paused)
        await screen.until("paused (running)")
        await screen.press("P", "enter")
        await screen.until(lambda: not sleeper.paused)
        await screen.press("K")
        await screen.until("[ ] by force")
        await screen.press("ctrl+t", "enter")
        await screen.until(f"{sleeper.pid} killed")  # at once, and not by its worker
        said = [event.body for event in sleeper.history() if event.kind == "control"]
        assert [(one["verb"], one.get("now")) for one in said] == [
            ("pause", True),
            ("play", None),
            ("kill", None),
        ]

        await screen.press("N")
        await screen.until("Restart")
        await screen.type("again")
        await screen.press("enter")
        await screen.type("polish")
        await screen.press("enter")
        await screen.until("refused: ")
        await screen.press("N", "enter", "enter")
        await screen.until(f"{sleeper.pid} begins anew as")
        (anew,) = [one for one in find(workspace=home) if one.pid != sleeper.pid]
        assert anew.row.options.restart_of == sleeper.pid
        anew.kill(force=True)


class Counting:
    """Counts the rows that are asked for."""

    def __init__(self, home: Workspace) -> None:
        self._select, self.asked = home.store.select, []  # type: ignore[var-annotated]
        self.read = 0

    def __call__(self, selection: Selection) -> Any:
        found = self._select(selection)
        self.asked.append(selection.limit)
        self.read = max(self.read, len(found))
        return found


async def test_no_more_is_read_than_is_shown(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_many(flows.add, [{"x": n} for n in range(300)], workspace=here)
    counting = Counting(here)
    monkeypatch.setattr(here.store, "select", counting)
    async with seen(here) as screen:
        await screen.until("300 created")
        await screen.press("pagedown", "pagedown")
        await screen.until("page 2")
        await screen.press("end", "down")
        await screen.until("page 3")
        await screen.press("up")
        await screen.until("page 2")
        await screen.press("home")
        await screen.until("page 1")
        first = [line for line in screen.lines if " add " in line]
        await screen.press("slash")
        await screen.type("no such thing")
        await screen.until("no such processes")
    assert len(first) >= 16
    assert None not in counting.asked
    assert counting.read <= 24


async def test_a_word_that_makes_no_sense_is_answered_and_the_list_stays(here: Workspace) -> None:
    submit(flows.add, x=1, workspace=here)
    async with seen(here) as screen:
        await screen.until("add")
        await screen.press("slash")
        await screen.type("state=runing")
        await screen.until("'runing' is no state")
        assert " add " in screen.text
        await screen.press("escape")
        await screen.gone("is no state")


async def test_limits_queues_and_schedules_are_seen(here: Workspace) -> None:
    set_limit("licence", 3, workspace=here)
    submit(flows.add, x=1, workspace=here, queue="far")
    async with seen(here) as screen:
        await screen.press("3")
        await screen.until("far")
        await screen.press("4")
        await screen.until("3 at once")
        await screen.press("5")
        await screen.until("there is no schedule")
        await screen.press("question_mark")
        await screen.until("fold and unfold")
        await screen.press("q", "1")
        await screen.until("created")


async def test_texts_of_others_do_nothing(here: Workspace) -> None:
    nasty = "[red]x[/red]\x1b[31m\x1b]0;title\x07\n\u202eright"
    handle = submit(flows.add, x=1, key="a[bold]b", labels={"l": "[link=x]y"}, workspace=here)
    handle.pause(nasty)
    async with seen(here, size=(140, 24)) as screen:
        await screen.until("[red]x[/red]\\x1b[31m")
        await screen.press("enter")
        await screen.until("a[bold]b")
        assert "l=[link=x]y" in screen.text
        await screen.press("3")
        await screen.until("[red]x[/red]")
        assert not {"\x1b", "\x07", "\u202e"} & set(screen.text)


class Away(Monitor):
    """Whose store is away now and then."""

    away = False

    def processes(self, *arguments: Any, **options: Any) -> Any:
        if self.away:
            raise StoreUnavailable("the store does not answer")
        return super().processes(*arguments, **options)


async def test_a_store_that_is_away_is_said_and_awaited(here: Workspace) -> None:
    submit(flows.add, x=1, workspace=here)
    monitor = Away(here)
    async with seen(here, monitor=monitor) as screen:
        await screen.until(" add ")
        monitor.away = True
        await screen.until("! the store does not answer; it is tried again")
        assert " add " in screen.text
        monitor.away = False
        await screen.gone("does not answer")
