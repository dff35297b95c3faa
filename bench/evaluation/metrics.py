"""From the features of one sample set to every metric of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bench.evaluation.features import Extractor, Features, Progress, extract
from bench.evaluation.frechet import frechet_distance
from bench.evaluation.nearest import Thumbnails, mean_nearest_distance, thumbnails
from bench.evaluation.neighbours import compare, duplicate_distance, effective_unique_share, geometry
from bench.evaluation.reference import Part, Reference
from bench.evaluation.scores import inception_score, mode_scores
from bench.metrics_info import frechet_name, inception_score_name


@dataclass(frozen=True)
class Sample:
    """N images as the metrics see them: features by extractor label and, for the final step, 16 x 16 pixels.

    own_place   for training images: their places among the training images, else None
    """

    features: Mapping[str, Features]
    pixels: Thumbnails | None = None
    own_place: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Value:
    """One metric of one sample set, and what it was held against. `extractor` is None for pixels."""

    metric: str
    value: float
    reference: Part
    extractor: Extractor | None


def sample_of_generated(images: Tensor, reference: Reference, *, final: bool, progress: Progress | None) -> Sample:
    """Pass generated images, uint8 N x 3 x R x R, through each extractor once."""
    extractors = reference.extractors if final else snapshot_extractors(reference)
    features = {
        extractor.label: extract(extractor, images, progress=progress, stage="samples") for extractor in extractors
    }
    return Sample(features, thumbnails(images.numpy()) if final else None)


def sample_of_real(part: Part, reference: Reference, *, final: bool) -> Sample:
    """Return real images as a sample, for floors."""
    extractors = reference.extractors if final else snapshot_extractors(reference)
    features = {extractor.label: reference.features(extractor, part) for extractor in extractors}
    return Sample(features, *(reference.thumbnails(part) if final else (None, None)))


def snapshot_extractors(reference: Reference) -> tuple[Extractor, ...]:
    """Return what intermediate snapshots are measured with: the first extractor, and the judge, which costs little."""
    first, *others = reference.extractors
    return (first, *(extractor for extractor in others if extractor.name == "judge"))


def snapshot_values(sample: Sample, reference: Reference) -> list[Value]:
    """Return the Fréchet distances of the first `snapshot_samples` images to as many held-out ones."""
    count = reference.settings.snapshot_samples
    heldout = reference.heldout_part(count)
    values = []
    for extractor in snapshot_extractors(reference):
        distance = frechet_distance(
            sample.features[extractor.label].part(0, count).pool, reference.features(extractor, heldout).pool
        )
        name = reference.settings.snapshot_metric(frechet_name(extractor.label))
        values.append(Value(name, distance, heldout, extractor))
    return values


def final_values(sample: Sample, reference: Reference) -> list[Value]:
    """Return every metric of a sample set of `samples` images."""
    heldout = reference.heldout_part(reference.settings.samples)
    values: list[Value] = []
    for extractor in reference.extractors:
        generated = sample.features[extractor.label]
        values.extend(_feature_values(generated, heldout, extractor, reference))
        if generated.modes is not None:
            values.extend(_mode_values(generated.modes, heldout, extractor, reference))
    if sample.pixels is not None:
        training = Part("train", 0, reference.training_count)
        distance = mean_nearest_distance(sample.pixels, reference.training_thumbnails(), sample.own_place)
        # A training set of copies of the held-out images would make the baseline 0.
        ratio = distance / max(reference.nearest_baseline(heldout), 1e-9)
        values.append(Value("nearest_train", ratio, training, None))
    return values


def floors(reference: Reference, samples: int, *, final: bool) -> dict[str, float]:
    """Return every metric of as many real images, by name: what a perfect generator would reach."""

    def compute() -> dict[str, float]:
        sample = sample_of_real(reference.floor_part(samples), reference, final=final)
        measured = final_values(sample, reference) if final else snapshot_values(sample, reference)
        found = {value.metric: value.value for value in measured}
        if final:
            found |= _training_floors(reference, samples)
        return found

    return reference.floors(samples, final, compute)


def _feature_values(generated: Features, heldout: Part, extractor: Extractor, reference: Reference) -> list[Value]:
    real = reference.features(extractor, heldout)
    training = reference.training_part(reference.settings.samples)
    subsets = reference.subsets(len(generated), len(real))
    real_geometry = reference.geometry(extractor, heldout, len(generated))
    own_geometry = geometry(generated.pool, subsets.generated, duplicate_distance(real_geometry))
    label = extractor.label
    distance = frechet_name(label)
    by_name = {
        distance: frechet_distance(generated.pool, real.pool),
        **{
            f"{name}_{label}": value
            for name, value in compare(generated.pool, real.pool, own_geometry, real_geometry, subsets).items()
        },
        f"diversity_{label}": own_geometry.mean_distance / real_geometry.mean_distance,
        f"unique_{label}": effective_unique_share(own_geometry),
    }
    if generated.logits is not None:
        by_name[inception_score_name(label)] = inception_score(generated.logits, reference.settings.inception_splits)
    to_training = frechet_distance(generated.pool, reference.features(extractor, training).pool)
    return [
        *(Value(name, value, heldout, extractor) for name, value in by_name.items()),
        Value(f"{distance}_train", to_training, training, extractor),
    ]


def _training_floors(reference: Reference, samples: int) -> dict[str, float]:
    """Return the distances between held-out and training images: what the distance to training images goes down to."""
    heldout, training = reference.heldout_part(samples), reference.training_part(samples)
    return {
        f"{frechet_name(extractor.label)}_train": frechet_distance(
            reference.features(extractor, heldout).pool, reference.features(extractor, training).pool
        )
        for extractor in reference.extractors
    }


def _mode_values(modes: Tensor, heldout: Part, extractor: Extractor, reference: Reference) -> list[Value]:
    from bench.data.faces import mode_count

    found = mode_scores(modes, mode_count())
    # As many real images as generated ones: the reference, unless the held-out part is too small for that.
    real = heldout if len(heldout) == len(modes) else reference.training_part(len(modes))
    real_modes = reference.features(extractor, real).modes
    assert real_modes is not None
    ceiling = mode_scores(real_modes, mode_count())["modes"]
    by_name = {
        "modes_judge": found["modes"],
        "modes_judge_share": found["modes"] / max(ceiling, 1),
        "mode_kl_judge": found["mode_kl"],
        "judge_confident": found["judge_confident"],
    }
    return [Value(name, value, heldout, extractor) for name, value in by_name.items()]
