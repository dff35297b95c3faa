"""Which objectives survive another backbone: a study and the same study on its other backbones. Never imports torch.

A run *trains* when it neither diverged nor collapsed and its score is below half of what the untrained generator of its
backbone scores. docs/backbones.md says how the tables are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from bench.files import read_json, write_record
from bench.metrics.catalogue import find_metric
from bench.networks.switches import network_title
from bench.runs.extras import BACKBONES, UNTRAINED
from bench.runs.folder import PLAN_FILE, read_plan
from bench.statistics.intervals import CONFIDENCE, mean_interval, rate_interval
from bench.statistics.results import collect, matching

OWN = "own"  # what the study's own backbone is called
TRAINED_SHARE = 0.5  # of the untrained generator's score
ROWS_FOR_INTERVAL = 4


@dataclass(frozen=True)
class Survival:
    """How a row fares on one backbone (`backbone` None: on all of them).

    `trained` of `runs` train, with the Clopper-Pearson interval of that share; the score's `mean` is over finished
    runs. `relative` is the mean ratio, over seeds, of a run's score to that of its seed on the study's own backbone
    (geometric, with the t interval of its logarithm).
    """

    protocol: str
    label: str
    backbone: str | None
    runs: int
    trained: int
    low: float | None
    high: float | None
    mean: float | None = None
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's correlation of the rows' mean scores on a backbone with those on the study's own.

    A row without a finished run ranks last. The interval takes the rows for a sample of objectives (Bonett and Wright
    2000, Psychometrika 65, equation 4): it needs four of them.
    """

    protocol: str
    backbone: str
    rows: int
    rho: float | None
    low: float | None = None
    high: float | None = None


def write_backbones(runs_root: Path, study: str) -> bool:
    """Write runs/<study>/backbones.json from the runs of the study and of its other backbones, where those are here.

    Returns whether it was written: not for a study that names no other backbones, or has runs on none.
    """
    plan = read_plan(runs_root, study)
    others = {name: on for name, on in plan.get("backbones", {}).items() if (runs_root / on / PLAN_FILE).is_file()}
    if not others:
        return False
    record = {
        "schema": 1,
        "evaluation_id": plan["evaluation_id"],
        "metric": plan["primary_metric"],
        "backbones": [_of_study(runs_root, name, on) for name, on in {OWN: study, **others}.items()],
    }
    write_record(runs_root / study / BACKBONES, record)
    return True


def _of_study(runs_root: Path, name: str, study: str) -> dict[str, Any]:
    plan = read_plan(runs_root, study)
    metric, twins = plan["primary_metric"], {entry["label"] for entry in plan["entries"] if entry.get("same_as")}
    final = matching(collect(runs_root, study), generator=plan["generator"], final=True, metric=metric)
    scores = {run: (group["value"].mean(), group["collapsed"].iloc[0]) for run, group in final.groupby("run")}
    states = collect(runs_root, study).groupby("run")["state"].first()
    untrained = runs_root / study / UNTRAINED
    known = read_json(untrained) if untrained.is_file() else {}
    runs = []
    for run in plan["runs"]:
        score, collapsed = scores.get(run["path"], (None, None))
        if run["label"] not in twins:
            runs.append(
                {key: run[key] for key in ("label", "protocol", "seed")}
                | {
                    "state": str(states.get(run["path"], "planned")),
                    "collapsed": None if collapsed is None or pd.isna(collapsed) else bool(collapsed),
                    "value": None if score is None or pd.isna(score) else float(score),
                }
            )
    return {
        "name": name,
        "study": study,
        "title": network_title(plan["backbone"]),
        "untrained": known.get("value") if known.get("evaluation_id") == plan["evaluation_id"] else None,
        "runs": runs,
    }


def trains(run: Mapping[str, Any], untrained: float | None, metric: str) -> bool | None:
    """Tell whether a run of a record trains; None where that is not known, or not yet."""
    info = find_metric(metric)
    bound = math.inf  # half of a share says nothing
    if info is not None and info.better == "lower":
        if untrained is None:
            return None  # also of failed runs: counted alone, they would be all that is counted
        bound = TRAINED_SHARE * untrained
    if run["state"] == "diverged" or run["collapsed"]:
        return False
    if run["state"] != "done" or run["value"] is None:
        return None
    return bool(run["value"] < bound)


def survivals(record: Mapping[str, Any]) -> Iterator[Survival]:
    """Return how each row fares on each backbone, then on all of them together."""
    own = {(run["protocol"], run["label"], run["seed"]): run["value"] for run in record["backbones"][0]["runs"]}
    for protocol, label in dict.fromkeys(key[:2] for key in own):
        everywhere: list[bool] = []
        for backbone in record["backbones"]:
            runs = [run for run in backbone["runs"] if (run["protocol"], run["label"]) == (protocol, label)]
            judged = [trains(run, backbone["untrained"], record["metric"]) for run in runs]
            known = [verdict for verdict in judged if verdict is not None]
            everywhere += known
            values = [run["value"] for run in runs if run["state"] == "done" and run["value"] is not None]
            ratios = [] if backbone["name"] == OWN else _log_ratios(runs, own)
            yield Survival(
                protocol,
                label,
                backbone["name"],
                len(known),
                sum(known),
                *_rate(known),
                sum(values) / len(values) if values else None,
                *_ratio(ratios),
            )
        yield Survival(protocol, label, None, len(everywhere), sum(everywhere), *_rate(everywhere))


def rank_agreements(record: Mapping[str, Any]) -> Iterator[RankAgreement]:
    """Return for each other backbone how far it ranks the rows as the study's own does."""
    found = list(survivals(record))
    info = find_metric(record["metric"])
    worst = -math.inf if info is not None and info.better == "higher" else math.inf
    means = {(one.protocol, one.backbone, one.label): worst if one.mean is None else one.mean for one in found}
    for protocol in dict.fromkeys(one.protocol for one in found):
        labels = [one.label for one in found if (one.protocol, one.backbone) == (protocol, OWN)]
        for backbone in (one["name"] for one in record["backbones"][1:]):
            pairs = [(means[protocol, OWN, label], means[protocol, backbone, label]) for label in labels]
            yield RankAgreement(protocol, backbone, len(pairs), *spearman(pairs))


def spearman(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, float | None, float | None]:
    """Return Spearman's correlation and its interval; None where the values, or too few of them, give none."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    if len(pairs) < 2 or len(set(first)) < 2 or len(set(second)) < 2:
        return None, None, None
    rho = float(stats.spearmanr(first, second).statistic)
    if len(pairs) < ROWS_FOR_INTERVAL:
        return rho, None, None
    if abs(rho) >= 1 - 1e-12:  # the transform has no end there
        return rho, None, None
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt((1 + rho**2 / 2) / (len(pairs) - 3))
    return rho, math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def backbone_frames(record: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the tables that a report writes of a record, by name: one of runs, one of rows, one of ranks."""
    runs = [
        {"backbone": one["name"], "network": one["title"], "study": one["study"], **run}
        | {"untrained": one["untrained"], "trains": trains(run, one["untrained"], record["metric"])}
        for one in record["backbones"]
        for run in one["runs"]
    ]
    return {
        "backbones-runs": pd.DataFrame(runs),
        "backbones": pd.DataFrame([vars(one) for one in survivals(record)]),
        "backbones-ranks": pd.DataFrame([vars(one) for one in rank_agreements(record)]),
    }


def _rate(verdicts: Sequence[bool]) -> tuple[float | None, float | None]:
    return rate_interval(sum(verdicts), len(verdicts)) or (None, None)


def _log_ratios(runs: Sequence[Mapping[str, Any]], own: Mapping[tuple[str, str, int], float | None]) -> list[float]:
    pairs = [(run["value"], own.get((run["protocol"], run["label"], run["seed"]))) for run in runs]
    return [math.log(value / before) for value, before in pairs if value and before and value > 0 and before > 0]


def _ratio(logarithms: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    if not logarithms:
        return None, None, None
    interval = mean_interval(logarithms)
    mean = math.exp(sum(logarithms) / len(logarithms))
    return (mean, None, None) if interval is None else (mean, math.exp(interval[0]), math.exp(interval[1]))
