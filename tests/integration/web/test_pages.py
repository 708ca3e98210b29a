"""Every page, of a workspace in which something of every kind has happened."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pytest

from quince import Workspace, get_schedule, schedule, set_limit, submit
from quince.monitor import words
from tests.crew import Crew, eventually
from tests.flows import Approval, Double, Sleeper
from tests.integration.web.conftest import Pages
from tests.integration.web.flows import Paints, Relax, Wide

SVG = "{http://www.w3.org/2000/svg}"


def test_every_page_shows_what_there_is(pages: Pages, home: Workspace, crew: Crew) -> None:
    crew.start()
    set_limit("licence", 3, workspace=home)
    schedule(Double, name="nightly", cron="0 2 * * *", inputs={"value": 3}, workspace=home)
    asks = submit(Approval, workspace=home, labels={"study": "argon"}, key="scan-1")
    study = submit(Relax, volumes=[1.0, 2.0, 3.0], workspace=home)
    bad = submit(Relax, volumes=[], workspace=home)
    paints = submit(Paints, workspace=home)
    asleep = submit(Sleeper, workspace=home, limits=["licence"])
    study.wait(60), bad.wait(60), paints.wait(60)
    asleep.pause("let me look", now=True)
    eventually(lambda: asks.state == "waiting" and asleep.paused)

    overview = pages.text("/")
    assert "1 waiting" in overview
    assert "1 paused" in overview
    assert "ValueError: nothing to relax" in overview
    listed = pages.text("/processes?label=study%3Dargon")
    assert "scan-1" in listed
    assert "Relax" not in listed.partition("Took")[2]
    assert "quince ps --label study=argon" in listed
    assert "there is no process 999" in pages.text("/processes?pid=999")
    assert "'odd' is no state" in pages.get("/processes?state=odd", 400).replace("&#39;", "'")

    shown = pages.text(f"/process/{asks.pid}")
    assert "signal 'approval'" in shown or "signal approval" in shown
    assert "let me look" in pages.text(f"/process/{asleep.pid}")
    failed = pages.text(f"/process/{bad.pid}")
    assert "Traceback" in failed
    assert "ValueError: nothing to relax" in failed
    assert "Retry" in failed

    tree = pages.text(f"/process/{study.pid}/tree")
    assert tree.count("Double") == 3
    assert "3/3" in tree
    timeline = pages.get(f"/process/{study.pid}/timeline")
    assert timeline.count('class="running"') >= 4
    assert 'class="critical"' in timeline
    assert "relaxing 3 volumes" in pages.text(f"/process/{study.pid}/output")
    assert "all are relaxed" in pages.text(f"/process/{study.pid}/history")
    assert "nightly" in pages.text("/schedules")
    assert "0 2 * * * UTC" in pages.text("/schedules")
    assert "licence 1 3" in pages.text("/limits")
    assert "test-worker-1" in pages.text("/workers")
    assert "default" in pages.text("/workers")
    pages.get("/process/999999999", 404), pages.get("/nowhere", 404)


def test_the_outline_is_shown_with_the_current_step_and_without_loading_the_class(
    pages: Pages, home: Workspace, crew: Crew
) -> None:
    crew.start()
    asks = submit(Approval, workspace=home)
    eventually(lambda: asks.state == "waiting")
    here = eventually(lambda: pages.get(f"/process/{asks.pid}").partition('aria-current="step"')[2])
    here = here.partition("</div>")[0]
    assert "decide" in here
    assert "ask" not in here


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
def test_many_limits_and_schedules_with_long_names_are_shown_page_by_page(
    pages: Pages, home: Workspace
) -> None:
    names = [f"{number:02} {'<&>' * 30}" for number in range(45)]
    for name in names:
        set_limit(name, 3, rate="30/min", workspace=home)
        schedule(Double, name=name, cron="0 2 * * *", inputs={"value": 3}, workspace=home)
        for _ in range(6):
            get_schedule(name, workspace=home).pause()
    for path in ("/limits", "/schedules"):
        seen, further = list[str](), [""]
        while further:
            page = pages.get(path + unescape(further[0]))  # never too large
            seen += re.findall(r"<tr data-row><td>(\d\d) ", page)
            further = re.findall(r'rel="next" href="([^"]+)"', page)
        assert seen == [name[:2] for name in names]


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
def test_the_tree_and_the_outline_are_drawn_with_links(pages: Pages, home: Workspace, crew: Crew) -> None:
    crew.start()
    wide = submit(Wide, n=150, workspace=home)
    asks = submit(Approval, workspace=home)
    wide.wait(60)
    eventually(lambda: asks.state == "waiting")

    def drawings(pid: int) -> list[ElementTree.Element]:
        page = pages.get(f"/process/{pid}/graph")
        return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]

    def said(drawing: ElementTree.Element) -> list[str]:
        return [str(one.text) for one in drawing.iter(f"{SVG}text")]

    tree, outline = eventually(lambda: found if len(found := drawings(wide.pid)) == 2 else [])
    children = home.store.children([wide.pid], most=2)
    links = [one.get("href") for one in tree.iter(f"{SVG}a")]
    assert links[:3] == [f"/process/{pid}" for pid in (wide.pid, children[0].pid, children[1].pid)]
    assert (len(links), links[-1]) == (101, f"/processes?parent={wide.pid}")
    assert "… 51 more" in said(tree)
    assert said(outline) == ["start", "launch", "end", "end"]
    assert list(outline.iter(f"{SVG}a")) == []
    _, outline = eventually(lambda: found if len(found := drawings(asks.pid)) == 2 else [])
    steps = {one.findtext(f"{SVG}text"): one.find(f"{SVG}rect") for one in outline.iter(f"{SVG}g")}
    assert [name for name, box in steps.items() if box is not None and "current" in box.attrib["class"]] == [
        "decide"
    ]


def test_arrays_and_pictures_are_shown_as_such(pages: Pages, home: Workspace, crew: Crew) -> None:
    crew.start()
    paints = submit(Paints, workspace=home)
    paints.wait(60)
    page = pages.get(f"/process/{paints.pid}")
    assert "ndarray of float64, 200" in page
    assert '<svg class="spark"' in page
    assert "ndarray of float64, 3 × 3" in page
    assert page.count("/picture?of=outputs&amp;number=") == 2
    assert "flows:Settings" in page
    assert "whose class is not loaded here" in page
    for number in (0, 1):
        answer = pages.ask("GET", f"/process/{paints.pid}/picture?of=outputs&number={number}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content.startswith(b"\x89PNG")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert pages.ask("GET", f"/process/{paints.pid}/picture?of=outputs&number=7").status_code == 404


@pytest.mark.parametrize(
    ("words", "leads"),
    [
        ("scan-1", "/process/"),
        ("state=running argon", "/processes?state=running&text=argon"),
        ("nothing like it", "/processes?text=nothing+like+it"),
        ("", "/processes"),
    ],
)
def test_words_lead_to_a_process_or_a_list(words: str, leads: str, pages: Pages, home: Workspace) -> None:
    submit(Double, value=1, workspace=home, key="scan-1")
    answer = pages.ask("GET", "/find", params={"q": words})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(leads)


def test_prometheus_may_read_the_metrics_of_the_store(pages: Pages, home: Workspace) -> None:
    submit(Double, value=1, workspace=home)
    token = {"Authorization": f"Bearer {pages.site.access.token}"}
    answer = pages.ask("GET", "/metrics", known=False, headers=token)
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'quince_store_processes{state="created"} 1.0' in answer.text


RANK = {"created": 0, "running": 1, "finished": 2}


@pytest.mark.parametrize("location", ["embedded"], indirect=True)
def test_a_tree_of_a_thousand_is_seen_as_it_is_while_it_runs(
    pages: Pages, home: Workspace, crew: Crew
) -> None:
    """What a page shows of each process is not older than the page's beginning, nor newer than its end."""
    crew.start(slots=4)
    wide = submit(Wide, n=1000, workspace=home)
    eventually(lambda: len(home.store.tree(wide.pid)) > 1000, 60)

    def states() -> dict[int, int]:
        return {row.pid: RANK.get(words.shown(row), 0) for row in home.store.tree(wide.pid)}

    looks = 0
    while not wide.terminated or looks < 2:
        before, page, after = states(), pages.get(f"/process/{wide.pid}/tree"), states()
        shown = re.findall(r'id="n(\d+)".*?class="state is-(\w+)"', page, flags=re.DOTALL)
        assert len(shown) > 100
        for pid, state in ((int(pid), state) for pid, state in shown):
            if pid != wide.pid:
                assert before[pid] <= RANK[state] <= after[pid], (pid, state)
        looks += 1
    assert "1,000/1,000" in pages.text(f"/process/{wide.pid}/tree")
