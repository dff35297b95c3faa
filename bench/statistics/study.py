"""Every statistic of a study at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.statistics.baseline import Comparison, compare_same, compare_to_baseline
from bench.statistics.frames import frame_of
from bench.statistics.limits import Limit, limits
from bench.statistics.mixtures import Mixture, mixtures
from bench.statistics.pairs import Pair, compare_pairs
from bench.statistics.power import Resolution, resolutions
from bench.statistics.predictions import PredictionResult, judge_predictions
from bench.statistics.stability import Stability, stability
from bench.statistics.standings import Standing, standings
from bench.statistics.summary import Summary, summarise, twins_of, within_runs


@dataclass(frozen=True)
class StudyStatistics:
    """What a study's runs say: one tuple of rows per table. docs/statistics.md explains every method and column.

    `same` are the A/A comparisons, one per protocol: in comparisons.csv, and in no family.
    """

    summaries: tuple[Summary, ...]
    stability: tuple[Stability, ...]
    comparisons: tuple[Comparison, ...]
    pairs: tuple[Pair, ...]
    standings: tuple[Standing, ...]
    resolutions: tuple[Resolution, ...]
    same: tuple[Comparison, ...] = ()
    limits: tuple[Limit, ...] = ()
    mixtures: tuple[Mixture, ...] = ()
    predictions: tuple[PredictionResult, ...] = ()

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return every table by the name of its CSV file, columns as the rows' fields."""
        return {
            "summary": frame_of(self.summaries, Summary),
            "stability": frame_of(self.stability, Stability),
            "comparisons": frame_of((*self.comparisons, *self.same), Comparison),
            "pairs": frame_of(self.pairs, Pair),
            "standings": frame_of(self.standings, Standing),
            "resolution": frame_of(self.resolutions, Resolution),
            "limits": frame_of(self.limits, Limit),
            "mixtures": frame_of(self.mixtures, Mixture),
            **({"predictions": frame_of(self.predictions, PredictionResult)} if self.predictions else {}),
        }


def study_statistics(results: pd.DataFrame, plan: Mapping[str, Any]) -> StudyStatistics:
    """Compute every statistic of a study from its table of results and its plan.

    The same table and plan give the same numbers. An A/A arm (the plan's `same_as`) has a summary and is compared with
    what it repeats, but has no part in other comparisons, ranks and tie groups. Raises BenchError where it shares seeds
    with that, or is another objective.
    """
    summaries, twins = summarise(results, plan), twins_of(plan)
    pairs = compare_pairs(summaries, twins)
    comparisons = compare_to_baseline(summaries, plan["baseline"], twins)
    return StudyStatistics(
        summaries=tuple(summaries),
        stability=tuple(stability(results, plan)),
        comparisons=tuple(comparisons),
        pairs=tuple(pairs),
        standings=tuple(standings(summaries, pairs, twins)),
        resolutions=tuple(resolutions(summaries, twins, within_runs(results, plan["generator"], twins))),
        same=tuple(_with_themselves(summaries, twins)),
        limits=tuple(limits(summaries, comparisons, pairs)),
        mixtures=tuple(mixtures(results, plan, summaries)),
        predictions=tuple(judge_predictions(plan, summaries, twins)),
    )


def _with_themselves(summaries: Sequence[Summary], twins: Mapping[str, str]) -> Iterator[Comparison]:
    primary = {(s.protocol, s.label): s for s in summaries if s.role == "primary"}
    for (protocol, label), again in primary.items():
        if label in twins and (protocol, twins[label]) in primary:
            yield compare_same(primary[protocol, twins[label]], again)
