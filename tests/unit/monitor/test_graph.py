"""Outlines and trees as pictures: complete, legible, and harmless whatever they are called."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from quince.monitor.code import Branch, Code, Part, marked
from quince.monitor.declared import code_of
from quince.monitor.graph.boxes import Arrow, Box, Graph, Shape
from quince.monitor.graph.layout import Drawing, laid_out
from quince.monitor.graph.mermaid import mermaid_of
from quince.monitor.graph.outlines import outline_graph
from quince.monitor.graph.svg import svg_of
from tests import flows

SVG = "{http://www.w3.org/2000/svg}"
STEP, OTHER = Part("step", "relax"), Part("step", "fix")
NESTED = Code(
    "m:C",
    outline=(
        Part("step", "begin", help="Begins."),
        Part("while", "more", (Branch("more", (STEP, Part("if", "bad", (Branch("bad", (OTHER,)),)))),)),
        Part(
            "if",
            "a",
            (
                Branch("a", (STEP,)),
                Branch("b", (Part("return", "410"),)),
                Branch(None, (Part("while", "x", (Branch("x", (OTHER,)),)),)),
            ),
        ),
        Part("step", "end"),
    ),
)
HOSTILE = "</text><script>alert(1)</script>&\"'`]|;%%\n\x00\u202e\ud800 end--> click n0 call x()"


def apart(drawing: Drawing) -> None:
    """No box stands on another, and all of them in the picture."""
    for one, other in itertools.combinations(drawing.places.values(), 2):
        beside = abs(one.x - other.x) >= (one.width + other.width) / 2 - 0.01
        below = abs(one.y - other.y) >= (one.height + other.height) / 2 - 0.01
        assert beside or below
    for place in drawing.places.values():
        assert place.x - place.width / 2 >= 0
        assert place.x + place.width / 2 <= drawing.width
        assert place.y - place.height / 2 >= 0
        assert place.y + place.height / 2 <= drawing.height


def test_every_way_through_an_outline_is_an_arrow() -> None:
    graph = outline_graph(NESTED)
    names = {box.name: box.lines[0] for box in graph.boxes}
    drawn = {(names[one.source], one.text, names[one.target]) for one in graph.arrows}
    assert drawn == {
        ("start", "", "begin"), ("begin", "", "more?"), ("more?", "yes", "relax"), ("relax", "", "bad?"),
        ("bad?", "yes", "fix"), ("fix", "", "more?"), ("bad?", "no", "more?"), ("more?", "no", "a?"),
        ("a?", "yes", "relax"), ("a?", "no", "b?"), ("b?", "yes", "return 410"), ("relax", "", "end"),
        ("b?", "no", "x?"), ("x?", "yes", "fix"), ("fix", "", "x?"), ("x?", "no", "end"), ("end", "", "end"),
    }  # fmt: skip
    apart(laid_out(graph))
    backs = [(names[one.source], names[one.target]) for one in graph.arrows if one.back]
    assert sorted(backs) == [("bad?", "more?"), ("fix", "more?"), ("fix", "x?")]


def test_the_step_is_marked_that_a_process_is_in() -> None:
    graph = outline_graph(marked(NESTED, "fix"))
    assert [box.lines[0] for box in graph.boxes if box.current] == ["fix", "fix"]
    assert [box.lines[0] for box in outline_graph(marked(NESTED, "while(more)")).boxes if box.current] == [
        "more?"
    ]
    assert 'class="box step current"' in svg_of(graph)
    assert ":::current" in mermaid_of(graph)


def test_what_a_class_declares() -> None:
    code = code_of(flows.Double, "tests.flows:Double")
    assert [part.name for part in code.outline] == ["run"]
    assert [(port.name, port.kind, port.required, port.default) for port in code.ports] == [
        ("value", "input", True, None),
        ("seconds", "input", False, "0"),
        ("ledger", "input", False, "''"),
        ("value", "output", True, None),
    ]
    assert code.doc.startswith("Doubles a number")


@pytest.mark.parametrize("tree", [False, True])
def test_hostile_names_are_text_and_nothing_else(tree: bool) -> None:
    boxes = [Box("a", Shape.TEST, [HOSTILE], hint=HOSTILE), Box("b", Shape.STEP, [HOSTILE, "b"], "running")]
    graph = Graph(HOSTILE, boxes, [Arrow("a", "b", HOSTILE)], tree=tree)
    picture = ElementTree.fromstring(svg_of(graph).encode())
    assert {one.tag.removeprefix(SVG) for one in picture.iter()} <= {
        "svg", "title", "style", "defs", "marker", "path", "g", "rect", "polygon", "text",
    }  # fmt: skip
    for one in picture.iter():
        assert not any(name.startswith("on") or "href" in name for name in one.attrib)
    lines = mermaid_of(graph).splitlines()
    assert len(lines) == 5
    for line in lines[1:4]:
        assert re.fullmatch(r'    n\d (?:-->\|"[^"<>]*"\| n\d|.*)|    n\d.*', line)
        assert "<script" not in line
        assert "click n0" not in line or '"' in line.split("click n0")[0]


def test_on_a_page_it_has_links_and_no_style_of_its_own() -> None:
    boxes = [Box("a", Shape.PROCESS, ["a"]), Box("b", Shape.END, ["b"])]
    graph = Graph("g", boxes, [Arrow("a", "b")])
    picture = ElementTree.fromstring(
        svg_of(graph, lambda box: f"/{HOSTILE[:20]}" if box.name == "a" else None)
    )
    (link,) = picture.iter(f"{SVG}a")
    assert link.attrib == {"href": f"/{HOSTILE[:20]}"}
    assert [one.attrib["data-box"] for one in link] == ["a"]
    assert list(picture.iter(f"{SVG}style")) == []


def test_a_large_tree_is_drawn_row_by_row() -> None:
    boxes = [Box("top", Shape.PROCESS, ["top", "x"])]
    arrows = []
    for number in range(400):
        parent = "top" if number < 20 else f"n{number % 20}"
        boxes.append(Box(f"n{number}", Shape.PROCESS, [f"{number} 漢字", "x" * 100], "waiting"))
        arrows.append(Arrow(parent, f"n{number}"))
    drawing = laid_out(Graph("t", boxes, arrows, tree=True))
    apart(drawing)
    assert drawing.width < 1500
