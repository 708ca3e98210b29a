"""Views in notebooks: nothing of what processes say is HTML, and long things are cut short."""

from __future__ import annotations

import re
from typing import Any

import pytest

from quince import ProcessExcepted, WorkChain, append_, find, process, submit
from quince.client.outputs import Values
from quince.notebook.views import MOST_BRANCHES, MOST_ROWS, html_of
from quince.testing import Sandbox, sandbox
from quince_persistence.codec import decode, encode

NASTY = "<script>alert(1)</script>\"'&\x1b[31m"


@process
def shout(words: str) -> dict[str, str]:
    return {"said": words}


@process
def fails(words: str) -> int:
    raise ValueError(words)


class Crowd(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("children", valid_type=int)
        spec.outline(cls.launch, cls.end)

    def launch(self) -> None:
        for _ in range(self.inputs.children):
            self.to_context(parts=append_(self.submit(shout, words="x")))

    def end(self) -> None:
        """All have ended."""


@pytest.fixture
def box() -> Any:
    with sandbox() as made:
        yield made


def test_no_text_of_a_process_is_html(box: Sandbox) -> None:
    good = submit(shout, words=NASTY, key="k<b>", labels={"a": NASTY[:20]})
    bad = submit(fails, words=NASTY)
    paused = submit(shout, words="x", queue="nobody")
    paused.pause(NASTY)
    outputs = good.result(30)
    with pytest.raises(ProcessExcepted) as caught:
        bad.result(30)
    things: list[Any] = [
        good,
        bad,
        paused,
        outputs,
        bad.inputs,
        good.tree(),
        find(),
        caught.value,
        paused.why(),
    ]
    for thing in things:
        view = thing._repr_html_()
        assert "<script" not in view
        assert "\x1b" not in view
        assert not re.search(r"<(?!/?(?:div|b|span|table|tr|td|th|details|summary)\b)", view)
    assert "&lt;script&gt;" in html_of(outputs)
    assert "fails" in html_of(caught.value)
    assert "Traceback" in caught.value.__notes__[0]


def test_what_is_long_is_cut_short(box: Sandbox) -> None:
    crowd = submit(Crowd, children=MOST_BRANCHES + 20)
    crowd.wait(60)
    assert "and 21 more" in html_of(crowd.tree())
    assert f"and {MOST_BRANCHES + 21 - MOST_ROWS} more" in html_of(find())
    view = html_of(Values(numbers=list(range(100_000)), words="x" * 100_000, data=bytes(10**6)))
    assert len(view) < 5_000
    failed = submit(fails, words="x" * 200_000)
    failed.wait(60)
    assert 40_000 < len(html_of(failed)) < 60_000


def test_values_are_stored_and_compared_as_a_dict(box: Sandbox) -> None:
    outputs = submit(shout, words="a").result(30)
    assert outputs == {"said": "a"}
    assert repr(outputs) == "{'said': 'a'}"
    assert type(decode(encode({"v": outputs}))["v"]) is dict
    again = decode(encode({"f": find()}))["f"]
    assert type(again) is list
    assert [one.pid for one in again] == [one.pid for one in find()]


def test_a_process_that_is_not_there_is_said(box: Sandbox) -> None:
    handle = submit(shout, words="a")
    gone = type(handle)(handle.pid + 1000, handle.workspace)
    assert "there is no process" in gone._repr_html_()
