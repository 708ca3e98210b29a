"""A user's programs: they submit, wait, control and find."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chains import Scan, Square, fetched, limits, scaled, square

from quince import (
    Answer,
    Process,
    ProcessExcepted,
    ProcessFailed,
    ProcessFunction,
    ProcessHandle,
    ProcessKilled,
    ProcessState,
    StoreUnavailable,
    WaitTimeout,
    Workspace,
    asubmit,
    asubmit_many,
    find,
    get_process,
    run,
    submit,
    submit_many,
)
from quince.client.remote import RemoteControl


def functions() -> float:
    called: int = square(2)
    outputs = run(square, x=2)
    number: int = outputs["result"]
    handle: ProcessHandle[int] = submit(square, x=3)
    number += handle.result(timeout=60)["result"] + called
    keyed: ProcessHandle[float] = submit(scaled, x=2.0, factor=3.0, key="scan-42", priority=3)
    mapped = submit(scaled, inputs={"x": 2.0}, queue="fast")
    total: float = number + keyed.result()["result"] + mapped.outputs["result"]
    low: float = run(limits, values=[1.0, 2.0])["low"]
    text: str = run(fetched, inputs={"name": "a"})["result"]
    return total + low + len(text)


def classes() -> None:
    total = run(Scan, points=3)["total"]
    handle = submit(Scan, points=total, key="one")
    print(handle.pid, handle.state is ProcessState.RUNNING, handle.paused, handle.inputs["points"])
    answer: Answer = handle.pause("disk is full", author="me")
    if answer.accepted and not answer.applied:
        answer.wait(10)
    handle.play()
    handle.signal("approval", {"yes": True})
    try:
        outputs = handle.result(timeout=60)
    except ProcessFailed as failed:
        outputs = failed.outputs
        print(failed.exit_status, failed.exit_message)
    except (ProcessKilled, WaitTimeout, StoreUnavailable) as error:
        raise SystemExit(str(error)) from error
    except ProcessExcepted as excepted:
        print(excepted.traceback)
        return
    print(outputs["total"], handle.why().sentence, [event.kind for event in handle.history()])
    handle.kill("enough", force=True)


async def coroutines() -> int:
    handle = await asubmit(square, x=2)
    many: list[ProcessHandle[int]] = await asubmit_many(square, [{"x": 1}, {"x": 2}], queue="fast")
    results = await asyncio.gather(*many)
    number: int = (await handle)["result"] + results[0]["result"]
    chain = await asubmit(Scan, points=3, priority=2)
    await chain.pause("a look")
    async for event in chain.events():
        print(event.seq)
    text = await fetched("a", timeout=0.1)
    here = await asyncio.to_thread(run, Square, x=3)
    print(here["square"], await asyncio.to_thread(run, square, x=3))
    return number + len(text)


def several() -> None:
    for handle in submit_many(Square, [{"x": x} for x in range(3)], keys=["a", "b", None]):
        handle.wait(10)
    first: ProcessHandle = get_process(17)
    named = get_process("scan-42")
    print(first == named, find(state="running"), find(cls=square, state=["excepted", "killed"], limit=3))
    print(find(tree=first, paused=True, since=timedelta(hours=2)), find(cls="Scan", parent=17))
    with Workspace.at("studies/argon", store="sqlite:///s.db") as home:
        submit(Square, x=3, workspace=home)
        submit(square, x=3, workspace=home)
        run(square, x=3, workspace="studies/neon")


def remotely(uri: str) -> str:
    with RemoteControl(uri) as remote:
        remote.pause(17, "a look")
        return str(remote.status(17)["state"])


def anything(
    what: type[Process] | ProcessFunction[..., Any, Any], inputs: Mapping[str, Any]
) -> ProcessHandle:
    run(what, inputs=inputs)
    return submit(what, inputs=inputs, key=None)
