"""Every metric in words: what it is called, which way is better, whether it may rank. Never imports torch.

The metrics themselves are data: catalogue.toml beside this file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from statistics import fmean
from typing import Any, Literal

from bench.errors import BenchError, suggest
from bench.metrics.settings import (
    NEIGHBOURS_DENSITY_COVERAGE,
    NEIGHBOURS_PRECISION_RECALL,
    VENDI_IMAGES,
    EvaluationSettings,
)


@dataclass(frozen=True)
class MetricInfo:
    """One metric. `better` is None for a value that should be near its floor, in neither direction.

    `ranks` says whether it may be a study's primary metric; `unit` is "" for a plain number or a ratio. No value can be
    below `low` or above `high`; None where there is no such bound.
    """

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher"] | None
    ranks: bool
    description: str
    source: str
    low: float | None = None
    high: float | None = None


_TABLE: dict[str, Any] = tomllib.loads(files("bench.metrics").joinpath("catalogue.toml").read_text("utf-8"))
_NUMBERS = {
    "neighbours_precision_recall": NEIGHBOURS_PRECISION_RECALL,
    "neighbours_density_coverage": NEIGHBOURS_DENSITY_COVERAGE,
    "vendi_images": VENDI_IMAGES,
}


def extractor_title(extractor: str) -> str:
    """Return what an extractor is called in titles; one of other weights keeps its bare name."""
    known: Mapping[str, str] = _TABLE["extractor"].get(extractor, {})
    return known.get("network", extractor)


def frechet_name(extractor: str) -> str:
    """Return the Frechet distance's name under an extractor; only the TF-2015 Inception weights make it `fid`."""
    return "fid" if extractor == "inception" else f"fd_{extractor}"


def inception_score_name(extractor: str) -> str:
    """Return the Inception-type score's name under an extractor."""
    return "is" if extractor == "inception" else f"is_{extractor}"


def _read_metrics() -> Iterator[MetricInfo]:
    """Yield the metrics of catalogue.toml: those of each extractor in turn, then the others."""
    for extractor, keys in _TABLE["extractor"].items():
        for row in _TABLE["of_extractor"]:
            if extractor in row.get("extractors", [extractor]):
                yield _info(row, {"extractor": extractor, **_NUMBERS, **keys}, may_rank=keys["ranks"])
    for row in _TABLE["metric"]:
        yield _info(row, _NUMBERS, may_rank=True)


def _info(row: Mapping[str, Any], words: Mapping[str, Any], *, may_rank: bool) -> MetricInfo:
    return MetricInfo(
        name=row["name"].format_map(words),
        title=row["title"].format_map(words),
        unit=row.get("unit", ""),
        better=row.get("better"),
        ranks=may_rank and row.get("ranks", False),
        description=row["description"].format_map(words),
        source=row["source"],
        low=row.get("low"),
        high=row.get("high"),
    )


METRICS: Mapping[str, MetricInfo] = {info.name: info for info in _read_metrics()}


def metric_info(name: str) -> MetricInfo:
    """Describe a metric by the name it has in metrics.jsonl.

    Two kinds of names are not in METRICS but made from one that is: `fd_lite0@1000` (on so many samples, where the
    final step has more) and those of Inception weights other than the TF-2015 ones (`kid_inception-1a2b3c4d`).
    Neither ranks. Raises BenchError for an unknown name.
    """
    base, _, count = name.partition("@")
    weights = re.search(r"_inception-([0-9a-f]{8})(?=_train$|_inf$|$)", base)
    if weights is not None:
        base = _named_by_tf_weights(base.replace(weights[0], "_inception"))
    info = METRICS.get(base)
    if info is None or ("@" in name and not count.isdigit()):
        raise BenchError(f'There is no metric "{name}"{suggest(name, METRICS)}', hint="`bench list` shows them all.")
    if name == info.name:
        return info
    title = info.title.replace("FID", "FD") if weights is not None else info.title
    title += f", Inception weights {weights[1]}" if weights is not None else ""
    title += f" on {int(count):,} samples" if count else ""
    return replace(info, name=name, title=title, ranks=False)


def _named_by_tf_weights(name: str) -> str:
    if name.startswith("fd_inception"):
        return name.replace("fd_inception", "fid")
    return "is" if name == "is_inception" else name


@dataclass(frozen=True)
class CollapseEvidence:
    """What decides whether a generator has collapsed, means over the sample seeds, all under one extractor.

    `coverage_floor` is what as many real images cover.
    """

    extractor: str
    coverage: float
    coverage_floor: float
    unique: float

    def covers_too_little(self, settings: EvaluationSettings) -> bool:
        """Tell whether coverage is below `collapse_coverage` times what real images cover."""
        return self.coverage < settings.collapse_coverage * self.coverage_floor

    def repeats_too_much(self, settings: EvaluationSettings) -> bool:
        """Tell whether the effective unique share is below `collapse_unique`."""
        return self.unique < settings.collapse_unique


def collapse_evidence(lines: Iterable[Mapping[str, Any]], settings: EvaluationSettings) -> CollapseEvidence | None:
    """Return what decides collapse, from the lines of metrics.jsonl of one run's final step and one generator.

    It is taken under the first extractor that measured it; None where the lines lack these metrics.
    """
    lines = list(lines)
    for extractor in settings.extractors:
        coverage, unique = _named(lines, f"coverage_{extractor}"), _named(lines, f"unique_{extractor}")
        if coverage and unique:
            values = (fmean(line["value"] for line in coverage), fmean(line["floor"] for line in coverage))
            return CollapseEvidence(extractor, *values, fmean(line["value"] for line in unique))
    return None


def collapsed(lines: Iterable[Mapping[str, Any]], settings: EvaluationSettings) -> bool | None:
    """Tell whether a generator covers too little or repeats too much (`collapse_evidence`); None where not known."""
    evidence = collapse_evidence(lines, settings)
    return None if evidence is None else evidence.covers_too_little(settings) or evidence.repeats_too_much(settings)


def _named(lines: list[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """Select a metric's lines; those of other Inception weights (`..._inception-1a2b3c4d`) count as Inception's."""
    return [line for line in lines if re.fullmatch(rf"{re.escape(metric)}(-[0-9a-f]{{8}})?", str(line["metric"]))]
