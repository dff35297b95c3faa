"""What a run's own losses tell of its images: whether they follow the score, and whether "settled" means anything.

Every paper shows its loss curves, and readers take them for quality. These statistics need no training: a run's log and
the scores of its snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bench.runs.folder import evaluation_settings
from bench.runs.latest import PLAYERS
from bench.statistics.arms import Better
from bench.statistics.results import matching

FEWEST_SNAPSHOTS = 4
"""A rank correlation of fewer snapshots takes too few values to say anything."""
SETTLED = 0.05
"""A loss has settled if its standard deviation over the last fifth of training is below this share of its mean."""

Floats = npt.NDArray[np.float64]
Scores = Mapping[int, float]
"""A run's scores by generator steps."""


@dataclass(frozen=True)
class RunLosses:
    """One finished run: each player's loss and each observed value by name at `steps`, NaN where it was not finite.

    `scores` are the primary metric's at the snapshots, by step; `collapsed` is None where it is not known.
    """

    protocol: str
    label: str
    seed: int
    steps: Floats
    logged: Mapping[str, Floats]
    scores: Mapping[int, float]
    collapsed: bool | None


@dataclass(frozen=True)
class Spread:
    """A statistic over a row's runs: their mean, the lowest and the highest, of so many runs."""

    mean: float
    lowest: float
    highest: float
    runs: int


@dataclass(frozen=True)
class Following:
    """How a row's losses go with its score.

    `by_name`: Spearman's rank correlation across a run's snapshots between the primary metric, turned so that lower is
    better, and the mean of a logged value since the snapshot before. 1: it falls whenever images get better. Most
    values fall while training and so do scores, so that a high one proves little; one near 0 or below says that the
    value does not tell how good images are. `opposed`: Pearson's correlation of the two players' losses from one logged
    line to the next; -1: what one gains the other loses.
    """

    protocol: str
    label: str
    snapshots: int
    by_name: Mapping[str, Spread]
    opposed: Spread | None


@dataclass(frozen=True)
class Settling:
    """Finished runs of a protocol by whether all their losses settled, and what became of them.

    `better` runs scored in the better half of their row (the middle one of an odd number counts for neither half).
    `chance`: Fisher's exact two-sided p that settled runs are the better half as often as the others, None where one
    kind is missing.
    """

    protocol: str
    settled: int
    settled_collapsed: int
    settled_better: int
    unsettled: int
    unsettled_collapsed: int
    unsettled_better: int
    halved: int
    halved_settled: int
    chance: float | None


@dataclass(frozen=True)
class Phases:
    """BEGAN's k (Berthelot et al. 2017): when it first was highest, as a share of training, and how it ended.

    `end` is its mean over the last fifth of training, `drift` its change over that fifth.
    """

    protocol: str
    label: str
    highest: Spread
    highest_at: Spread
    end: Spread
    drift: Spread


def read_losses(log: Sequence[Mapping[str, Any]]) -> tuple[Floats, dict[str, Floats]]:
    """Return a log's steps and, by name, each player's loss (the sum of its terms) and each observed value."""
    steps = np.array([line["generator_steps"] for line in log], dtype=np.float64)
    names = [name for name in PLAYERS if any(line.get(name) for line in log)]
    found = {name: np.array([_total(line.get(name)) for line in log]) for name in names}
    observed = dict.fromkeys(name for line in log for name in line.get("observed") or {})
    for name in observed:
        found[name] = np.array([_number((line.get("observed") or {}).get(name)) for line in log])
    return steps, found


def snapshot_scores(results: pd.DataFrame, plan: Mapping[str, Any], label: str, protocol: str) -> dict[int, Scores]:
    """Return each seed's scores of the primary metric by generator steps, all on as many samples.

    Where the final step has more samples, its score on as many as a snapshot's counts. Some metrics are measured at the
    final step alone.
    """
    of_row = matching(results, protocol=protocol, label=label, generator=plan["generator"])
    scored = matching(of_row, metric=evaluation_settings(plan).snapshot_metric(plan["primary_metric"]))
    scored = matching(of_row, metric=plan["primary_metric"]) if scored.empty else scored
    means = scored.groupby(["seed", "generator_steps"])["value"].mean().reset_index()
    found: dict[int, dict[int, float]] = {}
    for seed, step, value in zip(*(means[name].tolist() for name in means), strict=True):
        found.setdefault(seed, {})[step] = value
    return dict(found)


def followings(runs: Sequence[RunLosses], better: Better) -> list[Following]:
    """Return how the losses of each row go with its scores; a row is left out of which no run has enough snapshots."""
    found = []
    for (protocol, label), mine in _rows(runs):
        correlations: dict[str, list[float]] = {}
        opposed = []
        for run in mine:
            for name, rho in correlations_of(run, better).items():
                correlations.setdefault(name, []).append(rho)
            if (against := opposition(run)) is not None:
                opposed.append(against)
        if correlations or opposed:
            snapshots = max(len(run.scores) for run in mine)
            by_name = {name: _spread(values) for name, values in correlations.items()}
            found.append(Following(protocol, label, snapshots, by_name, _spread(opposed) if opposed else None))
    return found


def settlings(runs: Sequence[RunLosses], better: Better) -> list[Settling]:
    """Count, protocol by protocol, settled and unsettled runs that collapsed, and that are their row's better half."""
    in_better_half: dict[tuple[str, str, int], bool] = {}
    for key, mine in _rows(runs):
        final = {run.seed: run.scores[max(run.scores)] for run in mine if run.scores}
        ranked = sorted(final, key=lambda seed: final[seed], reverse=better == "higher")
        half = len(ranked) // 2
        in_better_half |= {(*key, seed): True for seed in ranked[:half]}
        in_better_half |= {(*key, seed): False for seed in ranked[len(ranked) - half :]}
    found = []
    for protocol in dict.fromkeys(run.protocol for run in runs):
        verdicts = [(run, has_settled(run)) for run in runs if run.protocol == protocol]
        known = [(run, settled) for run, settled in verdicts if settled is not None]
        if not known:
            continue
        table = np.zeros((2, 2), dtype=np.int64)  # settled or not, better half or not
        for run, is_settled in known:
            is_better = in_better_half.get((run.protocol, run.label, run.seed))
            if is_better is not None:
                table[0 if is_settled else 1, 0 if is_better else 1] += 1
        groups = [[run for run, settled in known if settled is kind] for kind in (True, False)]
        chance = float(stats.fisher_exact(table).pvalue) if table.sum(axis=1).all() else None
        found.append(
            Settling(
                protocol,
                len(groups[0]),
                sum(run.collapsed is True for run in groups[0]),
                int(table[0, 0]),
                len(groups[1]),
                sum(run.collapsed is True for run in groups[1]),
                int(table[1, 0]),
                int(table.sum()),
                int(table[0].sum()),
                chance,
            )
        )
    return found


def has_settled(run: RunLosses) -> bool | None:
    """Tell whether every player's loss settled; None where fewer than three values of the last fifth were logged."""
    verdicts = []
    for name in PLAYERS:
        if name in run.logged:
            last = last_fifth(run.steps, run.logged[name])
            if len(last) < 3:
                return None
            verdicts.append(bool(np.isfinite(last).all() and last.std() < SETTLED * abs(last.mean())))
    return all(verdicts) if verdicts else None


def phases(runs: Sequence[RunLosses]) -> list[Phases]:
    """Return how k went in every row that logs one."""
    found = []
    for (protocol, label), mine in _rows(runs):
        told = []
        for run in mine:
            k = run.logged.get("k")
            if k is None or not np.isfinite(k).all() or len(last := last_fifth(run.steps, k)) < 2:
                continue
            highest = int(k.argmax())
            told.append((k[highest], run.steps[highest] / run.steps[-1], last.mean(), last[-1] - last[0]))
        if told:
            found.append(Phases(protocol, label, *(_spread(values) for values in zip(*told, strict=True))))
    return found


def at_the_end(runs: Sequence[RunLosses], name: str) -> dict[tuple[str, str], Spread]:
    """Return a logged value's mean over the last fifth of training, by protocol and label of the rows that log it."""
    found = {}
    for key, mine in _rows(runs):
        ends = [last_fifth(run.steps, run.logged[name]).mean() for run in mine if name in run.logged]
        if ends and np.isfinite(ends).all():
            found[key] = _spread(ends)
    return found


def _rows(runs: Sequence[RunLosses]) -> Iterator[tuple[tuple[str, str], list[RunLosses]]]:
    for key in dict.fromkeys((run.protocol, run.label) for run in runs):
        yield key, [run for run in runs if (run.protocol, run.label) == key]


def correlations_of(run: RunLosses, better: Better) -> dict[str, float]:
    """Return how each logged value of a run goes with its score (`Following.by_name`); {} of too few snapshots."""
    found: dict[str, float] = {}
    snapshots = sorted(run.scores)
    if len(snapshots) < FEWEST_SNAPSHOTS:
        return found
    turn = 1.0 if better == "lower" else -1.0
    scores = np.array([turn * run.scores[step] for step in snapshots])
    for name, values in run.logged.items():
        since = [values[(run.steps > before) & (run.steps <= step)] for before, step in pairwise((0, *snapshots))]
        means = np.array([part.mean() if len(part) else np.nan for part in since])
        if np.isfinite(means).all() and len(np.unique(means)) > 1 and len(np.unique(scores)) > 1:
            found[name] = float(stats.spearmanr(means, scores).statistic)
    return found


def opposition(run: RunLosses) -> float | None:
    """Return how the players' losses go against each other (`Following.opposed`); None of too few lines."""
    if not all(name in run.logged for name in PLAYERS):
        return None
    one, other = (np.diff(run.logged[name]) for name in PLAYERS)
    if len(one) < 3 or not (np.isfinite(one).all() and np.isfinite(other).all() and one.std() and other.std()):
        return None
    return float(np.corrcoef(one, other)[0, 1])


def last_fifth(steps: Floats, values: Floats) -> Floats:
    """Return the values of the last fifth of training."""
    return values[steps > 0.8 * steps[-1]] if len(steps) else values


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(min(values)), float(max(values)), len(values))


def _total(terms: Mapping[str, float | None] | None) -> float:
    return sum(map(_number, (terms or {"": None}).values()))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
