"""The contract of messaging: task queue, RPC and broadcast.

Three pieces, and who uses which:

* `Transport` is what a kind of URI implements (`amqp://`, `local://`, `memory://`). It lives on the
  event loop of the communication thread and is never seen by users.
* `Communicator` is the blocking face, usable from any thread. `clients.blocking` has the one that there is,
  which is a `kiwipy.Communicator` as well.
* `AsyncCommunicator` is the awaitable face, usable from the event loop it was opened on.

Both faces drive one transport on a hidden thread, so heartbeats go on while the caller computes.
Subscribers of the blocking face are called on a pool of threads of the communicator; subscribers of
the awaitable face (functions or coroutine functions) are called on the loop that made it.

Message bodies are whatever msgpack can carry: None, bool, int (64 bits), float, str, bytes, list, dict,
nested up to `nesting.MOST_NESTED` deep. docs/communicator.md says what becomes of some other things.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)

DEFAULT_QUEUE = "default"


class LinkState(enum.Enum):
    """Where the link to the broker stands."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    BLOCKED = "blocked"
    CLOSED = "closed"


class TaskHandle(Protocol):
    """One delivered task, held by this consumer until it is settled.

    Settling is fire-and-forget, may be called from any thread, and only the first call counts.
    A task that is never settled is delivered again when its consumer closes or dies.
    """

    @property
    def body(self) -> Any:
        """What was sent."""

    @property
    def redelivered(self) -> bool:
        """Whether it was delivered before, to a consumer that died or gave it back."""

    @property
    def no_reply(self) -> bool:
        """Whether nobody waits for its result."""

    def ack(self, result: Any = None) -> None:
        """Done: it leaves the queue for good. `result` goes to the sender if it asked for a reply."""

    def fail(self, error: BaseException) -> None:
        """Done, with an error, which goes to the sender if it asked for a reply."""

    def later(self) -> None:
        """The result will take a while: the sender's future resolves to a future. Settles nothing."""

    def requeue(self) -> None:
        """Not by me: back to the queue, for anyone."""

    def dead_letter(self, reason: str) -> None:
        """By nobody: to the dead-letter queue, with the reason."""


TaskBatchCallback = Callable[[Sequence[TaskHandle]], None]
"""Called with one or more delivered tasks at a time; must not block; settles each later."""


class TaskConsumer(Protocol):
    """A consumer with settlement by hand, the form that workers use."""

    async def pause(self) -> None:
        """Ask for no more tasks. Those delivered and unsettled stay with the caller."""

    async def resume(self) -> None:
        """Ask for tasks again."""

    async def close(self) -> None:
        """Stop for good. Unsettled tasks go back to the queue at once. May be called twice."""


@dataclass(frozen=True, slots=True)
class BroadcastMessage:
    """One broadcast. Senders and correlation ids are plain values; filters see senders as text."""

    body: Any
    sender: Any
    subject: str | None
    correlation_id: Any


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody could read, or that a consumer put aside.

    Attributes:
        queue: Where it was.
        reason: Why it is here.
        at: When it came here, in seconds since the epoch; 0 if unknown.
        raw: Its bytes. `quince_messaging.wire.envelope.decode` reads them if they can be read.
        priority: The one that it had, and has again when it is revived.
    """

    queue: str
    reason: str
    at: float
    raw: bytes
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SubjectFilter:
    """What a broadcast subscriber wants, in the form that brokers can route.

    Attributes:
        subjects: Exact subjects, or prefixes ending in `*` (for example `state_changed.*`);
            empty means every subject.
        senders: Exact senders; empty means every sender.
    """

    subjects: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts: Any
        for name, texts in (("subjects", self.subjects), ("senders", self.senders)):
            if isinstance(texts, str):  # its characters, one of which may be `*`
                raise TypeError(f"{name} are given in a tuple: {name}=({texts!r},)")


EVERYTHING = SubjectFilter()

Subscriber = Callable[[Any, Any], Any]
"""Called with the communicator and the body of a call or a task; its answer, or a future of that, is sent."""
BroadcastSubscriber = Callable[[Any, Any, Any, Any, Any], Any]
"""Called with the communicator, the body, the sender, the subject and the correlation id of a broadcast."""
RpcHandler = Callable[[Any], Awaitable[Any]]
BroadcastHandler = Callable[[BroadcastMessage], None]
LinkListener = Callable[[LinkState], None]


class Transport(ABC):
    """What a kind of URI implements. Every method runs on the communication thread's loop.

    Handlers are called on that loop too and must not block it; the faces move them to the user's
    thread or loop. After a lost link a transport restores every subscriber by itself and tells each
    listener once per change. Nothing but `ask_here` and `on_link` is safe to call from another thread.
    """

    def __init__(self) -> None:
        self.state = LinkState.CLOSED
        self._listeners: list[LinkListener] = []

    @property
    def server_properties(self) -> dict[str, Any]:
        """What the server said of itself when the link was made; empty if there is no server."""
        return {}

    def troubles(self) -> list[str]:
        """What fails beside all calls just now, each in one sentence. From any thread."""
        return []

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises ConnectionFailed, with the URI (no password) and the way out."""

    @abstractmethod
    async def close(self) -> None:
        """Settle nothing, requeue what is unsettled, disconnect. Prompt; may be called twice."""

    def on_link(self, listener: LinkListener) -> None:
        """Call `listener` with each new state of the link."""
        self._listeners.append(listener)

    def enter(self, state: LinkState) -> None:
        """Tell the listeners of a new state of the link."""
        if state is self.state:
            return
        self.state = state
        for listener in self._listeners:
            try:
                listener(state)
            except Exception:  # the link must not be kept from coming back
                log.exception("a listener to the link failed", state=state.value)

    # Task queue

    @abstractmethod
    async def send_tasks(self, bodies: Sequence[Any], *, queue: str, priority: int = 0) -> None:
        """Put tasks on a durable queue. On return the broker has every one of them on disk.

        Args:
            bodies: Any number; sent pipelined, confirmed together.
            queue: Declared if it does not exist.
            priority: 0 (default) to 9 (first).

        Raises:
            DeliveryFailed: at least one was not accepted; none is known to be there.
        """

    def store_at_once(
        self, bodies: Sequence[Any], queue: str, priority: int
    ) -> asyncio.Future[Callable[[], None]] | None:
        """As `send_tasks`, for a caller that blocks a thread of its own until they are on disk.

        They are when it has called there what the future brings, which may block and raises the same;
        so a transport that must wait for the disk itself need not wake a thread for it. None if that
        would gain nothing: then `send_tasks`.
        """
        return None

    @abstractmethod
    async def call_task(self, body: Any, *, queue: str, priority: int = 0) -> Awaitable[Any]:
        """Put one task on the queue and ask for its result.

        The outer await ends when the task is durable, the returned awaitable when its consumer has
        settled it: its result, or RemoteError.
        """

    @abstractmethod
    async def consume(self, deliver: TaskBatchCallback, *, queue: str, prefetch: int) -> TaskConsumer:
        """Consume a queue; at most `prefetch` tasks are unsettled at any time."""

    @abstractmethod
    async def pull(self, *, queue: str) -> TaskHandle | None:
        """One task now, or None if the queue is empty."""

    @abstractmethod
    async def queue_size(self, *, queue: str) -> int:
        """How many tasks wait on the queue (not those held by consumers)."""

    @abstractmethod
    async def purge(self, *, queue: str) -> int:
        """Drop every waiting task; returns how many."""

    @abstractmethod
    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetter]:
        """The oldest dead letters; they stay where they are."""

    @abstractmethod
    async def revive(self, *, queue: str | None = None) -> int:
        """Put dead letters (of one queue, or all) back on their queues; returns how many.

        One that came from no queue that is known stays where it is.
        """

    # RPC

    @abstractmethod
    async def call(self, identifier: str, body: Any, *, timeout: float | None) -> Any:
        """Call and await the answer. Raises UnroutableError at once if nobody is there."""

    @abstractmethod
    async def ask(self, identifier: str, body: Any, *, routed: bool = True) -> Awaitable[Any]:
        """Call in two stages: the outer await ends when the call is on its way to somebody who is there
        (or raises UnroutableError), the returned awaitable when the answer has come.

        Args:
            routed: False lets the returned awaitable tell that nobody is there, which may be quicker.
        """

    def ask_at_once(self, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        """As `ask`, if that can be begun without waiting for anything; None if not: then `ask`."""
        return None

    def ask_here(self, identifier: str, body: Any, attend: Callable[[asyncio.Future[Any]], None]) -> bool:
        """As `ask_at_once`, from any thread: the only method that may be called outside the loop.

        It spares a lone call the way through the loop's thread. False if it cannot be, or if other calls
        are under way, with which this one should travel.

        Args:
            attend: Given the future of the answer before the call leaves.
        """
        return False

    @abstractmethod
    async def cast(self, identifier: str, body: Any) -> None:
        """Call without an answer. Raises UnroutableError at once if nobody is there."""

    @abstractmethod
    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        """Answer calls to `identifier`, each in its own coroutine. Raises DuplicateSubscriber."""

    @abstractmethod
    async def unserve(self, identifier: str) -> None:
        """Stop answering. Raises ValueError if there is no such identifier."""

    # Broadcast

    @abstractmethod
    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send to every subscriber whose filter matches; nobody there is no error."""

    @abstractmethod
    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        """Receive matching broadcasts; returns the identifier for `unsubscribe`."""

    @abstractmethod
    async def unsubscribe(self, identifier: str) -> None:
        """Stop receiving. Raises ValueError if there is no such identifier."""


class AsyncCommunicator(Protocol):
    """The awaitable face. Every method is used from the loop that opened it.

    `quince_messaging.connect_async(uri)` makes one; `async with` opens and closes it.
    """

    @property
    def state(self) -> LinkState:
        """Where the link to the broker stands."""

    def on_link(self, listener: LinkListener) -> None:
        """Call `listener` on this loop with each new state of the link, with CLOSED while `close` runs."""

    def troubles(self) -> list[str]:
        """What fails in here just now and is tried again, each in one sentence. From any thread."""

    async def send_tasks(
        self, bodies: Sequence[Any], *, queue: str = DEFAULT_QUEUE, priority: int = 0
    ) -> None:
        """Put many tasks on the queue; the broker has them all on disk on return."""

    async def task_send(
        self, task: Any, no_reply: bool = False, *, queue: str = DEFAULT_QUEUE, priority: int = 0
    ) -> Awaitable[Any] | None:
        """Put one task on the queue; it is durable on return.

        Returns:
            The future of its result; None with `no_reply`.
        """

    async def consume(
        self, deliver: TaskBatchCallback, *, queue: str = DEFAULT_QUEUE, prefetch: int = 1
    ) -> TaskConsumer:
        """Consume a queue with settlement by hand; `deliver` is called on this loop."""

    async def pull(self, *, queue: str = DEFAULT_QUEUE) -> TaskHandle | None:
        """One task now, or None if the queue is empty."""

    async def queue_size(self, *, queue: str = DEFAULT_QUEUE) -> int:
        """How many tasks wait on the queue."""

    async def purge(self, *, queue: str = DEFAULT_QUEUE) -> int:
        """Drop every waiting task; returns how many."""

    async def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        """The oldest messages that nobody could read or wanted; they stay where they are."""

    async def revive(self, *, queue: str | None = None) -> int:
        """Put dead letters (of one queue, or all) back on their queues; returns how many."""

    async def rpc_send(self, recipient_id: Any, msg: Any, *, timeout: float | None = None) -> Any:
        """Call and await the answer; it is itself a future if the other side answered "later".

        Raises:
            UnroutableError: nobody is there.
            MessageTimeout: no answer within `timeout` seconds.
            RemoteError: the other side raised.
            RemoteCancelled: the other side cancelled it.
            DeliveryFailed: the other side closed, or died, before it answered.
        """

    async def rpc_cast(self, recipient_id: Any, msg: Any) -> None:
        """Call without an answer. Raises UnroutableError if nobody is there."""

    async def add_rpc_subscriber(self, subscriber: Subscriber, identifier: Any = None) -> str:
        """Answer calls to `identifier` with `subscriber(communicator, msg)`, run on this loop."""

    async def remove_rpc_subscriber(self, identifier: Any) -> None:
        """Stop answering. Raises ValueError if there is no such identifier."""

    async def broadcast_send(
        self, body: Any, sender: Any = None, subject: str | None = None, correlation_id: Any = None
    ) -> bool:
        """Send to every subscriber whose filter matches."""

    async def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send several broadcasts at once."""

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        """Receive matching broadcasts on this loop; returns the identifier for `unsubscribe`."""

    async def unsubscribe(self, identifier: str) -> None:
        """Stop receiving: on return, what has come has been handed over, and nothing more will be.

        Raises ValueError if there is no such identifier.
        """

    async def close(self) -> None:
        """Requeue what is unsettled and disconnect. May be called twice."""


class TaskQueue(Protocol):
    """A queue with a name: send to it, subscribe to it, or take its tasks one by one."""

    @property
    def name(self) -> str: ...

    def __iter__(self) -> Iterator[Any]: ...

    def task_send(self, task: Any, no_reply: bool = False) -> concurrent.futures.Future[Any] | None: ...

    def add_task_subscriber(self, subscriber: Callable[..., Any], identifier: Any = None) -> Any: ...

    def remove_task_subscriber(self, identifier: Any) -> None: ...

    def next_task(self, timeout: float | None = 5.0, fail: bool = True) -> AbstractContextManager[Any]: ...


class Communicator(Protocol):
    """The blocking face. Every method may be called from any thread.

    `quince_messaging.connect(uri)` makes one; `with` closes it. Subscribers are called on threads of its own.
    """

    @property
    def state(self) -> LinkState: ...

    @property
    def server_properties(self) -> dict[str, Any]: ...

    def on_link(self, listener: LinkListener) -> None: ...

    def add_close_callback(
        self, callback: Callable[[Any, BaseException | None], Any], weak: bool = False
    ) -> None: ...

    def is_closed(self) -> bool: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def on_pool(self, function: Callable[..., object], *args: Any) -> None: ...

    def task_send(
        self,
        task: Any,
        no_reply: bool = False,
        *,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        wait: bool = True,
    ) -> concurrent.futures.Future[Any] | None: ...

    def send_tasks(self, bodies: Sequence[Any], *, queue: str = DEFAULT_QUEUE, priority: int = 0) -> None: ...

    def task_queue(self, queue_name: str, prefetch_size: int = 0, prefetch_count: int = 0) -> TaskQueue: ...

    def add_task_subscriber(
        self,
        subscriber: Callable[..., Any],
        identifier: Any = None,
        *,
        queue: str = DEFAULT_QUEUE,
        prefetch: int | None = None,
    ) -> Any: ...

    def remove_task_subscriber(self, identifier: Any) -> None: ...

    def pull(self, *, queue: str = DEFAULT_QUEUE, timeout: float | None = None) -> TaskHandle | None: ...

    def queue_size(self, *, queue: str = DEFAULT_QUEUE) -> int: ...

    def purge(self, *, queue: str = DEFAULT_QUEUE) -> int: ...

    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]: ...

    def revive(self, *, queue: str | None = None) -> int: ...

    def rpc_send(self, recipient_id: Any, msg: Any) -> concurrent.futures.Future[Any]: ...

    def rpc_call(self, recipient_id: Any, msg: Any, *, timeout: float | None = None) -> Any: ...

    def rpc_cast(self, recipient_id: Any, msg: Any) -> None: ...

    def add_rpc_subscriber(self, subscriber: Subscriber, identifier: Any = None) -> Any: ...

    def remove_rpc_subscriber(self, identifier: Any) -> None: ...

    def broadcast_send(
        self, body: Any, sender: Any = None, subject: str | None = None, correlation_id: Any = None
    ) -> bool: ...

    def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None: ...

    def flush(self) -> None: ...

    def add_broadcast_subscriber(
        self,
        subscriber: Callable[..., Any],
        identifier: Any = None,
        *,
        wanted: SubjectFilter | None = None,
    ) -> Any: ...

    def remove_broadcast_subscriber(self, identifier: Any) -> None: ...
