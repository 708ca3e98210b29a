"""A fit that somebody must approve of within two days; nobody sits at a terminal, and no slot is held.

The vapour pressure of water (`water.csv`: Celsius, kPa; steam tables) gives its heat of vaporisation.

    quince submit approval.py:HeatOfVaporisation          # it waits, and `quince why PID` says for what
    quince signal PID approval --value yes                # or no
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from quince import ExitCode, ToContext, WorkChain, WorkChainSpec, signal_

GAS_CONSTANT = 8.314462618e-3  # kJ/(mol K)


class HeatOfVaporisation(WorkChain):
    """Fits ln p over 1/T, shows what came of it, and goes on if somebody says yes."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        table = (Path(__file__).parent / "water.csv").read_text()
        spec.input("table", valid_type=str, default=table, help="text of a CSV file")
        spec.input("patience", valid_type=str, default="2 d", help="how long it waits for an answer")
        spec.output("heat", valid_type=float, help="kJ/mol")
        spec.exit_code(410, "NOT_APPROVED", "{heat:.1f} kJ/mol was not approved of: {answer}")
        spec.exit_code(411, "NOBODY_THERE", "nobody has looked at it within {patience}")
        spec.outline(cls.fit, cls.ask, cls.publish)

    def fit(self) -> None:
        rows = list(csv.DictReader(self.inputs.table.splitlines()))
        points = [
            (1 / (float(row["temperature"]) + 273.15), math.log(float(row["pressure"]))) for row in rows
        ]
        slope, worst = line_through(points)
        self.ctx.heat = -slope * GAS_CONSTANT
        self.report(f"{self.ctx.heat:.2f} kJ/mol from {len(points)} points, off by {worst:.1%} at most")

    def ask(self) -> ToContext:
        self.status = f"{self.ctx.heat:.2f} kJ/mol: quince signal {self.pid} approval --value yes"
        return ToContext(answer=signal_("approval", timeout=self.inputs.patience))

    def publish(self) -> ExitCode | None:
        if self.ctx.answer is None:
            return self.exit_codes.NOBODY_THERE.format(patience=self.inputs.patience)
        if self.ctx.answer != "yes":
            return self.exit_codes.NOT_APPROVED.format(heat=self.ctx.heat, answer=self.ctx.answer)
        self.out("heat", self.ctx.heat)
        return None


def line_through(points: list[tuple[float, float]]) -> tuple[float, float]:
    """The slope of the line of least squares, and how far a point is from it at most."""
    x_mean, y_mean = (sum(column) / len(points) for column in zip(*points, strict=True))
    above = sum((x - x_mean) * (y - y_mean) for x, y in points)
    slope = above / sum((x - x_mean) ** 2 for x, _ in points)
    return slope, max(abs(y - y_mean - slope * (x - x_mean)) for x, y in points)
