"""`quince graph`: outlines and trees as pictures, from the command line."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.forked import ForkServer
from tests.integration.commands import Quince


@pytest.fixture
def quince(tmp_path: Path, forks: ForkServer) -> Quince:
    return Quince(tmp_path, forks)


def boxes(svg: str) -> list[str]:
    """What stands in the first line of each box."""
    picture = ElementTree.fromstring(svg)
    return [
        str(group.find("{*}text").text)  # type: ignore[union-attr]
        for group in picture.iter("{http://www.w3.org/2000/svg}g")
    ]


def test_an_outline_and_a_tree_are_drawn(quince: Quince) -> None:
    mermaid = quince("graph", "steps.py:Whole", "--format", "mermaid")
    assert (mermaid.status, mermaid.err) == (0, "")
    assert mermaid.out.startswith("flowchart TB\n")
    outline = boxes(quince("graph", "steps.py:Whole").out)
    assert (outline[0], outline[-1]) == ("start", "end")

    quince("run", "steps.py:Whole", "n=2", "--key", "whole")
    wrote = quince("graph", "whole", "--output", "tree.svg")
    assert (wrote.status, wrote.err) == (0, "wrote tree.svg\n")
    tree = boxes((quince.folder / "tree.svg").read_text())
    pid = tree[0].split()[0]
    assert tree[0] == f"{pid} Whole"
    assert [line.split()[1] for line in tree[1:]] == ["Part"] * 2
    assert "more" in boxes(quince("graph", pid, "--limit", "2").out)[-1]
    assert boxes(quince("graph", pid, "--outline").out) == outline
    quince("graph", pid, "-o", "tree.md")
    assert (quince.folder / "tree.md").read_text().startswith("flowchart LR\n")


def test_what_cannot_be_drawn_is_refused_in_a_sentence(quince: Quince) -> None:
    quince("run", "steps.py:Whole", "n=1")
    assert quince("graph", "999").complaint().startswith("there is no process 999")
    assert "no process has the key 'nothing'" in quince("graph", "nothing").complaint()
    assert "steps" in quince("graph", "steps.py:Nothing").complaint()
    wrong = quince("graph", "1" * 30)
    assert (wrong.status, "is no pid" in wrong.err) == (2, True)
    nowhere = quince("graph", "steps.py:Whole", "-o", "no/such/folder.svg")
    assert (nowhere.status, "no/such/folder.svg" in nowhere.complaint()) == (1, True)
