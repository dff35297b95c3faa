"""What a metric forgives: its values for real images that were made worse on purpose, beside those of untouched ones.

The images are those of the floor, N of them, so that a value is read beside the floor and beside what rows score. What
is left out or repeated is taken from features that are there already; the others are extracted once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.evaluation.degrading import (
    CLUSTERS,
    DEGRADATIONS,
    Degraded,
    clusters_of,
    mean_image,
    without_clusters,
)
from bench.evaluation.features import Extractor, Features, Progress, extract
from bench.evaluation.frechet import frechet_distance
from bench.evaluation.machine import measured_on
from bench.evaluation.metrics import floors
from bench.evaluation.neighbours import compare, generated_geometry
from bench.evaluation.reference import Part, Reference
from bench.metrics.catalogue import frechet_name
from bench.metrics.settings import EvaluationSettings

SHOWN = ("average-50", "blur-2", "checkerboard-10", "noise-16", "jpeg-25", "shift-8", "halves")
DROPPED, REPEATED = "dropped", "repeated"
_GONE = 2  # clusters
_WORDS = {
    DROPPED: f"{_GONE} of {CLUSTERS} clusters left out, others in their place",
    REPEATED: "a tenth of the images, each ten times",
}


def metrics_shown(label: str) -> tuple[str, ...]:
    """Return which metrics of an extractor the panel holds."""
    return (frechet_name(label), *(f"{name}_{label}" for name in ("kid", "coverage", "precision", "recall")))


def what_is_forgiven(
    reference: Reference, settings: EvaluationSettings, label: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Return the record of what metrics of the extractor `label` (the first one where it is not loaded) forgive.

    Computed once for these images, settings and code, and kept in the cache.
    """
    extractor = next((one for one in reference.extractors if one.label == label), reference.extractors[0])
    part, metrics = reference.floor_part(settings.samples), metrics_shown(extractor.label)

    def compute() -> dict[str, float]:
        sets = {name: _degraded(reference, extractor, part, name, progress) for name in SHOWN}
        sets |= _chosen(reference, extractor, part)
        return {
            f"{name} {metric}": value
            for name, features in sets.items()
            for metric, value in _values(reference, extractor, features).items()
        }

    found = reference.values("forgives", {"extractor": extractor.label}, compute)
    floor = floors(reference, settings.samples, final=True)
    return {
        "schema": 1,
        "evaluation_id": settings.id(),
        "extractor": extractor.label,
        "extractor_sha256": extractor.sha256,
        "data_sha256": reference.heldout_sha256,
        "samples": len(part),
        "floor_source": part.split,
        "floor": {metric: floor[metric] for metric in metrics},
        "rows": [
            {
                "name": name,
                "words": DEGRADATIONS[name].words if name in DEGRADATIONS else _WORDS[name],
                "values": {metric: found[f"{name} {metric}"] for metric in metrics},
            }
            for name in (*SHOWN, DROPPED, REPEATED)
        ],
        "evaluation_code": reference.evaluation_code,
        "measured_on": measured_on(extractor.device),
    }


def _degraded(reference: Reference, extractor: Extractor, part: Part, name: str, progress: Progress | None) -> Features:
    images, places = reference.images(part)
    degraded = Degraded(images, places, mean_image(images, places), DEGRADATIONS[name])
    return extract(extractor, degraded, progress=progress, stage=DEGRADATIONS[name].words).measured_on(reference.device)


def _chosen(reference: Reference, extractor: Extractor, part: Part) -> dict[str, Features]:
    """Return features of real images of which some modes are missing, and of a few that are repeated."""
    training = reference.training_part(reference.settings.samples)
    parts = [part] if part.split == "train" else [part, training]
    pool = torch.cat([reference.features(extractor, one).pool for one in parts])
    clusters = clusters_of(np.concatenate([reference.thumbnails(one)[0] for one in parts]))
    kept = without_clusters(clusters, len(part), _GONE)
    few = np.resize(np.arange(max(len(part) // 10, 1)), len(part))
    return {DROPPED: Features(pool[torch.from_numpy(kept)]), REPEATED: Features(pool[torch.from_numpy(few)])}


def _values(reference: Reference, extractor: Extractor, features: Features) -> dict[str, float]:
    heldout = reference.heldout_part(reference.settings.samples)
    real = reference.features(extractor, heldout)
    subsets = reference.subsets(len(features), len(real))
    real_own = reference.geometry(extractor, heldout, len(features))
    compared = compare(
        features.pool, real.pool, generated_geometry(features.pool, subsets.generated, real_own), real_own, subsets
    )
    distance, *others = metrics_shown(extractor.label)
    return {
        distance: frechet_distance(features.pool, reference.gaussian(extractor, heldout)),
        **{metric: compared[metric.partition("_")[0]] for metric in others},
    }
