"""The protocol hands every frame to the right side, however the bytes are cut."""

from __future__ import annotations

import asyncio

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, heartbeat

from quince_messaging.transports.amqp.protocol import FrameProtocol


class Sink:
    """Takes bodies and leaves methods."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def frame(self, kind: int, payload: bytes) -> bool:
        if kind == 3:
            self.taken.append(payload)
            return True
        return False


def body_frame(channel: int, data: bytes) -> bytes:
    return b"\x03" + channel.to_bytes(2, "big") + len(data).to_bytes(4, "big") + data + b"\xce"


@given(
    plan=st.lists(st.tuples(st.sampled_from(["mine", "other", "method", "beat"]), st.binary(max_size=50))),
    cuts=st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=20),
)
def test_frames_reach_their_side_in_order(plan: list[tuple[str, bytes]], cuts: list[int]) -> None:
    stream, mine, rest = b"", [], b""
    for kind, data in plan:
        if kind == "mine":
            frame = body_frame(5, data)
            mine.append(data)
        elif kind == "other":
            frame = body_frame(6, data)
        elif kind == "method":
            frame = pamqp.frame.marshal(commands.Queue.DeclareOk(data.hex(), 1, 2), 5)
        else:
            frame = pamqp.frame.marshal(heartbeat.Heartbeat(), 0)
        stream += frame
        rest += frame if kind != "mine" else b""
    sink, received = asyncio.run(feed(stream, cuts))
    assert sink.taken == mine
    assert received == rest


async def feed(stream: bytes, cuts: list[int]) -> tuple[Sink, bytes]:
    reader = asyncio.StreamReader()
    protocol = FrameProtocol(reader, asyncio.get_running_loop())
    protocol._shown = asyncio.get_running_loop().time() + 60  # no heartbeats of its own
    sink = Sink()
    protocol.sinks[5] = sink.frame
    turn = 0
    while stream:
        cut = cuts[turn % len(cuts)]
        protocol.data_received(stream[:cut])
        stream, turn = stream[cut:], turn + 1
    reader.feed_eof()
    return sink, await reader.read()


async def test_load_alone_keeps_aio_pika_convinced_that_the_peer_lives() -> None:
    reader = asyncio.StreamReader()
    protocol = FrameProtocol(reader, asyncio.get_running_loop())
    protocol.sinks[5] = Sink().frame
    protocol._shown = asyncio.get_running_loop().time() - 2
    protocol.data_received(body_frame(5, b"x"))
    protocol.data_received(body_frame(5, b"y"))
    reader.feed_eof()
    assert await reader.read() == pamqp.frame.marshal(heartbeat.Heartbeat(), 0)


async def test_blocking_is_told() -> None:
    protocol = FrameProtocol(asyncio.StreamReader(), asyncio.get_running_loop())
    told: list[str | None] = []
    protocol.on_blocked = told.append
    protocol.data_received(pamqp.frame.marshal(commands.Connection.Blocked("low on disk"), 0))
    protocol.data_received(pamqp.frame.marshal(commands.Connection.Unblocked(), 0))
    assert told == ["low on disk", None]


async def test_the_reason_of_a_broker_that_hangs_up_is_kept() -> None:
    protocol = FrameProtocol(asyncio.StreamReader(), asyncio.get_running_loop())
    close = commands.Connection.Close(320, "CONNECTION_FORCED - maintenance", 0, 0)
    protocol.data_received(pamqp.frame.marshal(close, 0))
    protocol.connection_lost(ConnectionResetError("reset by peer"))
    assert str(protocol.lost.result()) == "CONNECTION_FORCED - maintenance"
