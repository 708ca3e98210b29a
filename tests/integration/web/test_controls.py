"""What is asked for on the pages happens, with its reason and the name of who asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from quince import Workspace, get_process, get_schedule, schedule, submit
from tests.crew import Crew, eventually
from tests.flows import Approval, Double, Sleeper
from tests.integration.web.conftest import ORIGIN, Pages
from tests.integration.web.flows import Relax


def test_pause_play_signal_kill(pages: Pages, home: Workspace, crew: Crew) -> None:
    crew.start()
    asks, asleep = submit(Approval, workspace=home), submit(Sleeper, workspace=home)
    eventually(lambda: asks.state == "waiting" and asleep.state == "running")
    assert "paused" in pages.post("/control", pid=asks.pid, verb="pause", reason="lunch <b>")
    assert asks.paused
    assert "lunch <b>" in pages.text(f"/process/{asks.pid}/history")
    assert [event.author for event in asks.history() if event.kind == "control"] == ["ida"]
    assert "playing" in pages.post("/control", pid=asks.pid, verb="play")
    assert "signalled" in pages.post(
        "/control", pid=asks.pid, verb="signal", name="approval", value='{"ok": 1}'
    )
    assert asks.result(60) == {"values": [{"ok": 1}]}
    assert str(asleep.pid) in pages.post("/control", pid=asleep.pid, verb="kill", force="1", reason="enough")
    asleep.wait(60)
    assert asleep.exit_message == "enough"
    assert "refused" in pages.post("/control", 409, pid=asleep.pid, verb="pause")
    assert "no process" in pages.post("/control", 409, pid=10**9, verb="signal", name="x", value="1")


def test_many_at_once_and_another_place(pages: Pages, home: Workspace) -> None:
    handles = [submit(Double, value=n, workspace=home) for n in range(3)]
    told = pages.post("/control", pid=[one.pid for one in handles], verb="pause", reason="all of them")
    assert told.count("paused") == 3
    assert all(one.paused for one in handles)
    assert "8" in pages.post("/control", pid=handles[0].pid, verb="set", priority="8", queue="gpu")
    row = handles[0].row
    assert (row.priority, row.queue) == (8, "gpu")
    for wrong in ({"priority": "11"}, {"priority": "-1"}, {"priority": "x"}, {"queue": "run:x"}):
        pages.post("/control", 409, pid=handles[0].pid, verb="set", **wrong)


NONSENSE: Sequence[dict[str, object]] = [
        {"verb": "pause"}, {"verb": "pause", "pid": "x"}, {"verb": "pause", "pid": "-1"},
        {"verb": "explode", "pid": "1"}, {"pid": "1"}, {"verb": "pause", "pid": "9" * 30},
        {"verb": "signal", "pid": "1", "name": "", "value": "1"}, {"verb": "retry", "pid": "1"},
        {"verb": "kill", "pid": ["1"] * 2500}, {"verb": "restart", "pid": "9"},
        {"verb": "restart", "pid": ["1", "2"]}, {"verb": "restart", "pid": "1", "from": "--help"},
    ]  # fmt: skip


def test_what_makes_no_sense_is_refused_in_a_sentence(pages: Pages, home: Workspace) -> None:
    submit(Double, value=1, workspace=home)
    for form in NONSENSE:
        assert len(pages.post("/control", 409, **form)) > 10


def test_a_failed_point_is_repaired_with_corrected_inputs(pages: Pages, home: Workspace, crew: Crew) -> None:
    crew.start()
    bad = submit(Relax, volumes=[], title="a = b & c", workspace=home)
    bad.wait(60)
    page = pages.get(f"/process/{bad.pid}")
    assert 'name="input.volumes"' in page
    assert 'name="was.title" value="a = b &amp; c"' in page
    same = {"input.title": "a = b & c", "was.title": "a = b & c", "was.volumes": "[]"}
    told = pages.post("/control", 409, pid=bad.pid, verb="retry", **same, **{"input.volumes": "seven"})
    assert "volumes" in told
    assert bad.state == "excepted"
    told = pages.post(
        "/control", pid=bad.pid, verb="retry", reason="it was empty", **same, **{"input.volumes": "[1, 2]"}
    )
    assert "goes on" in told or "begins anew" in told
    bad.wait(60)
    assert bad.exit_status == 0
    assert bad.inputs["title"] == "a = b & c"
    assert "it was empty" in pages.text(f"/process/{bad.pid}/history")


def test_a_point_that_was_put_aside_is_repaired_too(pages: Pages, home: Workspace, crew: Crew) -> None:
    crew.start()
    bad = submit(Relax, volumes=[], title="aside", on_failure="pause", workspace=home)
    eventually(lambda: bad.paused)
    assert 'name="input.volumes"' in pages.get(f"/process/{bad.pid}")
    corrected = {"was.volumes": "[]", "input.volumes": "[1, 2]"}
    assert "goes on" in pages.post("/control", pid=bad.pid, verb="retry", **corrected)
    bad.wait(60)
    assert bad.exit_status == 0


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
def test_a_process_is_begun_anew_from_a_step_with_other_inputs(
    pages: Pages, home: Workspace, crew: Crew
) -> None:
    crew.start()
    study = submit(Relax, volumes=[1, 2], workspace=home)
    study.wait(60)
    page = pages.get(f"/process/{study.pid}")
    assert 'placeholder="the first one"' in page
    wrong = pages.post("/control", 409, pid=study.pid, verb="restart", **{"from": "polish"})
    assert "no checkpoint before a step 'polish'" in wrong
    assert "volumes" in pages.post("/control", 409, pid=study.pid, verb="restart", **{"input.volumes": "7"})
    told = pages.post(
        "/control", pid=study.pid, verb="restart", reason="<b>more</b>", **{"input.volumes": "[3]"}
    )
    anew = get_process(int(re.findall(r"begins anew as (\d+)", told)[0]), workspace=home)
    anew.wait(60)
    assert (anew.inputs["volumes"], anew.row.options.restart_of) == ([3], study.pid)
    assert "<b>more</b>" in pages.text(f"/process/{anew.pid}/history")

    bad = submit(Relax, volumes=[], workspace=home)
    bad.wait(60)
    assert '<option value="launch">' in pages.get(f"/process/{bad.pid}")
    answer = pages.send("/control", pid=bad.pid, verb="restart", **{"from": "launch"})
    link = re.findall(r'<a href="/process/(\d+)">\1</a>, from (.*)', answer.text)
    assert [step for _, step in link] == ["its first step"]


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
def test_a_step_is_stopped_in_its_midst_and_by_force_of_many_at_once(
    pages: Pages, home: Workspace, crew: Crew
) -> None:
    crew.start()
    asleep = [submit(Sleeper, workspace=home) for _ in range(2)]
    eventually(lambda: all(one.state == "running" for one in asleep))
    pids = [one.pid for one in asleep]
    pages.post("/control", pid=pids, verb="pause", now="1", force="1", reason="a look")
    eventually(lambda: all(one.paused for one in asleep))
    pages.post("/control", pid=pids, verb="kill", now="1", force="1", reason="enough")
    for one in asleep:
        one.wait(60)
        asked = [event.body for event in one.history() if event.kind == "control"]
        assert [(body["verb"], body["reason"]) for body in asked] == [("pause", "a look"), ("kill", "enough")]


def test_schedules_and_limits_are_steered(pages: Pages, home: Workspace) -> None:
    schedule(Double, name="nightly", cron="0 2 * * *", inputs={"value": 3}, workspace=home)
    assert "paused" in pages.post("/schedule", name="nightly", verb="pause")
    assert get_schedule("nightly", workspace=home).paused
    assert "playing" in pages.post("/schedule", name="nightly", verb="play")
    assert "was made" in pages.post("/schedule", name="nightly", verb="trigger")
    pages.post("/schedule", 409, name="daily", verb="pause")
    pages.post("/schedule", 409, name="nightly", verb="forget")
    assert "nightly" in pages.text("/schedules")
    assert "removed" in pages.post("/schedule", name="nightly", verb="remove")
    assert "nightly" in pages.post("/schedule", 409, name="nightly", verb="remove")
    assert "None." in pages.text("/schedules")
    assert "is set" in pages.post("/limit", name="licence", slots="4", rate="30/min")
    assert "30/min" in pages.text("/limits")
    for wrong in ({"name": "licence"}, {"name": "x", "slots": "-1"}, {"name": "x", "rate": "often"}):
        pages.post("/limit", 409, **wrong)
    page = pages.get("/limits")
    assert re.search(r'name="slots"[^>]* value="4"', page)
    assert re.search(r'name="rate"[^>]* value="30/min"', page)
    assert "is set" in pages.post("/limit", name="licence", verb="set", slots="", rate="100/12 h")
    (rate,) = re.findall(r'name="rate"[^>]* value="([^"]+)"', pages.get("/limits"))
    assert "is set" in pages.post("/limit", name="licence", verb="set", slots="7", rate=rate)
    (row,) = home.store.limits()
    assert (row.slots, row.rate, row.per) == (7, 100, 43200.0)
    assert "removed" in pages.post("/limit", name="licence", verb="remove")
    assert "no limit 'licence'" in pages.post("/limit", 409, name="licence", verb="remove")
    pages.post("/limit", 409, name="licence", verb="forget", slots="1")
    assert home.store.limits() == []


def test_forms_work_without_script_too(pages: Pages, home: Workspace) -> None:
    handle = submit(Double, value=1, workspace=home)
    for referer, back in (
        (f"{ORIGIN}/process/{handle.pid}", f'href="/process/{handle.pid}"'),
        ("http://evil.example/x", 'href="/"'),
        (f"{ORIGIN}//evil.example", 'href="/"'),
    ):
        answer = pages.ask(
            "POST", "/control",
            headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Referer": referer},
            data={"pid": handle.pid, "verb": "pause", "form_key": pages.site.form_key},
        )  # fmt: skip
        assert answer.status_code == 200
        assert back in answer.text
