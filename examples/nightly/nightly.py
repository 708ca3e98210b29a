"""A nightly report: every night at two, in Berlin, the temperatures of the day before become one line.

    python nightly.py                                       # adds the schedule; a daemon's workers fire it
    quince schedule show weather                            # when it fires next, and what it has done
    quince schedule backfill weather --from 2025-10-26 --to 2025-10-29      # the nights of `readings.csv`

`readings.csv` is what a station has written: a time of Berlin, and Celsius.
"""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from pathlib import Path

from quince import ExitCode, Retry, WorkChain, WorkChainSpec, schedule, step


class DayReport(WorkChain):
    """Lowest, mean and highest temperature of the day before the night for which it was made."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input("readings", valid_type=Path, help="a CSV file with columns time and celsius")
        spec.output("day", valid_type=date)
        spec.output("lowest", valid_type=float)
        spec.output("mean", valid_type=float)
        spec.output("highest", valid_type=float)
        spec.exit_code(410, "NO_READINGS", "there are no readings of {day}")
        spec.outline(cls.read, cls.sum_up)

    @step(retry=Retry(5, first="10 min", on=OSError))  # the station may be away
    def read(self) -> ExitCode | None:
        night = (
            self.scheduled or datetime.now().astimezone()
        )  # what is made up for, or back-filled, runs later
        self.ctx.day = night.date() - timedelta(days=1)
        with self.inputs.readings.open() as file:
            rows = list(csv.DictReader(file))
        day = self.ctx.day.isoformat()
        self.ctx.values = [float(row["celsius"]) for row in rows if row["time"].startswith(day)]
        return None if self.ctx.values else self.exit_codes.NO_READINGS.format(day=day)

    def sum_up(self) -> None:
        values = self.ctx.values
        lowest, mean, highest = min(values), sum(values) / len(values), max(values)
        self.out_many({"day": self.ctx.day, "lowest": lowest, "mean": mean, "highest": highest})
        self.report(f"{self.ctx.day}: {lowest:.1f} to {highest:.1f}, mean {mean:.1f} Celsius")


def add(readings: Path) -> None:
    """Add the schedule, or put it in the place of the one that is there."""
    schedule(
        DayReport, name="weather", cron="0 2 * * *", tz="Europe/Berlin", catch_up="all", overlap="queue",
        replace=True, inputs={"readings": readings},
    )  # fmt: skip


if __name__ == "__main__":
    add(Path(__file__).resolve().parent / "readings.csv")
