"""`bench plan --resolve A,B`: how many seeds would decide between two entries, in words. Never imports torch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.formatting import duration
from bench.runs.folder import read_plan
from bench.statistics import ALPHA, MoreSeeds, resolve_in_study
from bench.statistics.results import collect


def answers(runs_root: Path, study: str, pair: str) -> list[MoreSeeds]:
    """Return one answer per protocol for a pair written "A,B". Raises BenchError when it is none, or unknown."""
    names = [name.strip() for name in pair.split(",")]
    if len(names) != 2 or not all(names):
        raise BenchError(f'--resolve "{pair}" names no pair', hint="For example: --resolve nsgan,wgan-gp")
    return resolve_in_study(collect(runs_root, study), read_plan(runs_root, study), names[0], names[1])


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
    cost = "" if answer.device_seconds is None else f", {duration(answer.device_seconds)} of device time"
    return f": {answer.first_more} and {answer.second_more} more than planned{cost}"
