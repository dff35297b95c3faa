"""What `bench plan` says of seeds, in words: how many would decide a pair, and what a lost run would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.errors import BenchError
from bench.formatting import format_duration
from bench.statistics import ALPHA, SEEDS_FOR_VERDICT, AfterLoss, MoreSeeds, after_loss, resolve_in_study
from bench.statistics.arms import ranking_direction
from bench.statistics.shipped import StudyTables


def read_pair(pair: str, option: str = "--resolve") -> tuple[str, str]:
    """Return the two labels of a pair written "A,B". Raises BenchError when it is none."""
    names = [name.strip() for name in pair.split(",")]
    if len(names) != 2 or not all(names):
        raise BenchError(f'{option} "{pair}" names no pair', hint=f"For example: {option} nsgan,wgan-gp")
    return names[0], names[1]


def answers(study: StudyTables, pair: str) -> list[MoreSeeds]:
    """Return one answer per protocol for a pair written "A,B". Raises BenchError when it is none, or unknown."""
    return resolve_in_study(study.results, study.plan, *read_pair(pair))


def in_words(answer: MoreSeeds) -> list[str]:
    """Return what an answer says, line by line."""
    lines = [f"{answer.first} against {answer.second}, {answer.protocol}, by {answer.metric}"]
    if answer.unanswered:
        decided = ["  decided already, by the report's own test"] if answer.decided else []
        return [*lines, *decided, f"  no number: {answer.unanswered}"]
    if answer.difference is not None and answer.difference_low is not None and answer.difference_high is not None:
        lines.append(
            f"  {answer.first} less {answer.second} so far: {answer.difference:+.4g} "
            f"(95 %: {answer.difference_low:.4g} to {answer.difference_high:.4g}), "
            f"{answer.first_seeds} and {answer.second_seeds} seeds"
        )
    if answer.p is not None:
        lines.append(f"  p {answer.p:.2g}, {_judged(answer)}")
    lines.append(f"  if that is the true difference: {_seeds(answer.seeds_needed)}{_more(answer)}")
    lines.append(
        f"  at the ends of the interval: {_seeds(answer.seeds_at_widest)} or {_seeds(answer.seeds_at_narrowest)}"
    )
    return lines


def lost_verdicts(rows: Mapping[str, int], seeds: int, primary_metric: str) -> dict[str, AfterLoss]:
    """Return the protocols in which a single lost run can leave its row without a verdict, and what would mend it.

    `rows` are the entries by protocol, A/A arms not counted. Nothing where the plan allows no verdicts anyway.
    """
    if seeds < SEEDS_FOR_VERDICT or ranking_direction(primary_metric) is None:
        return {}
    losses = {protocol: after_loss(count, seeds) for protocol, count in rows.items() if count > 1}
    return {protocol: loss for protocol, loss in losses.items() if not (loss.baseline_possible and loss.pairs_possible)}


def lost_verdicts_in_words(losses: Mapping[str, AfterLoss]) -> list[str]:
    """Return a line for each kind of table in `lost_verdicts`; protocols with as many rows share one."""
    lines = []
    for loss in dict.fromkeys(losses.values()):
        families = [
            (f"the {loss.comparisons} comparisons with the baseline", loss.baseline_possible, loss.seeds_for_baseline),
            (f"all {loss.pairs} pairs", loss.pairs_possible, loss.seeds_for_pairs),
        ]
        impossible = [f"{name} ({seeds} seeds could)" for name, possible, seeds in families if not possible]
        protocols = ", ".join(protocol for protocol, other in losses.items() if other == loss)
        lines.append(
            f"{protocols}: with {loss.seeds} seeds, a row that loses a run (diverged or failed) gets no verdict among "
            f"{' or '.join(impossible)}: it is tested by ranks, whose p cannot be small enough."
        )
    return lines


def as_json(answer: MoreSeeds) -> dict[str, Any]:
    """Return an answer as JSON values."""
    return asdict(answer)


def _judged(answer: MoreSeeds) -> str:
    """Return what the report makes of the pair: Holm's p, and whether it decides."""
    if answer.p_holm is None:
        return "not judged so far"
    corrected = f"{answer.p_holm:.2g} by Holm's correction over {answer.family}"
    if answer.decided:
        return f"{corrected}: decides"
    if answer.p_holm <= ALPHA:
        return f"{corrected}: does not decide, for the simultaneous interval of the difference holds zero"
    return f"{corrected}: does not decide"


def _seeds(count: int | None) -> str:
    return "no number of seeds up to 1,000" if count is None else f"{count} seeds each"


def _more(answer: MoreSeeds) -> str:
    if answer.first_more is None or answer.second_more is None:
        return ""
    if answer.first_more == answer.second_more == 0:
        return ", which are planned"
    cost = "" if answer.device_seconds is None else f", {format_duration(answer.device_seconds)} of device time"
    return f": {answer.first_more} and {answer.second_more} more than planned{cost}"
