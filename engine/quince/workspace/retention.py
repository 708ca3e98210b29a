"""How long a workspace keeps what has ended: `[retention]` in `quince.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quince.moments import seconds_of

NEVER = float("-inf")
"""Before that, nothing has ended."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What may be pruned: trees of which all has ended so long ago.

    Attributes:
        older_than: Seconds, of trees whose root has ended well; None: they stay.
        failed_older_than: Seconds, of the others; None: they stay.
    """

    older_than: float | None = None
    failed_older_than: float | None = None

    @property
    def keeps_all(self) -> bool:
        """Nothing is ever pruned."""
        return self.older_than is None and self.failed_older_than is None

    def before(self, now: float) -> tuple[float, float]:
        """By when all must have ended: of trees that have ended well, and of the others."""
        well, failed = (
            NEVER if age is None else now - age for age in (self.older_than, self.failed_older_than)
        )
        return well, failed


KEEP_ALL = Retention()


def age_of(value: object) -> float:
    """The seconds of an age by which something is deleted: one that says its unit.

    Raises:
        ValueError: it is no duration, or a number alone, which could be seconds or days.
    """
    seconds = seconds_of(value)
    if not isinstance(value, str) or not any(map(str.isalpha, value)):
        raise ValueError(f'{value!r} does not say of what: write it with its unit, as "30 d"')
    return seconds


def retention_of(settings: Mapping[str, Any]) -> Retention:
    """The retention that a table of `quince.toml` says.

    Raises:
        ValueError: it says something impossible; says what.
    """
    given = {name.replace("_", "-"): value for name, value in settings.items()}
    unknown = set(given) - {"older-than", "failed-older-than"}
    if unknown:
        raise ValueError(
            f"[retention] has a setting {min(unknown)!r} that means nothing; it may have older-than and "
            "failed-older-than"
        )
    ages: dict[str, float] = {}
    for name, value in given.items():
        try:
            ages[name] = age_of(value)
        except ValueError as error:
            raise ValueError(f"[retention] {name}: {error}") from None
        if not ages[name]:
            raise ValueError(f"[retention] {name}: {value!r} would delete whatever ends, as soon as it has")
    well = ages.get("older-than")
    return Retention(well, ages.get("failed-older-than", well))
