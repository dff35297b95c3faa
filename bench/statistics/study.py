"""Every statistic of a study at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.statistics.baseline import Comparison, compare_to_baseline
from bench.statistics.frames import frame_of
from bench.statistics.pairs import Pair, compare_pairs
from bench.statistics.power import Resolution, resolutions
from bench.statistics.stability import Stability, stability
from bench.statistics.standings import Standing, standings
from bench.statistics.summary import Summary, summarise


@dataclass(frozen=True)
class StudyStatistics:
    """What a study's runs say: one tuple of rows per table. docs/statistics.md explains every method and column."""

    summaries: tuple[Summary, ...]
    stability: tuple[Stability, ...]
    comparisons: tuple[Comparison, ...]
    pairs: tuple[Pair, ...]
    standings: tuple[Standing, ...]
    resolutions: tuple[Resolution, ...]

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return every table by the name of its CSV file, columns as the rows' fields."""
        return {
            "summary": frame_of(self.summaries, Summary),
            "stability": frame_of(self.stability, Stability),
            "comparisons": frame_of(self.comparisons, Comparison),
            "pairs": frame_of(self.pairs, Pair),
            "standings": frame_of(self.standings, Standing),
            "resolution": frame_of(self.resolutions, Resolution),
        }


def study_statistics(results: pd.DataFrame, plan: Mapping[str, Any], without: Collection[str] = ()) -> StudyStatistics:
    """Compute every statistic of a study from its table of results and its plan.

    The same table and plan give the same numbers. Labels in `without` (an A/A arm) have a summary, but no part in
    comparisons, ranks and tie groups.
    """
    summaries = summarise(results, plan, without)
    pairs = compare_pairs(summaries, without)
    return StudyStatistics(
        summaries=tuple(summaries),
        stability=tuple(stability(results, plan)),
        comparisons=tuple(compare_to_baseline(summaries, plan["baseline"], without)),
        pairs=tuple(pairs),
        standings=tuple(standings(summaries, pairs, without)),
        resolutions=tuple(resolutions(summaries, without)),
    )
