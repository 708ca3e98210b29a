"""Envelopes and URIs: what is read is what was written, and anything else is refused with the reason."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quince_messaging
from quince_messaging.contract import BroadcastMessage
from quince_messaging.errors import BodyTooDeep, InvalidUri, UnreadableMessage
from quince_messaging.uri import parse_uri
from quince_messaging.wire.envelope import (
    Address,
    Broadcast,
    Call,
    Calls,
    Envelope,
    Replies,
    Reply,
    Status,
    Task,
    decode,
    encode,
    pack,
    pack_broadcasts,
    unpack_broadcast,
)
from quince_messaging.wire.nesting import MOST_NESTED
from quince_messaging.wire.uuids import with_uuids

bodies = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(min_value=-(2**63), max_value=2**63 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        st.binary(max_size=20),
        st.uuids(),
        st.uuids().map(str),  # what could be taken for a UUID in one encoding or the other
        st.uuids().map(lambda value: b"\xd9$" + str(value).encode()),
        st.uuids().map(lambda value: b"\xc4\x10" + value.bytes),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.uuids()), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(body=bodies)
def test_envelopes_come_back_as_they_went(body: object) -> None:
    address = Address("inbox", 3)
    for envelope in (
        Task(body),
        Task(body, address),
        Call("id", body, address),
        Calls([Call("id", body)]),
        Replies([Reply(1, Status.RESULT, body), Reply(2, Status.PENDING)]),
    ):
        assert decode(encode(envelope)) == envelope


@given(body=bodies)
def test_a_body_packed_ahead_makes_no_difference(body: object) -> None:
    assert encode(Task(pack(body))) == encode(Task(body))


@given(body=bodies)
def test_broadcasts_come_back_as_they_went(body: object) -> None:
    message = BroadcastMessage(body, 7, "subject", None)
    packed = pack_broadcasts([message])
    read = decode(encode(packed))
    assert type(read) is type(packed)
    assert unpack_broadcast(msgspec.convert(read, type(packed)).messages[0]) == message


@given(data=st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for candidate in (data, b"\x01" + data):
        try:
            read: Envelope = decode(candidate)
        except UnreadableMessage:
            continue  # the one refusal there is
        assert decode(encode(read)) == read


def test_another_version_is_named() -> None:
    with pytest.raises(UnreadableMessage, match="version 9"):
        decode(b"\x09" + encode(Task(1))[1:])


def test_nothing_too_large_is_sent_or_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Task("x" * 100))
    monkeypatch.setattr("quince_messaging.wire.envelope.MAX_BYTES", 50)
    with pytest.raises(UnreadableMessage, match="limit of 50"):
        encode(Task("x" * 100))
    with pytest.raises(UnreadableMessage, match="limit of 50"):
        decode(data)


@dataclasses.dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


NOON = datetime.datetime(2026, 1, 2, 12)
ARRIVALS = [
    ((1, 2), [1, 2]),
    ({1}, [1]),
    (bytearray(b"x"), b"x"),
    (Colour.RED, "red"),
    (Point(1), {"x": 1}),
    (uuid.UUID(int=5), uuid.UUID(int=5)),
    ({uuid.UUID(int=5): {uuid.UUID(int=6)}}, {uuid.UUID(int=5): [uuid.UUID(int=6)]}),
    ("00000000-0000-0000-0000-000000000005", "00000000-0000-0000-0000-000000000005"),
    (decimal.Decimal("1.10"), "1.10"),
    (NOON, "2026-01-02T12:00:00"),
    (NOON.date(), "2026-01-02"),
    (datetime.timedelta(days=1), "P1D"),
    (
        NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        NOON.replace(hour=11, tzinfo=datetime.UTC),
    ),
    ({(1, 2): 3, None: 4}, {(1, 2): 3, None: 4}),
    ([2**64 - 1, -(2**63)], [2**64 - 1, -(2**63)]),
]
REFUSED = [
    (2**64, OverflowError),
    (-(2**63) - 1, OverflowError),
    ("\udc80", UnicodeEncodeError),
    (object(), TypeError),
    (ValueError("x"), TypeError),
]


@pytest.mark.parametrize(("sent", "arrives"), ARRIVALS)
def test_what_arrives_is_what_the_documentation_says(sent: object, arrives: object) -> None:
    read = decode(encode(Task(sent)))
    assert isinstance(read, Task)
    assert read.body == arrives
    assert type(read.body) is type(arrives)


def test_a_uuid_is_an_extension_of_code_2() -> None:
    assert bytes(pack(uuid.UUID(int=5))) == b"\xd8\x02" + bytes(15) + b"\x05"


@pytest.mark.parametrize("unknown", [b"\xd4\x03x", b"\xd8\x05" + bytes(16), b"\xd4\x02x"])
def test_other_extensions_are_unreadable(unknown: bytes) -> None:
    with pytest.raises(UnreadableMessage, match=r"extension type|16"):
        decode(encode(Task(msgspec.Raw(unknown))))
    with pytest.raises(UnreadableMessage, match=r"extension type|16"):
        unpack_broadcast(Broadcast(None, None, None, msgspec.Raw(unknown)))


def test_what_changes_while_it_is_sent_is_refused() -> None:
    body = [uuid.UUID(int=5), uuid.UUID(int=6)]
    encoded = msgspec.msgpack.encode(body)
    with pytest.raises(RuntimeError, match="changed by another thread"):
        with_uuids(encoded, [*body, "more"])


@pytest.mark.parametrize(("body", "error"), REFUSED)
def test_what_is_refused_is_what_the_documentation_says(body: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        pack(body)


def nested(depth: int, innermost: object = None) -> object:
    """Lists and dictionaries within each other, in turn."""
    for n in range(depth):
        innermost = [innermost] if n % 2 else {"in": innermost}
    return innermost


PADDINGS = [None, "text" * 50_000, [[n] for n in range(5_000)], b"\x91" * 1_000]


@pytest.mark.parametrize("padding", PADDINGS, ids=["bare", "long", "wide", "misleading"])
def test_what_is_nested_too_deep_is_refused_where_it_is_sent(padding: object) -> None:
    deepest = [padding, nested(MOST_NESTED - 1)]
    assert decode(encode(Task(deepest))) == Task(deepest)
    assert decode(encode(Task(pack(deepest)))) == Task(deepest)
    for depth in (MOST_NESTED, 2 * MOST_NESTED, 100_000):
        too_deep = [padding, nested(depth)]
        with pytest.raises(BodyTooDeep, match="nested more than 500"):
            pack(too_deep)
        with pytest.raises(BodyTooDeep, match="nested more than 500"):
            encode(Call("id", too_deep))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "no broker URI"),
        ("http://host/", "amqp://"),
        ("amqp:host", "no broker URI"),
        (None, "None is no broker URI"),
        ("amqp:///vhost", "no host"),
        ("amqp://guest:secret@host:port/", "no broker URI"),
        ("local://", "no folder"),
        ("memory://", "no name"),
        ("amqp://guest:secret@host/?renew_after=soon", "renew_after"),
    ],
)
def test_a_wrong_uri_is_refused_with_the_reason_and_without_the_password(uri: Any, said: str) -> None:
    with pytest.raises(InvalidUri, match=said) as caught:
        quince_messaging.connect_async(uri)
    assert "secret" not in str(caught.value)


def test_what_a_uri_says() -> None:
    parsed = parse_uri("amqps://me:secret@host:5671/v%2Fhost?prefix=mine&cafile=/ca.pem")
    assert parsed.prefix == "mine"
    assert parsed.options == {"cafile": "/ca.pem"}
    assert parsed.target == "amqps://me:secret@host:5671/v%2Fhost?cafile=%2Fca.pem"
    assert "secret" not in parsed.shown
    assert parse_uri("local:///a/b?prefix=p").target == "/a/b"
    assert parse_uri("local://rel").target.endswith("/rel")
    assert parse_uri("memory://x").target == "x"
