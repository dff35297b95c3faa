"""The same statistics of any tidy table of scores: a line for each seed of each row, whatever made them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from bench.errors import BenchError, suggest
from bench.statistics.arms import Better
from bench.statistics.baseline import Comparison, compare_to_baseline
from bench.statistics.frames import frame_of
from bench.statistics.pairs import compare_pairs
from bench.statistics.standings import Standing, standings
from bench.statistics.summary import Summary, described, ranked, summary_frame

# Columns of results.csv of which a table of scores has one value: means over several would mean nothing.
_ONE_VALUE = ("study", "protocol", "metric", "generator", "generator_steps")


def compare(
    table: pd.DataFrame,
    *,
    baseline: Hashable,
    value: str = "value",
    row: str = "label",
    seed: str = "seed",
    better: Better = "lower",
) -> pd.DataFrame:
    """Compare every row of a tidy table with one of them, and return a line with a verdict for each.

    table     a line for each seed of each row. Several lines of one seed (sample seeds) count as their mean. A value
              that is empty or not finite is a lost run, which counts as worse than every score
    baseline  the row that the others are held against
    value, row, seed   the columns of the scores, of what is compared, and of the seeds
    better    "lower" or "higher": which way a score is better

    Columns: the row, its `baseline`, how many seeds are `planned`, `scored` and `lost` on both sides, the `difference`
    of the means with Welch's 95 % interval in the unit of the scores, `test`, `p`, `p_holm` (Holm's correction over the
    `family` of all rows) and the `verdict` at 5 %: better, worse, lost or undecided; empty, with the reason in
    `unjudged`, below five seeds a side. docs/statistics.md explains the methods, and `Comparison` every column.

    For a study's own results use `bench.read_statistics`: it knows which planned runs are lost or missing.
    Raises BenchError for a column or a row that is not there, and for a table that mixes metrics or protocols.

        table = pd.DataFrame({"label": ["a"] * 5 + ["b"] * 5, "seed": [*range(5)] * 2, "value": accuracies})
        bench.compare(table, baseline="a", better="higher")[["label", "difference", "p_holm", "verdict"]]
    """
    summaries = _summaries(table, value, row, seed, better)
    known = [summary.label for summary in summaries]
    if str(baseline) not in known:
        raise BenchError(
            f'The column "{row}" has no "{baseline}"{suggest(str(baseline), known)}', hint=f"It has: {_listed(known)}."
        )
    comparisons = frame_of(compare_to_baseline(summaries, str(baseline), better=better), Comparison)
    return comparisons.drop(columns=["protocol", "metric", "role"]).rename(columns={"label": row})


def tie_groups(
    table: pd.DataFrame, *, value: str = "value", row: str = "label", seed: str = "seed", better: Better = "lower"
) -> pd.DataFrame:
    """Say which rows of a tidy table its seeds tell apart, best row first; arguments as for `compare`.

    Columns: the row, its `mean` with the 95 % t interval `low` to `high` (from three seeds on), `planned` seeds, `lost`
    ones, its `rank`, the ranks `best_rank` to `worst_rank` that the seeds do not exclude, and `letters`: rows that
    share one are not told apart by both Holm's correction over all pairs and Games and Howell's intervals. A row that
    lost a run or has fewer than five seeds has no letters; `unlettered` says why.
    Raises BenchError as `compare` does.

        bench.tie_groups(table, better="higher")[["label", "mean", "rank", "letters"]]
    """
    summaries = _summaries(table, value, row, seed, better)
    placed = standings(summaries, compare_pairs(summaries, better=better))
    columns = ["label", "mean", "low", "high", "planned", "lost"]
    described_rows = summary_frame(summaries).assign(lost=[summary.arm.lost for summary in summaries])[columns]
    places = frame_of(placed, Standing)[["label", "rank", "best_rank", "worst_rank", "letters", "unlettered"]]
    merged = described_rows.merge(places, on="label", how="left", validate="one_to_one")
    order = merged.assign(worse=merged["mean"] * (1 if better == "lower" else -1)).sort_values(
        ["rank", "worse"], kind="stable"
    )
    return merged.loc[order.index].reset_index(drop=True).rename(columns={"label": row})


def _summaries(table: pd.DataFrame, value: str, row: str, seed: str, better: Better) -> list[Summary]:
    """Return the table's rows, in their order, as the primary metric of a study of one protocol."""
    scores = _scores(table, value, row, seed, better)
    summaries = []
    for label, lines in scores.groupby("label", sort=False):
        finite = lines[np.isfinite(lines["score"])]
        lost = len(lines) - len(finite)
        summary = Summary(
            protocol="",
            label=str(label),
            objective="",
            generator="",
            metric=value,
            role="primary",
            planned=len(lines),
            done=len(finite),
            diverged=lost,
            failed=0,
            missing=0,
            collapsed=0,
            values=tuple(sorted(zip(finite["seed"].tolist(), finite["score"].tolist(), strict=True))),
        )
        summaries.append(described(summary) if len(finite) else summary)
    return ranked(summaries, value, better)


def _scores(table: pd.DataFrame, value: str, row: str, seed: str, better: Better) -> pd.DataFrame:
    """Return one line for each row and seed: label, seed (a number) and score, NaN where the run is lost."""
    if better not in get_args(Better):
        raise BenchError(f'better="{better}" says no direction', hint='Use "lower" or "higher".')
    for column in (value, row, seed):
        if column not in table.columns:
            known = list(map(str, table.columns))
            raise BenchError(
                f'The table has no column "{column}"{suggest(column, known)}',
                hint=f"Its columns are {_listed(known)}; name yours with value=, row= and seed=.",
            )
    for column in _ONE_VALUE:
        if column in table.columns and column not in (value, row, seed) and table[column].nunique() > 1:
            raise BenchError(
                f'The table mixes several values of "{column}": {_listed(table[column].dropna().unique())}',
                hint=f'Select one first: table[table["{column}"] == ...].',
            )
    if table.empty or table[[row, seed]].isna().any(axis=None):
        what = "is empty" if table.empty else f'has lines without "{row}" or "{seed}"'
        raise BenchError(f"The table {what}", hint="Give a line for each seed of each row.")
    try:
        numbers = table[value].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise BenchError(f'The column "{value}" holds something other than numbers: {error}') from error
    seeds = table[seed] if pd.api.types.is_integer_dtype(table[seed]) else pd.factorize(table[seed])[0]
    lines = pd.DataFrame(
        {
            "label": table[row].astype(str).to_numpy(),
            "seed": np.asarray(seeds, dtype=np.int64),
            "score": np.where(np.isfinite(numbers), numbers, np.nan),
        }
    )
    # A seed of which one line has no score has none: a mean over the others would flatter it.
    grouped = lines.groupby(["label", "seed"], sort=False)["score"]
    scores: pd.DataFrame = grouped.agg(lambda values: values.mean(skipna=False)).reset_index()
    return scores


def _listed(values: Sequence[Any] | Any) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
