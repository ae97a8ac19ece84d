"""Bounds for a model's quality, for CI: accuracy=0.95,macro_f1=0.9."""

import argparse
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from model.metrics import BETTER_HIGH, BETTER_LOW, Quality

OF_LABEL = ("precision", "recall", "f1")
SHARES = (*BETTER_HIGH, *OF_LABEL, "calibration_error")


class Bound(NamedTuple):
    """A metric, its label if it has one, and the lower or upper bound."""

    measure: str
    label: str | None
    limit: float
    direction: Literal["under", "over"]

    @property
    def name(self) -> str:
        return self.measure if self.label is None else f"{self.measure}:{self.label}"

    def explain(self, found: float | None) -> str | None:
        """Say how the bound is missed, None if it is kept."""
        if found is None:
            return f"{self.name} isn't defined on these rows, expected {self._word} {self.limit:g}"
        if found < self.limit if self.direction == "under" else found > self.limit:
            return f"{self.name} is {found:.4g}, expected {self._word} {self.limit:g}"
        return None

    @property
    def _word(self) -> str:
        return "at least" if self.direction == "under" else "at most"


def parse_bounds(direction: Literal["under", "over"]) -> Callable[[str], list[Bound]]:
    """Create the parser of an argument's bounds."""

    def parse(text: str) -> list[Bound]:
        return [_parse_bound(part.strip(), direction) for part in text.split(",")]

    return parse


def _parse_bound(text: str, direction: Literal["under", "over"]) -> Bound:
    name, equals, limit = text.rpartition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER, such as accuracy=0.9; got {text!r}")
    measure, _, label = name.partition(":")
    known, others = (BETTER_HIGH, BETTER_LOW) if direction == "under" else (BETTER_LOW, BETTER_HIGH)
    if (label and measure not in OF_LABEL) or (not label and measure not in known):
        if measure in others:
            other = "over" if direction == "under" else "under"
            raise argparse.ArgumentTypeError(f"{measure} is bounded by --fail-{other}")
        of_label = f", or {', '.join(f'{each}:LABEL' for each in OF_LABEL)}" if direction == "under" else ""
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}{of_label}; got {text!r}")
    try:
        number = float(limit)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {name}=NUMBER, got {text!r}") from None
    if measure in SHARES and not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected {name} from 0 to 1, got {limit}; 0.9 is 90 %")
    return Bound(measure, label or None, number, direction)


def find_misses(bounds: Sequence[Bound], quality: Quality, n_left_out: int) -> list[str]:
    """Explain each bound that is missed.

    Raises:
        KeyError: the model doesn't have a bound's label.
    """
    values = {**quality._asdict(), "left_out": n_left_out}
    found = [
        values[bound.measure] if bound.label is None else getattr(quality.labels[bound.label], bound.measure)
        for bound in bounds
    ]
    return [miss for bound, value in zip(bounds, found, strict=True) if (miss := bound.explain(value))]
