"""Frames survive any cutting, and what is no frame is said to be none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quince_messaging.contract import SubjectFilter
from quince_messaging.transports.local.frames import (
    LARGEST_FRAME,
    BadFrame,
    Bell,
    FrameReader,
    Hello,
    Nobody,
    Note,
    Noted,
    Wants,
    frame,
    frame_note,
    read_note,
)

FILTER = SubjectFilter(("a.*",), ("1",))


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 50), min_size=1))
def test_payloads_come_out_whole_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    reader, found, turn = FrameReader(), [], 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += list(reader.feed(stream[:size]))
        stream, turn = stream[size:], turn + 1
    assert found == payloads


@pytest.mark.parametrize(
    "note",
    [
        Hello(1, "1-a", 3, [FILTER]),
        Wants(4, [FILTER], [SubjectFilter()]),
        Noted(4),
        Bell("q", 7, 2),
        Nobody(9),
    ],
)
def test_a_note_comes_out_as_it_went_in(note: Note) -> None:
    (payload,) = FrameReader().feed(frame_note(note))
    assert read_note(payload) == note


def test_an_envelope_is_no_note() -> None:
    assert read_note(b"\x01whatever") is None


@given(st.binary(max_size=200))
def test_garbage_is_a_note_or_a_bad_frame(garbage: bytes) -> None:
    try:
        read_note(b"\0" + garbage)
    except BadFrame:
        return


def test_a_frame_too_large_is_refused_before_it_has_come() -> None:
    with pytest.raises(BadFrame, match="bytes"):
        list(FrameReader().feed((LARGEST_FRAME + 1).to_bytes(4, "little")))
