"""What a claim may say of runs: every metric, and what their logs, sample grids and ends tell. Never imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.errors import suggest
from bench.metrics.catalogue import METRICS, find_metric

Kind = Literal["metric", "grid", "log", "scores", "share"]
"""Where it comes from: metrics.jsonl, grids.json, log.jsonl, scores of snapshots; or a share of runs, yes or no."""


@dataclass(frozen=True)
class Measure:
    """One number of a run. `better` is None where neither direction is; `of` is what of the log it looks at."""

    name: str
    title: str
    kind: Kind
    better: Literal["lower", "higher"] | None = None
    of: str = ""

    @property
    def at_snapshots(self) -> bool:
        """Tell whether every snapshot has it, not the run's end alone."""
        return self.kind in ("metric", "grid") or self.name == "gain"


_PLAIN: Mapping[str, Measure] = {
    one.name: one
    for one in (
        Measure("collapsed", "share of runs that collapsed or were lost", "share", "lower"),
        Measure("settled", "share of runs whose losses settled", "share"),
        Measure("opposed", "correlation of D’s and G’s changes of loss", "log"),
        Measure("gain", "share of the primary metric’s gain that was reached", "scores"),
        Measure("border_mean", "mean of the border’s pixels", "grid"),
        Measure("border_between", "share of border pixels in (−0.9, 0.9)", "grid"),
        Measure("border_amplitude", "mean absolute value of the border’s pixels", "grid"),
        Measure("same_mode", "share of fixed latents that kept their mode", "grid"),
    )
}
_OF_A_LOG = {
    "follows": "rank correlation of {of} with the primary metric",
    "observed": "{of} at the end",
    "drift": "change of {of} over the last fifth",
}
_PLAYERS = {"discriminator": "D’s loss", "generator": "G’s loss"}


def find_measure(name: str) -> Measure | None:
    """Return what a claim calls `name`: one of the above, such as `follows.discriminator`, or a metric; None: neither.

    follows.X   Spearman's correlation over a run's snapshots of X, a player's loss or an observed value of the log,
                with the primary metric, turned so that lower is better
    observed.X  the mean of an observed value over the last fifth of training
    drift.X     its change over that fifth
    """
    if name in _PLAIN:
        return _PLAIN[name]
    prefix, _, of = name.partition(".")
    if prefix in _OF_A_LOG and of:
        shown = _PLAYERS.get(of, of.replace("_", " "))
        return Measure(name, _OF_A_LOG[prefix].format(of=shown), "log", of=of)
    info = find_metric(name)
    return None if info is None else Measure(name, info.title, "metric", info.better)


def near_measure(name: str) -> str:
    """Return the suggestion of a near name for an unknown one, and what there is."""
    known = [*_PLAIN, *(f"{prefix}.NAME" for prefix in _OF_A_LOG)]
    return f"{suggest(name, [*_PLAIN, *METRICS])}; there are {', '.join(known)} and all metrics (`bench list`)"
