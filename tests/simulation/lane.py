"""An event loop of the simulated world: what is ready runs in its order, but the world says when."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulation.world import Actor, World

TURN = 0.00002
STALL = 0.05
THREAD = 0.0005
SLOW_THREAD = 0.5


class SteadyTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it is in memory."""

    def __init__(self, number: int, *args: Any, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


_Loop: Any = asyncio.AbstractEventLoop  # of which only what the workers use is here


class Lane(_Loop):  # type: ignore[misc]
    """One event loop of one actor. Its threads (`run_in_executor`) are events of the world too.

    As in a real loop, callbacks run in the order in which they became ready; between any two of them
    anything may happen elsewhere, the actor's death too.
    """

    def __init__(self, world: World, actor: Actor, name: str) -> None:
        self.on_stop: Callable[[], None] | None = None
        self._world = world
        self._actor = actor
        self._name = name
        self._ready: deque[asyncio.Handle] = deque()
        self._awake = False
        self._tasks: dict[SteadyTask, None] = {}
        self._coroutines: list[Any] = []

    def time(self) -> float:
        return self._world.now

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def set_exception_handler(self, _handler: object) -> None:
        """What fails is a complaint here."""

    def add_reader(self, _file: object, _callback: object) -> None:
        """Nothing is read from files here."""

    def remove_reader(self, _file: object) -> None:
        """See there."""

    @property
    def tasks(self) -> list[SteadyTask]:
        """Those that have not ended, the oldest first."""
        return list(self._tasks)

    def stop(self) -> None:
        if self.on_stop is not None:
            self._world.after(self._world.delay(TURN), self._actor, f"{self._name} stops", self.on_stop)

    # Callbacks

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._put(handle)
        return handle

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._world.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)

        def due() -> None:
            if not timer.cancelled():
                self._put(timer)

        self._world.after(max(0.0, when - self._world.now), self._actor, f"{self._name} timer", due)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _put(self, handle: asyncio.Handle) -> None:
        self._ready.append(handle)
        if not self._awake:
            self._awake = True
            self._next_turn()

    def _next_turn(self) -> None:
        self._world.after(self._world.delay(TURN, STALL), self._actor, self._name, self._turn)

    def _turn(self) -> None:
        handle = self._ready.popleft()
        if not handle.cancelled():
            self.visit(handle._run)
        if self._ready:
            self._next_turn()
        else:
            self._awake = False

    def visit(self, call: Callable[[], Any]) -> Any:
        """Call something as if this loop did."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            return call()
        finally:
            asyncio._set_running_loop(before)

    # Tasks, futures, threads

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        task = SteadyTask(next(self._world.numbers), coro, loop=self, name=name, context=context)
        self._tasks[task] = None  # a task of a dead actor must not be collected: it would clean up
        task.add_done_callback(lambda done: self._tasks.pop(task, None))
        return task

    def set_default_executor(self, executor: Any) -> None:
        """All executors are one here."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        world, actor = self._world, self._actor
        outcome: asyncio.Future[Any] = asyncio.Future(loop=self)

        def work() -> None:
            try:
                settle, value = asyncio.Future.set_result, func(*args)
            except BaseException as error:
                settle, value = asyncio.Future.set_exception, error  # type: ignore[assignment]
            parts = value if isinstance(value, tuple) else (value,)
            self._coroutines += [part for part in parts if inspect.iscoroutine(part)]
            answer = lambda: None if outcome.done() else settle(outcome, value)  # noqa: E731
            world.after(world.delay(THREAD), actor, "thread ends", lambda: self._answered(answer))

        world.after(world.delay(THREAD, SLOW_THREAD), actor, "thread begins", work)
        return outcome

    def _answered(self, answer: Callable[[], None]) -> None:
        self.call_soon(answer)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._actor.dead and context.get("handle") is not None:
            self._world.complaints.append(
                f"{self._actor.name}: {context.get('message')}: {context.get('exception')!r}"
            )

    # The end of the world

    def bury(self) -> None:
        """Have every task that is left end now, unheard, so that nothing cleans up later."""
        for coroutine in self._coroutines:
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()  # made by a thread whose answer nobody heard
        for _ in range(50):
            if not self._tasks:
                break
            for task in list(self._tasks):
                task.cancel()
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    self.visit(handle._run)
