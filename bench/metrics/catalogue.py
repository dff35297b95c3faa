"""Every metric in words: what it is called, which way is better, whether it may rank. Never imports torch.

The metrics themselves are data: catalogue.toml beside this file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from statistics import fmean
from typing import Any, Literal

from bench.errors import BenchError, suggest
from bench.metrics.own import read_label, read_metric_name
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
    below `low` or above `high`; None where there is no such bound. `labels`, `codes`: only studies with labels, or
    codes, have it. `pairs`: only studies of pairs have it, or those of drawn faces, or of maps of their parts.
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
    labels: bool = False
    codes: bool = False
    pairs: Literal["any", "faces", "parts"] | None = None


_TABLE: dict[str, Any] = tomllib.loads(files("bench.metrics").joinpath("catalogue.toml").read_text("utf-8"))
_NUMBERS = {
    "neighbours_precision_recall": NEIGHBOURS_PRECISION_RECALL,
    "neighbours_density_coverage": NEIGHBOURS_DENSITY_COVERAGE,
    "vendi_images": VENDI_IMAGES,
}


def extractor_title(extractor: str) -> str:
    """Return what an extractor is called in titles; one of other weights keeps its bare name."""
    known: Mapping[str, str] = _TABLE["extractor"].get(extractor, {})
    own = read_label(extractor)
    return known.get("network", own.title if own else extractor)


def frechet_name(extractor: str) -> str:
    """Return the Frechet distance's name under an extractor; only the TF-2015 Inception weights make it `fid`."""
    return "fid" if extractor == "inception" else f"fd_{extractor}"


def extractor_of(metric: str) -> str:
    """Return the label of the extractor whose features a metric is taken in; FID and IS are Inception's."""
    base = re.sub(r"_(train|inf)$", "", metric.partition("@")[0].partition("+")[0])
    base = re.sub(r"^(fid|is)(?=$|_)", "_inception", base)
    return base.rpartition("_")[2]


def of_a_part(metric: str) -> bool:
    """Tell whether a metric is of one class or one factor alone: `kid_lite0+3.cat`, `label_accuracy_judge+hat`."""
    return "+" in metric


def averaged_over_seeds(metric: str) -> bool:
    """Tell whether a mean over seeds says anything: of one code it does not, which means something else at each."""
    base = METRICS.get(metric.partition("+")[0])
    return base is None or not base.codes or not of_a_part(metric)


def part_title(metric: str) -> str:
    """Return which class or factor a metric is of, as a title: "class 3: glasses, none", "hat"."""
    part = metric.partition("@")[0].partition("+")[2]
    number, _, values = part.partition(".")
    if not number.isdigit():
        return part.replace(".", " ")
    return f"class {number}: {', '.join(value.replace('.', ' ') for value in values.split('-'))}"


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
        labels=row.get("labels", False),
        codes=row.get("codes", False),
        pairs=row.get("pairs"),
    )


METRICS: Mapping[str, MetricInfo] = {info.name: info for info in _read_metrics()}


def metric_info(name: str) -> MetricInfo:
    """Describe a metric by the name it has in metrics.jsonl.

    Some names are not in METRICS but made from one that is: `fd_lite0@1000` (on so many samples, where the final step
    has more), of one class or factor (`kid_lite0+3.cat`), those of Inception weights other than the TF-2015 ones
    (`kid_inception-1a2b3c4d`), none of which ranks, and those of a study's own extractors
    (`fd_dinov2-bicubic224-1a2b3c4d`). A study's own metrics carry all that is known of them in their name (see
    `bench.metrics.own`). Raises BenchError for an unknown name.
    """
    whole, _, count = name.partition("@")
    base, _, part = whole.partition("+")
    own_metric = read_metric_name(base)
    if own_metric is not None and name == base:
        of = "pixels" if own_metric.of == "pixels" else extractor_title(own_metric.of)
        title = f"{own_metric.name} ({of})" if of != "pixels" else own_metric.name
        source = f"the study's own file, {own_metric.digest}"
        return MetricInfo(name, title, "", own_metric.better, False, "A metric of the study's own.", source)
    own = next((of_own for label in _labels_in(base) if base in (of_own := _own_metrics(label))), {})
    weights = re.search(r"_inception-([0-9a-f]{8})(?=_train$|_inf$|$)", base)
    if weights is not None:
        base = _named_by_tf_weights(base.replace(weights[0], "_inception"))
    info = METRICS.get(base) or own.get(base)
    if info is None or ("@" in name and not count.isdigit()) or whole.endswith("+"):
        raise BenchError(f'There is no metric "{name}"{suggest(name, METRICS)}', hint="`bench list` shows them all.")
    if name == info.name:
        return info
    title = info.title.replace("FID", "FD") if weights is not None else info.title
    title += f", Inception weights {weights[1]}" if weights is not None else ""
    title += f", {part_title(name)}" if part else ""
    title += f" on {int(count):,} samples" if count else ""
    return replace(info, name=name, title=title, ranks=False)


def find_metric(name: str) -> MetricInfo | None:
    """Describe a metric as `metric_info` does; None for an unknown name."""
    try:
        return metric_info(name)
    except BenchError:
        return None


def _labels_in(metric: str) -> list[str]:
    """Return the own extractor's label in a metric's name, none where there is none."""
    return [part for part in metric.split("_") if read_label(part)]


@lru_cache
def _own_metrics(label: str) -> Mapping[str, MetricInfo]:
    """Return the metrics in the features of a study's own extractor; what may rank of the others may here."""
    title = extractor_title(label)
    words = {
        "extractor": label,
        "network": title,
        "frechet": f"fd_{label}",
        "frechet_title": f"FD ({title})",
        **_NUMBERS,
    }
    rows = [row for row in _TABLE["of_extractor"] if "extractors" not in row]
    return {info.name: info for info in (_info(row, words, may_rank=True) for row in rows)}


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
    for extractor in settings.labels:
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
