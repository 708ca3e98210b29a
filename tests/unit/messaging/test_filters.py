"""Filters: the dictionary finds whom a plain look at every filter would find, the broker no fewer."""

from __future__ import annotations

import re

import kiwipy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quince_messaging.clients.kiwipy_filter import routable
from quince_messaging.contract import SubjectFilter
from quince_messaging.transports.amqp.topology import binding_keys, broadcast_key
from quince_messaging.wire.filters import Subscriptions, sender_key, subject_matches

words = st.sampled_from(["a", "b", "state", "state_changed", "é", "a*", "#", "", "x" * 120, "%2E"])
subjects = st.lists(words, max_size=4).map(".".join)
senders = st.sampled_from([None, 7, "7", "8.9", "", "s" * 150, "*"])
wanted = st.builds(
    SubjectFilter,
    subjects=st.lists(st.one_of(subjects, subjects.map(lambda s: s + "*")), max_size=3).map(tuple),
    senders=st.lists(senders.map(sender_key), max_size=2).map(tuple),
)


def wants(filter_: SubjectFilter, sender: object, subject: str | None) -> bool:
    right_sender = not filter_.senders or sender_key(sender) in filter_.senders
    return right_sender and subject_matches(subject or "", filter_.subjects)


def routes(pattern: list[str], key: list[str]) -> bool:
    """A topic exchange, by the book."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(routes(pattern[1:], key[i:]) for i in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and routes(pattern[1:], key[1:])


@given(filters=st.lists(wanted, max_size=6), sender=senders, subject=st.one_of(st.none(), subjects))
def test_the_dictionary_finds_the_same(
    filters: list[SubjectFilter], sender: object, subject: str | None
) -> None:
    table: Subscriptions[int] = Subscriptions()
    identifiers = [table.add(number, filter_) for number, filter_ in enumerate(filters)]
    expected = [number for number, filter_ in enumerate(filters) if wants(filter_, sender, subject)]
    assert sorted(table.matching(sender, subject)) == expected
    for identifier in identifiers:
        table.remove(identifier)
    assert len(table) == 0
    assert table.matching(sender, subject) == []
    remains = (table._by_sender, table._by_subject, table._by_prefix, table._unfiltered)
    assert not any(remains)


@example(SubjectFilter((f"a.{'x' * 252}",)), None, f"a.{'x' * 252}")
@example(SubjectFilter((f"a.{'x' * 200}",)), "s" * 100, f"a.{'x' * 200}")
@example(SubjectFilter((f"a.{'x' * 200}.*",)), "s" * 100, f"a.{'x' * 200}.b")
@given(filter_=wanted, sender=senders, subject=st.one_of(st.none(), subjects))
def test_the_broker_lets_through_whatever_is_wanted(
    filter_: SubjectFilter, sender: object, subject: str | None
) -> None:
    key = broadcast_key(sender, subject)
    keys = binding_keys(filter_)
    assert len(key.encode()) <= 255
    assert all(len(pattern.encode()) <= 255 for pattern in keys)
    if wants(filter_, sender, subject):
        assert any(routes(pattern.split("."), key.split(".")) for pattern in keys)


def test_the_broker_keeps_off_what_is_not_wanted() -> None:
    (pattern,) = binding_keys(SubjectFilter(subjects=("state_changed.*",), senders=("7",)))
    assert routes(pattern.split("."), broadcast_key(7, "state_changed.a.b").split("."))
    assert not routes(pattern.split("."), broadcast_key(8, "state_changed.a.b").split("."))
    assert not routes(pattern.split("."), broadcast_key(7, "other.a.b").split("."))


@given(
    pattern=st.text(alphabet="ab.*+?", max_size=6),
    subject=st.one_of(st.none(), st.text(alphabet="ab.*", max_size=8)),
)
def test_kiwipy_filters_are_never_narrowed(pattern: str, subject: str | None) -> None:
    try:
        chosen = kiwipy.BroadcastFilter(lambda *_: None, subject=pattern)
    except re.error:
        return  # kiwiPy itself refuses it
    if not chosen.is_filtered(None, subject):
        assert wants(routable(chosen), None, subject)


def test_kiwipy_filters_are_routed_where_they_can_be() -> None:
    chosen = kiwipy.BroadcastFilter(lambda *_: None, subject="state_changed.*.finished")
    assert routable(chosen) == SubjectFilter(subjects=("state_changed.*", ""))
    assert routable(lambda *_: None) == SubjectFilter()


def test_a_text_is_no_tuple_of_texts() -> None:
    with pytest.raises(TypeError, match=r"subjects=\('sports\.\*',\)"):
        SubjectFilter(subjects="sports.*")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"senders=\('desk',\)"):
        SubjectFilter(senders="desk")  # type: ignore[arg-type]
