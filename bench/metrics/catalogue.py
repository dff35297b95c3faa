"""Every metric in words: what it is called, which way is better, whether it may rank. Never imports torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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


_TITLES = {
    "inception": "Inception (TF 2015)",
    "lite0": "EfficientNet-Lite0",
    "judge": "judge",
}
_K_PR, _K_DC = NEIGHBOURS_PRECISION_RECALL, NEIGHBOURS_DENSITY_COVERAGE


def extractor_title(extractor: str) -> str:
    """Return what an extractor is called in titles; one of other weights keeps its bare name."""
    return _TITLES.get(extractor, extractor)


def frechet_name(extractor: str) -> str:
    """Return the Frechet distance's name under an extractor; only the TF-2015 Inception weights make it `fid`."""
    return "fid" if extractor == "inception" else f"fd_{extractor}"


def inception_score_name(extractor: str) -> str:
    """Return the Inception-type score's name under an extractor."""
    return "is" if extractor == "inception" else f"is_{extractor}"


def _of_extractor(extractor: str) -> list[MetricInfo]:
    """Describe the metrics of one extractor. The judge's are diagnostics: its distance prefers blobs to faces."""
    network = _TITLES[extractor]
    ranks = extractor != "judge"
    distance = frechet_name(extractor)
    shown = "FID" if extractor == "inception" else f"FD ({network})"
    infos = [
        MetricInfo(
            distance,
            shown,
            "",
            "lower",
            ranks,
            f"Fréchet distance between Gaussians fitted to {network} features of generated and held-out images.",
            "arXiv 1706.08500",
            low=0.0,
        ),
        MetricInfo(
            f"{distance}_train",
            f"{shown} to the training images",
            "",
            "lower",
            False,
            "The same distance to training images: it rewards copying them, so it stands beside the held-out one.",
            "arXiv 1706.08500",
            low=0.0,
        ),
        MetricInfo(
            f"{distance}_inf",
            f"{shown} at infinite N",
            "",
            "lower",
            False,
            "The same distance extrapolated to infinitely many generated images: a line in 1/n through the distances "
            "of all, of both halves and of the three thirds, at 1/n = 0. Only from N = 3.3 times the number of "
            "features on; what the reference's own finite number adds stays in it.",
            "arXiv 1911.07023",
        ),
        MetricInfo(
            f"kid_{extractor}",
            f"KID ({network})",
            "",
            "lower",
            ranks,
            "Kernel distance: unbiased squared MMD with a cubic kernel, the mean over random subsets. 0 for equal "
            "distributions, and it may fall below 0.",
            "arXiv 1801.01401",
        ),
        MetricInfo(
            f"kid_deviation_{extractor}",
            f"KID's deviation over subsets ({network})",
            "",
            None,
            False,
            "Standard deviation of KID over its random subsets, as torch-fidelity gives it: neither its standard error "
            "(subsets overlap) nor its spread over seeds. Only where N exceeds the subsets' size.",
            "arXiv 1801.01401",
            low=0.0,
        ),
        MetricInfo(
            f"precision_{extractor}",
            f"precision ({network})",
            "",
            "higher",
            False,
            f"Share of generated images inside a real image's ball of {_K_PR} nearest neighbours. A generator that "
            "repeats one good image reaches 1: read it with recall and coverage.",
            "arXiv 1904.06991",
            low=0.0,
            high=1.0,
        ),
        MetricInfo(
            f"recall_{extractor}",
            f"recall ({network})",
            "",
            "higher",
            False,
            f"Share of real images inside a generated image's ball of {_K_PR} nearest neighbours. Scattered samples "
            "have large balls.",
            "arXiv 1904.06991",
            low=0.0,
            high=1.0,
        ),
        MetricInfo(
            f"density_{extractor}",
            f"density ({network})",
            "",
            None,
            False,
            f"How many real balls of {_K_DC} neighbours hold a generated image, over {_K_DC}; real images give about "
            "1, repeats of a typical image more.",
            "arXiv 2002.09797",
            low=0.0,
        ),
        MetricInfo(
            f"coverage_{extractor}",
            f"coverage ({network})",
            "",
            "higher",
            ranks,
            f"Share of real images whose ball of {_K_DC} nearest real neighbours holds a generated image.",
            "arXiv 2002.09797",
            low=0.0,
            high=1.0,
        ),
        MetricInfo(
            f"diversity_{extractor}",
            f"diversity ({network})",
            "× real",
            None,
            False,
            "Mean distance between the features of two generated images, over the same for held-out images.",
            "arXiv 1606.03498",
            low=0.0,
        ),
        MetricInfo(
            f"unique_{extractor}",
            f"effective unique share ({network})",
            "",
            "higher",
            False,
            "Effective number of different images over their number: near-duplicates (closer than all but 1 % of "
            "held-out images are to their nearest) count as one. 1/N for one repeated image, about 1 for real ones.",
            "Leinster & Cobbold 2012, order 0",
            low=0.0,
            high=1.0,
        ),
        MetricInfo(
            f"vendi_{extractor}",
            f"Vendi score ({network})",
            "× real",
            None,
            False,
            "Effective number of different images by the entropy of their features' cosine similarities, over the same "
            f"for as many held-out images; of the first {VENDI_IMAGES:,} at most.",
            "arXiv 2210.02410",
            low=0.0,
        ),
        MetricInfo(
            f"support_{extractor}",
            f"support by the birthday paradox ({network})",
            "images",
            None,
            False,
            "An upper estimate of how many different images a generator makes: s(s-1) / (2 ln 2), s being the size "
            "at which half of the batches hold two near-duplicates (as for the unique share). Real images do not give "
            "more than the floor, by what counts as near; N samples never give more than 0.72 N², as noise does.",
            "arXiv 1706.08224",
            low=0.0,
        ),
        MetricInfo(
            f"nearest_train_{extractor}",
            f"distance to the nearest training image ({network})",
            "× held-out",
            None,
            False,
            "Mean distance between the features of a generated image and the nearest of as many training images, over "
            "the same for held-out images. Well below 1: copies.",
            "arXiv 1511.01844",
            low=0.0,
        ),
        MetricInfo(
            f"ct_{extractor}",
            f"copying test C_T ({network})",
            "z",
            None,
            False,
            "Mann-Whitney z of the distances to the nearest of as many training images, generated against held-out: "
            "far below 0 (-3 and less) means copies, far above 0 images unlike the training set. Grows with N, and "
            "cannot pass the root of 1.5 N: 47 of 1,500 samples.",
            "arXiv 2004.05675",
        ),
    ]
    if extractor != "judge":
        name = inception_score_name(extractor)
        classes = "1,008" if extractor == "inception" else "1,000"
        infos.append(
            MetricInfo(
                name,
                "Inception score" if extractor == "inception" else f"Inception-type score ({network})",
                "",
                "higher",
                False,
                f"exp of the mean KL between each image's prediction over {classes} classes and their mean. The "
                "classes are ImageNet's: on faces it says little, and real images need not score best.",
                "arXiv 1606.03498",
                low=1.0,
            )
        )
    return infos


def _others() -> list[MetricInfo]:
    return [
        MetricInfo(
            "nearest_train",
            "distance to the nearest training image",
            "× held-out",
            None,
            False,
            "Mean distance from a generated image to its nearest training image (16 x 16 pixels), over the same for "
            "held-out images. Well below 1: copies, or blur (a blurred image is near to everything).",
            "arXiv 1511.01844",
            low=0.0,
        ),
        MetricInfo(
            "ct_pixels",
            "copying test C_T (pixels)",
            "z",
            None,
            False,
            "Mann-Whitney z of the distances to the nearest of all training images (16 x 16 pixels), generated against "
            "held-out: far below 0 means copies, or blur. Grows with N, and cannot pass the root of 1.5 N.",
            "arXiv 2004.05675",
        ),
        MetricInfo(
            "ms_ssim",
            "MS-SSIM of pairs",
            "",
            None,
            False,
            "Mean similarity of 500 pairs of generated images, on 3 scales at 64 pixels (2 at 32, 4 at 128; an 11-tap "
            "window has no room for the usual 5). Well above what real images give: too alike.",
            "arXiv 1610.09585",
            low=0.0,
            high=1.0,
        ),
        MetricInfo(
            "modes_judge",
            "modes found",
            "modes",
            "higher",
            False,
            "How many of the 1,080 combinations of skin, background, shirt, glasses and hat the judge recognises with "
            "confidence among the samples.",
            "arXiv 1611.02163",
            low=0.0,
            high=1_080.0,
        ),
        MetricInfo(
            "modes_judge_share",
            "modes found, against real",
            "",
            "higher",
            False,
            "The modes found, over those found in as many real images.",
            "arXiv 1611.02163",
            low=0.0,
        ),
        MetricInfo(
            "mode_kl_judge",
            "mode KL",
            "nats",
            "lower",
            False,
            "KL divergence of the recognised modes' frequencies from uniform; as many real images give the floor.",
            "arXiv 1611.02163",
            low=0.0,
        ),
        MetricInfo(
            "judge_confident",
            "share the judge recognises",
            "",
            "higher",
            False,
            "Share of the images whose five mode factors the judge is sure of (joint confidence of 0.9).",
            "the judge's gate",
            low=0.0,
            high=1.0,
        ),
    ]


METRICS: Mapping[str, MetricInfo] = {
    info.name: info
    for info in [*_of_extractor("inception"), *_of_extractor("lite0"), *_of_extractor("judge"), *_others()]
}


def metric_info(name: str) -> MetricInfo:
    """Describe a metric by the name it has in metrics.jsonl.

    Two kinds of names are not in METRICS but made from one that is: `fd_lite0@1000` (on so many samples, where the
    final step has more) and those of Inception weights other than the TF-2015 ones (`kid_inception-1a2b3c4d`).
    Neither ranks. Raises BenchError for an unknown name.
    """
    base, _, count = name.partition("@")
    other = re.search(r"_inception-([0-9a-f]{8})(?=_train$|_inf$|$)", base)
    if other is not None:
        base = _named_by_tf_weights(base.replace(other[0], "_inception"))
    info = METRICS.get(base)
    if info is None or ("@" in name and not count.isdigit()):
        raise BenchError(f'There is no metric "{name}"{suggest(name, METRICS)}', hint="`bench list` shows them all.")
    if name == info.name:
        return info
    title = info.title.replace("FID", "FD") if other is not None else info.title
    title += f", Inception weights {other[1]}" if other is not None else ""
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
    found = collapse_evidence(lines, settings)
    return None if found is None else found.covers_too_little(settings) or found.repeats_too_much(settings)


def _named(lines: list[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """Select a metric's lines; those of other Inception weights (`..._inception-1a2b3c4d`) count as Inception's."""
    return [line for line in lines if re.fullmatch(rf"{re.escape(metric)}(-[0-9a-f]{{8}})?", str(line["metric"]))]
