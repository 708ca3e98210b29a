"""What a fork of the template runs: one step host, until its worker closes the link."""

from __future__ import annotations

import contextlib
import os
import socket

import msgspec

import quince.processes.workchain  # noqa: F401 - what users' modules import is there once, and not in each host
from quince.hosts.exclusive_host import ExclusiveHost
from quince.hosts.host import Facts, StepHost
from quince.hosts.last_words import listen
from quince.hosts.link import WorkerGone
from quince.hosts.protocol import Garbled
from quince.hosts.shared_host import SharedHost
from quince.hosts.step_output import by_lines
from quince.hosts.warm_modules import renew_random_numbers
from quince.hosts.who_runs import WhoRuns
from quince.logs import configure_logging, current_speaker
from quince.processes.running_step import nothing_but_steps


def main(files: list[int], facts: bytes) -> None:
    """Be a host.

    Args:
        files: The socket to the worker, the page of `WhoRuns`, the file of `LastWords`, and the tokens of an
            exclusive host.
        facts: `Facts`, encoded.
    """
    known = msgspec.json.decode(facts, type=Facts)
    configure_logging(by_lines(os.dup(2)), worker=known.worker)
    current_speaker.alone = not known.shared
    nothing_but_steps()
    renew_random_numbers()
    link, who_runs = socket.socket(fileno=files[0]), WhoRuns(files[1])
    os.close(files[1])
    listen(files[2])
    host: StepHost
    if known.shared:
        host = SharedHost(link, who_runs, known)
    else:
        host = ExclusiveHost(link, who_runs, known, permits=files[3])
    with contextlib.suppress(WorkerGone), contextlib.closing(host):
        try:
            host.serve()
        except WorkerGone:
            raise
        except (OSError, Garbled):  # the user's code has closed files of ours, or used them
            host.give_up()
