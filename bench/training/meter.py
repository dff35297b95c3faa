"""Running sums of loss terms and observed values since the last log line, kept on the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.objectives.base import Terms


class Meter:
    """Adds values up without reading them; `take_means` reads them all at once, when a log line is due."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.generator_steps = 0
        self.discriminator_steps = 0

    def add_terms(self, player: str, terms: Terms) -> None:
        """Add the loss terms that `player` ("discriminator" or "generator") just minimised."""
        for name, value in terms.items():
            self._add(f"{player}/{name}", value.detach())

    def add_observed(self, observed: Mapping[str, Tensor]) -> None:
        """Add what a step observed, and how often: a lazy penalty observes only where it is taken."""
        for name, value in observed.items():
            self._add(f"observed/{name}", value)
            self._add(f"times/{name}", torch.ones_like(value))

    def count(self, discriminator_steps: int) -> None:
        """Count one iteration with so many discriminator steps."""
        self.generator_steps += 1
        self.discriminator_steps += discriminator_steps

    def take_means(self) -> dict[str, dict[str, float | None]]:
        """Return each player's mean terms and the mean observations since the last call; None where not finite.

        Waits for the device.
        """
        # One transfer for all; types are the tensors' own, since not every device has float64.
        totals = dict(zip(self.sums, torch.stack(list(self.sums.values())).tolist() if self.sums else (), strict=True))
        steps = {"discriminator": self.discriminator_steps, "generator": self.generator_steps}
        means: dict[str, dict[str, float | None]] = {"discriminator": {}, "generator": {}, "observed": {}}
        for name, total in totals.items():
            group, _, term = name.partition("/")
            times = totals[f"times/{term}"] if group == "observed" else steps.get(group, 0)
            if group in means and times:
                means[group][term] = finite_or_none(total / times)
        for value in self.sums.values():
            value.zero_()
        self.generator_steps = self.discriminator_steps = 0
        return means

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": self.sums,
            "generator_steps": self.generator_steps,
            "discriminator_steps": self.discriminator_steps,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        self.sums = dict(saved["sums"])
        self.generator_steps, self.discriminator_steps = saved["generator_steps"], saved["discriminator_steps"]

    def _add(self, name: str, value: Tensor) -> None:
        if name in self.sums:
            self.sums[name] += value
        else:
            self.sums[name] = value.clone()


def finite_or_none(value: float) -> float | None:
    """Return what a JSON file can hold."""
    return value if math.isfinite(value) else None
