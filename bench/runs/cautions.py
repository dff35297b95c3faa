"""What one should know of a plan before its runs: floors of training images, and budgets that say nothing of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.config.models import Protocol
from bench.formatting import format_count
from bench.metrics.settings import floor_split
from bench.runs.plan import Plan


@dataclass(frozen=True)
class TrainingFloor:
    """The final step's floor will be of training images, because fewer than `needed` are held out."""

    samples: int
    heldout: int

    @property
    def needed(self) -> int:
        return 2 * self.samples

    def __str__(self) -> str:
        return (
            f"floor: {format_count(self.samples)} samples need {format_count(self.needed)} held-out images for a floor "
            f"of held-out ones, {format_count(self.heldout)} are there: training images stand in. At most "
            f"{format_count(self.heldout // 2)} samples avoid that (evaluation.samples)."
        )


@dataclass(frozen=True)
class TooShort:
    """A row whose budget is below the one from which it says something of its objective."""

    label: str
    protocol: Protocol
    generator_steps: int
    least: int
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.label}, {self.protocol}: {format_count(self.generator_steps)} generator steps are too few; this "
            f"row means something from {format_count(self.least)} on ({self.reason})."
        )


def training_floor(plan: Plan) -> TrainingFloor | None:
    """Return whether the floor will be of training images, as far as the study's data alone say."""
    samples, heldout = plan.study.evaluation.samples, plan.study.data.known_heldout
    if heldout is None or floor_split(samples, heldout) == "heldout":
        return None
    return TrainingFloor(samples, heldout)


def too_short(plan: Plan) -> list[TooShort]:
    """Return the rows whose budget is too short for their objective."""
    found = []
    steps = plan.study.budget.generator_steps
    for entry in plan.entries:
        least = entry.least_budget
        if least is not None and steps < least.generator_steps and not entry.same_as:
            found.append(TooShort(entry.label, entry.protocol, steps, least.generator_steps, least.reason))
    return found


def cautions(plan: Plan) -> Sequence[TrainingFloor | TooShort]:
    """Return everything that `bench plan` warns of."""
    floor = training_floor(plan)
    return [*([floor] if floor else []), *too_short(plan)]
