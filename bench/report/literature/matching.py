"""Which published tables may stand beside a study, and in what their protocols differ from its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.data.request import HELDOUT_IMAGES
from bench.formatting import format_count
from bench.networks.switches import network_title
from bench.report.literature.tables import PublishedTable, published_tables

NOT_STATED = "not stated in what was read"
TRAIN_IMAGES = {"celeba": 162_770, "cifar10": 50_000, "mnist": 60_000, "fashion-mnist": 60_000}
"""How many training images the whole of a data set has; celeba by its official partition."""

_FILTERS = {"cifar10": "none: 32×32 already"}  # all others are scaled
_OPTIMISERS = {
    "controlled": "one for all rows (controlled)",
    "published": "as each objective's authors state (published)",
    "custom": "as the study writes for each row (custom)",
}


@dataclass(frozen=True)
class Difference:
    """One thing that a published protocol and a study do otherwise, or of which nobody says that it is alike."""

    what: str
    theirs: str
    ours: str


def matching_tables(plan: Mapping[str, Any]) -> list[PublishedTable]:
    """Return the published tables that may stand beside the study of a plan.json.

    They are of the same data set (all of it, not `partial`), at the same resolution, and the study measures one of
    their metrics with the TF-2015 Inception weights: a distance in other features is another quantity.
    """
    if plan["data"].get("partial"):
        return []
    where = (plan["data"]["source"], plan["data"]["resolution"])
    return [
        table
        for table in published_tables()
        if (table.data, table.resolution) == where and shared_metrics(table, plan["evaluation"])
    ]


def shared_metrics(table: PublishedTable, evaluation: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a table's metrics that an evaluation measures too: none without the TF-2015 Inception weights."""
    own_weights = evaluation.get("inception_weights_sha256") is not None
    return table.metrics if "inception" in evaluation["extractors"] and not own_weights else ()


def protocol_differences(table: PublishedTable, plan: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return everything in which a published protocol is not known to be the study's own, field by field."""
    theirs, ours = dict(_theirs(table)), dict(_ours(plan))
    return tuple(
        Difference(what, theirs[what] or NOT_STATED, ours[what]) for what in ours if theirs[what] != ours[what]
    )


def _theirs(table: PublishedTable) -> Iterator[tuple[str, str]]:
    yield "training images", _count(table.train_images)
    yield "crop", table.crop
    yield "scaling filter", table.filter
    yield "network", table.network
    yield "batch", _count(table.batch)
    yield "optimiser", table.optimiser
    yield "budget", table.budget
    yield "generated images (N)", _count(table.generated)
    yield "reference", table.reference
    yield "reference images", _count(table.reference_images)
    yield "extractor", table.extractor
    yield "selection", table.selection
    yield "trainings", _count(table.runs)
    yield "what ± or the interval is", table.spread


def _ours(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data, backbone, schedule, evaluation = plan["data"], plan["backbone"], plan["schedule"], plan["evaluation"]
    samples, heldout = evaluation["samples"], data["heldout_count"] or HELDOUT_IMAGES.get(data["source"])
    yield "training images", _count(data["train_count"] or TRAIN_IMAGES.get(data["source"]))
    yield "crop", data["recipe"]
    yield "scaling filter", _FILTERS.get(data["source"], "bicubic, antialiased")
    yield "network", f"{network_title(backbone)}; latent {backbone['latent']}, {backbone['latent_law']}"
    yield "batch", _count(schedule["batch"])
    yield "optimiser", "; ".join(_OPTIMISERS[protocol] for protocol in plan["protocols"])
    yield "budget", f"{schedule['generator_steps']:,} generator steps"
    yield "generated images (N)", _count(samples)
    yield "reference", "test"
    yield "reference images", _count(min(samples, heldout or samples))
    yield "extractor", "TF-2015 Inception weights, computed as torch-fidelity does"
    yield "selection", f"none: the final step of the {plan['generator']} generator, settings declared before"
    yield "trainings", _count(len(plan["seeds"]))
    yield "what ± or the interval is", "95 % t interval of the mean over training seeds"


def _count(number: int | None) -> str:
    return "" if number is None else format_count(number)
