"""Messages per second, from blocking code in one process to a consumer in another.

    python -m tests.benchmarks.bench_messaging [--quick] [--rounds N] [--count N] [--json]

kiwiPy, Quince on RabbitMQ, Quince on `local://` and bare aio-pika do the same work in turn, round after
round, on one private broker; each figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.benchmarks.messaging_peers import (
    BareClient,
    KiwiClient,
    flat_broadcasts,
    open_kiwipy,
    open_quince,
    until_counted,
)
from tests.services import RabbitMQ

BATCH = 500


@dataclass(frozen=True)
class Row:
    """One kind of work, and what is compared in it.

    Attributes:
        work: What is measured.
        compared: How each side does it, where the two are not the same.
        goal: How many times as fast as kiwiPy it must be.
    """

    work: str
    compared: str = ""
    goal: float | None = None


ROWS = (
    Row("tasks, one at a time", "each durable before the next, on both sides"),
    Row("tasks, pipelined", "all durable in the end; kiwiPy waits for each, it has no other way", 5.0),
    Row(
        "tasks in batches", f"{BATCH} in one call, all durable on return; beside bare aio-pika, which gathers"
    ),
    Row("tasks with reply", "all sent, then all results awaited, on both sides", 5.0),
    Row("calls, one at a time", "each answered before the next, on both sides", 3.0),
    Row("calls, pipelined", "all sent, then all answers awaited, on both sides", 5.0),
    Row("broadcasts", "until all have arrived; kiwiPy awaits the broker for each, Quince does not", 10.0),
)


@dataclass
class Results:
    """Messages per second of each round, by peer and kind of work."""

    rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def measure(self, peer: str, work: str, count: int, run: Callable[[], None]) -> None:
        began = time.perf_counter()
        run()
        self.rates.setdefault((peer, work), []).append(count / (time.perf_counter() - began))

    def median(self, peer: str, work: str) -> float:
        return statistics.median(self.rates.get((peer, work), [float("nan")]))


@contextlib.contextmanager
def server(kind: str, uri: str) -> Iterator[None]:
    """The consuming side, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.messaging_peers", kind, uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes to the server process")
    try:
        process.stdout.readline()
        yield
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def run_kiwi(results: Results, peer: str, uri: str, count: int) -> None:
    """One round of everything on a `kiwipy.Communicator`."""
    with server("kiwipy" if peer == "kiwipy" else "quince", uri):
        client = KiwiClient(open_kiwipy(uri) if peer == "kiwipy" else open_quince(uri))
        client.calls(50)

        def tasks() -> None:
            client.tasks(count // 2)
            until_counted(client, count // 2, 0)

        def pipelined() -> None:
            client.tasks_pipelined(count)
            until_counted(client, count + count // 2, 0)

        def broadcasts() -> None:
            client.broadcasts(2 * count)
            until_counted(client, 0, 2 * count)

        results.measure(peer, "tasks, one at a time", count // 2, tasks)
        results.measure(peer, "tasks, pipelined", count, pipelined)
        results.measure(peer, "tasks with reply", count, lambda: client.tasks_with_reply(count))
        results.measure(peer, "calls, one at a time", count // 2, lambda: client.calls(count // 2))
        results.measure(peer, "calls, pipelined", count, lambda: client.calls_pipelined(count))
        results.measure(peer, "broadcasts", 2 * count, broadcasts)
        if peer != "kiwipy":
            run_batches(results, peer, client, count)
        client.close()


def run_batches(results: Results, peer: str, client: KiwiClient, count: int) -> None:
    """Tasks sent by the batch, which kiwiPy cannot."""
    seen = client.counted()[0]
    total = max(count * 4 // BATCH, 1) * BATCH

    def send() -> None:
        for start in range(0, total, BATCH):
            client.communicator.send_tasks([{"number": n} for n in range(start, start + BATCH)])
        until_counted(client, seen + total, 0)

    results.measure(peer, "tasks in batches", total, send)


def run_bare(results: Results, uri: str, count: int) -> None:
    """One round of tasks with bare aio-pika."""
    with server("bare", uri):
        client = BareClient(uri)

        total = max(count * 4 // BATCH, 1) * BATCH

        def finish() -> None:
            while client.waiting():
                time.sleep(0.002)

        def one_at_a_time() -> None:
            client.tasks(count)
            finish()

        def in_batches() -> None:
            client.tasks_in_batches(total, BATCH)
            finish()

        results.measure("aio-pika", "tasks, one at a time", count, one_at_a_time)
        results.measure("aio-pika", "tasks in batches", total, in_batches)
        client.close()


def show(results: Results) -> None:
    """Print the table: messages per second, and how many times as fast as the peers beside them."""
    columns = (
        "kiwiPy",
        "Quince amqp",
        "to kiwiPy",
        "goal",
        "Quince local",
        "to amqp",
        "aio-pika",
        "to aio-pika",
    )
    print(f"{'messages per second':22}" + "".join(f"{column:>13}" for column in columns))
    for row in ROWS:
        kiwi, ours, local, bare = (results.median(peer, row.work) for peer in PEERS)
        goal = "" if row.goal is None else f"{row.goal:g}x {'met' if ours >= row.goal * kiwi else 'missed'}"
        cells = (
            _rate(kiwi),
            _rate(ours),
            _ratio(ours, kiwi),
            goal,
            _rate(local),
            _ratio(local, ours),
            _rate(bare),
            _ratio(ours, bare),
        )
        print(f"{row.work:22}" + "".join(f"{cell:>13}" for cell in cells))
    print("\nWhat is compared (one client process, one consumer process, one private broker):")
    for row in ROWS:
        print(f"  {row.work:22}{row.compared}")


PEERS = ("kiwipy", "quince amqp", "quince local", "aio-pika")


def _rate(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{rate:,.0f}"


def _ratio(ours: float, theirs: float) -> str:
    return "-" if math.isnan(theirs) else f"{ours / theirs:.1f}x"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a measurement")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.count = 1, 300
    results = Results()
    with RabbitMQ() as broker, tempfile.TemporaryDirectory(prefix="quince-bench-") as folder:
        for number in range(options.rounds):
            run_kiwi(results, "kiwipy", broker.new_uri(), options.count)
            run_kiwi(results, "quince amqp", broker.new_uri(), options.count)
            run_kiwi(results, "quince local", f"local://{folder}/{number}", options.count)
            run_bare(results, broker.new_uri(), options.count)
        flat = {
            others: flat_broadcasts(broker.new_uri(), others, 10 * options.count) for others in (0, 5_000)
        }
    if options.json:
        rates = {f"{peer}: {work}": results.median(peer, work) for peer, work in results.rates}
        print(json.dumps({"per_second": rates, "broadcast_us": {k: v * 1e6 for k, v in flat.items()}}))
        return
    show(results)
    for others, seconds in flat.items():
        print(f"a broadcast beside {others:5} subscribers of other subjects: {seconds * 1e6:.1f} us")


if __name__ == "__main__":
    main()
