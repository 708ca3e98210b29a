"""The pages in a real browser: they follow what happens, forms and keys work, and nothing of users acts."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince import Workspace, schedule, set_limit, submit
from quince_persistence.databases.sqlite_url import file_of
from tests.crew import Crew, eventually
from tests.flows import Approval, Double
from tests.integration.web.browser import Browser
from tests.integration.web.flows import Paints, Relax, Wide, says

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.parametrize("location", ["embedded"], indirect=True),
]


def test_a_process_is_found_paused_played_and_followed_to_its_end(
    browser: Browser, home: Workspace, crew: Crew
) -> None:
    assert "token" not in browser.ask("location.href")
    assert browser.ask("document.cookie") == ""
    crew.start()
    asks = submit(Approval, workspace=home, key="scan-1")
    browser.until("document.querySelector('#waiting').innerText.includes('scan-1')")  # nobody has reloaded it
    browser.press("l")
    browser.until("location.pathname === '/processes' && document.querySelector('.live.on') !== null")
    browser.press("j")
    browser.press("Enter")
    browser.until(f"location.pathname === '/process/{asks.pid}'")
    browser.until("document.querySelector('#do-pause') && document.querySelector('.live.on')")

    browser.press("p")
    browser.until("document.activeElement.name === 'reason'")
    browser.write("let me look <b>first</b>")
    browser.press("Enter")
    browser.until("document.querySelector('#answers').innerText.includes('paused')")
    assert asks.paused
    browser.until("document.querySelector('#why').innerText.includes('let me look <b>first</b>')")
    browser.press("c")
    browser.until("document.querySelector('#do-play').open && document.activeElement.name === 'reason'")
    browser.press("Enter")
    eventually(lambda: not asks.paused)
    browser.until("document.querySelector('#state').innerText.includes('waiting')")

    asks.signal("approval", "yes")
    browser.until("document.querySelector('#outputs').innerText.includes('yes')")
    browser.until("document.querySelector('#state').innerText.includes('finished')")
    assert browser.complaints == []


def test_a_failed_point_is_repaired_in_the_browser(browser: Browser, home: Workspace, crew: Crew) -> None:
    crew.start()
    bad = submit(Relax, volumes=[], workspace=home)
    bad.wait(60)
    browser.go(browser.ask("location.origin") + f"/process/{bad.pid}")
    browser.press("r")
    browser.until("document.querySelector('#do-retry').open")
    browser.ask("document.querySelector('[name=\"input.volumes\"]').closest('details').open = true")
    browser.ask("document.querySelector('[name=\"input.volumes\"]').select()")
    browser.write("[1, 2]")
    browser.ask("document.querySelector('#do-retry button.go').click()")
    browser.until("document.querySelector('#answers').innerText.length > 5", 60)
    assert "refused" not in browser.ask("document.querySelector('#answers').innerText")
    browser.until("document.querySelector('#state').innerText.includes('finished')", 60)
    assert bad.exit_status == 0
    assert browser.complaints == []


def test_what_cannot_be_undone_is_confirmed_and_a_new_process_is_a_link_away(
    browser: Browser, home: Workspace, crew: Crew
) -> None:
    crew.start()
    set_limit("licence", 3, workspace=home)
    schedule(Double, name="nightly", cron="0 2 * * *", inputs={"value": 3}, workspace=home)
    bad = submit(Relax, volumes=[], workspace=home)
    bad.wait(60)
    origin, answers = browser.ask("location.origin"), "document.querySelector('#answers').innerText"

    browser.go(f"{origin}/limits")
    change, remove = (f"document.querySelectorAll('.more details')[{number}]" for number in (0, 1))
    browser.ask(f"{change}.open = true")
    browser.until("document.activeElement.name === 'slots'")
    browser.ask("document.activeElement.select()")
    browser.write("5")
    browser.press("Enter")
    browser.until(f"{answers}.includes('licence is set')")
    assert [row.slots for row in home.store.limits()] == [5]
    browser.until("document.querySelector('#limits td.right + td.right').innerText === '5'")
    assert (
        browser.ask(f"{remove}.querySelector('button').checkVisibility()") is False
    )  # it is asked for first
    browser.ask(f"{remove}.querySelector('summary').click()")
    browser.ask(f"{remove}.querySelector('button').click()")
    browser.until("document.querySelector('#limits').innerText.includes('None.')")

    browser.go(f"{origin}/schedules")
    browser.ask("document.querySelector('.more details.sheet-of summary').click()")
    browser.ask("document.querySelector('.more details.sheet-of button').click()")
    browser.until("document.querySelector('#schedules').innerText.includes('None.')")
    assert home.store.schedules() == []

    browser.go(f"{origin}/process/{bad.pid}")
    browser.press("n")
    browser.until("document.activeElement.name === 'from'")
    browser.ask("document.querySelector('#do-restart details').open = true")
    browser.ask("document.querySelector('#do-restart [name=\"input.volumes\"]').select()")
    browser.write("[1, 2]")
    browser.ask("document.querySelector('#do-restart button.go').click()")
    browser.until("document.querySelector('#answers a')", 60)
    browser.ask("document.querySelector('#answers a').click()")
    browser.until(f"location.pathname !== '/process/{bad.pid}' && document.querySelector('#state')")
    browser.until("document.querySelector('#state').innerText.includes('finished')", 60)
    assert browser.ask("document.querySelector('#facts').innerText").split().count("restart") == 1
    assert browser.complaints == []


def test_every_page_fits_a_screen_and_a_phone_and_nothing_acts(
    browser: Browser, home: Workspace, crew: Crew
) -> None:
    crew.start()
    hostile = "<img src=x onerror='window.acted=1'>\"'><script>window.acted=1</script>" + "long" * 40
    set_limit("licence", 3, workspace=home)
    schedule(Double, name="nightly", cron="0 2 * * *", inputs={"value": 3}, workspace=home)
    paints, said = submit(Paints, workspace=home), submit(says, text=hostile, workspace=home)
    study = submit(Relax, volumes=[1, 2, 3], workspace=home, labels={"study": hostile[:60]}, key=hostile[:60])
    for handle in (paints, said, study):
        handle.wait(60)
    origin = browser.ask("location.origin")
    pages = ["/", "/processes", "/schedules", "/limits", "/workers"]
    pages += [f"/process/{one.pid}" for one in (paints, said, study)]
    pages += [f"/process/{study.pid}/{view}" for view in ("tree", "graph", "timeline", "history")]
    pages += [f"/process/{said.pid}/output"]
    for width, dark in ((1280, False), (390, True)):
        browser.size(width, 900, dark=dark)
        for page in pages:
            browser.go(origin + page)
            assert browser.ask("document.documentElement.scrollWidth <= innerWidth"), (page, width)
            assert browser.ask("window.acted") is None
            assert browser.ask("document.body.innerText.length > 80")
            seen = "[...document.images].filter((one) => one.loading !== 'lazy')"
            assert browser.ask(f"{seen}.every((one) => one.complete && one.naturalWidth > 0)")
    assert browser.complaints == []


def test_a_page_that_cannot_be_renewed_says_so_until_it_can(browser: Browser, home: Workspace) -> None:
    asks = submit(Approval, workspace=home)
    browser.go(browser.ask("location.origin") + f"/process/{asks.pid}")
    store = Path(file_of(home.location.store) or "")
    store.rename(store.with_name("away"))
    browser.until("document.querySelector('#old')?.innerText.includes('was moved')")
    assert browser.ask("document.querySelector('.live.on')") is None
    store.with_name("away").rename(store)
    browser.until("!document.querySelector('#old') && document.querySelector('.live.on')")


def test_a_tree_of_a_thousand_is_folded_and_unfolded(browser: Browser, home: Workspace, crew: Crew) -> None:
    crew.start()
    wide = submit(Wide, n=1000, workspace=home)
    wide.wait(120)
    browser.go(browser.ask("location.origin") + f"/process/{wide.pid}/tree")
    rows = "document.querySelectorAll('[data-row]').length"
    first = browser.ask(rows)
    assert 100 < first < 200
    browser.ask("document.querySelector('.more a').click()")
    browser.until(f"{rows} > {first + 100}")
    browser.press("j")
    browser.press("o")
    browser.until("!document.querySelector('.tree details').open")
    assert browser.complaints == []
