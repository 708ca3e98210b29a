"""Processes whose spans are looked at."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from quince import Process, Retry, ToContext, WorkChain, step

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("user")


class Part(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("parent", valid_type=str)

    def run(self) -> None:
        with TRACER.start_as_current_span("of the user") as span:
            parent = getattr(span, "parent", None)
            self.out("parent", "" if parent is None else f"{parent.trace_id:032x}-{parent.span_id:016x}")


class Whole(WorkChain):
    """Has a child under its step, another under a span of that step, and a step that fails once."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("marks", valid_type=str)
        spec.outline(cls.launch, cls.flaky)

    def launch(self) -> ToContext:
        first = self.submit(Part)
        with TRACER.start_as_current_span("of the user"):
            return ToContext(first=first, second=self.submit(Part))

    @step(retry=Retry(attempts=2, first=0.01))
    def flaky(self) -> None:
        mark = Path(self.inputs.marks)
        if not mark.exists():
            mark.touch()
            raise ValueError("the first time")


class Slow(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("marks", valid_type=str)
        spec.outline(cls.quick, cls.hang)

    def quick(self) -> None:
        pass

    def hang(self) -> None:
        mark = Path(self.inputs.marks)
        if not mark.exists():
            mark.touch()
            time.sleep(600)
