"""Frames packed by hand are what pamqp reads, and the other way round."""

from __future__ import annotations

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, body, commands, header

from quince_messaging.transports.amqp import frames

names = st.text(max_size=60)
exchanges = st.text(alphabet="aZ09-_.:@#,/", max_size=60)
tags = st.integers(min_value=1, max_value=2**63 - 1)


def read_all(data: bytes) -> list[object]:
    found: list[object] = []
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        found.append(frame)
        data = data[size:]
    return found


def payload(frame: base.Frame | header.ContentHeader) -> bytes:
    return pamqp.frame.marshal(frame, 7)[7:-1]


@given(exchange=exchanges, key=names, mandatory=st.booleans())
def test_publish(exchange: str, key: str, mandatory: bool) -> None:
    (method,) = read_all(frames.publish_method(7, exchange, key, mandatory=mandatory))
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, key, mandatory)


@given(
    data=st.binary(max_size=300),
    persistent=st.booleans(),
    priority=st.integers(min_value=0, max_value=9),
    message_id=st.text(max_size=40),
    keys=st.lists(names, max_size=4),
)
def test_content(data: bytes, persistent: bool, priority: int, message_id: str, keys: list[str]) -> None:
    headers = (("CC", frames.text_array_field(keys)), ("why", frames.text_field("é" * 99))) if keys else ()
    packed = frames.properties(
        persistent=persistent, priority=priority, message_id=message_id, headers=headers
    )
    first, *bodies = read_all(frames.content(7, packed, data, frame_max=64))
    assert isinstance(first, header.ContentHeader)
    assert first.body_size == len(data)
    assert (first.properties.delivery_mode == 2) == persistent
    assert (first.properties.priority or 0) == priority
    assert (first.properties.message_id or "") == message_id
    assert (first.properties.headers or {}).get("CC", []) == keys
    assert b"".join(part.value for part in bodies if isinstance(part, body.ContentBody)) == data
    raw = payload(first)
    assert frames.read_body_size(raw) == len(data)
    assert frames.read_message_id(raw) == message_id
    assert frames.read_priority(raw) == priority
    assert frames.has_headers(raw) == bool(keys)


@given(tag=tags, multiple=st.booleans(), requeue=st.booleans())
def test_settlements(tag: int, multiple: bool, requeue: bool) -> None:
    ack, nack = read_all(frames.ack(7, tag, multiple=multiple) + frames.nack(7, tag, requeue=requeue))
    assert isinstance(ack, commands.Basic.Ack)
    assert isinstance(nack, commands.Basic.Nack)
    assert (ack.delivery_tag, ack.multiple) == (tag, multiple)
    assert (nack.delivery_tag, nack.multiple, nack.requeue) == (tag, False, requeue)
    assert frames.read_confirm(payload(ack)) == (tag, multiple)
    assert frames.read_confirm(payload(nack)) == (tag, False)


@given(consumer=names, tag=tags, redelivered=st.booleans(), exchange=exchanges, key=names)
def test_delivery(consumer: str, tag: int, redelivered: bool, exchange: str, key: str) -> None:
    method = commands.Basic.Deliver(consumer, tag, redelivered, exchange, key)
    assert frames.read_delivery(payload(method)) == frames.Delivery(consumer, tag, redelivered, key)


def test_return_and_cancel() -> None:
    returned = commands.Basic.Return(312, "NO_ROUTE", "exchange", "key")
    assert frames.read_returned(payload(returned)) == frames.Returned(312, "NO_ROUTE")
    assert frames.read_cancel(payload(commands.Basic.Cancel("tag"))) == "tag"


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        frames.publish_method(7, "", "x" * 256, mandatory=False)
