"""From the features of one sample set to every metric of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bench.data.judge import KNOWN
from bench.evaluation.conditional import MOST_CLASSES, class_name, classes_of, read_labels, within_classes
from bench.evaluation.diversity import birthday_support, vendi_score
from bench.evaluation.features import Extractor, Features, Progress, Sliced, extract
from bench.evaluation.frechet import can_extrapolate, extrapolated_distance, frechet_distance
from bench.evaluation.nearest import (
    Distances,
    Thumbnails,
    copying_z,
    nearest_in_features,
    nearest_in_pixels,
    thumbnails,
)
from bench.evaluation.neighbours import compare, effective_unique_share, generated_geometry
from bench.evaluation.own_metrics import own_values
from bench.evaluation.probe import fit_probe
from bench.evaluation.reference import Part, Reference
from bench.evaluation.scores import inception_score, mode_scores
from bench.evaluation.similarity import mean_similarity, pairs_of
from bench.metrics.catalogue import extractor_of, find_metric, frechet_name, inception_score_name
from bench.metrics.settings import VENDI_IMAGES


@dataclass(frozen=True)
class Pixels:
    """What is kept of a sample's images themselves.

    thumbnails   N x 768 bytes: 16 x 16 pixels
    similarity   mean MS-SSIM of pairs
    """

    thumbnails: Thumbnails
    similarity: float


@dataclass(frozen=True)
class Sample:
    """N images as the metrics see them: features by extractor label and, for the final step, pixels.

    own_place   for training images: their places among the training images, else None
    images      what a study's own metrics look at; None where it has none
    labels      N x F, what each image was told; None in a study without labels, and of images that were not told
    """

    features: Mapping[str, Features]
    pixels: Pixels | None = None
    own_place: npt.NDArray[np.int64] | None = None
    images: npt.NDArray[np.uint8] | Sliced | None = None
    labels: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Value:
    """One metric of one sample set, and what it was held against. `extractor` is None for pixels."""

    metric: str
    value: float
    reference: Part
    extractor: Extractor | None


def sample_of_generated(
    images: Tensor | npt.NDArray[np.uint8],
    reference: Reference,
    *,
    final: bool,
    progress: Progress | None,
    labels: npt.NDArray[np.uint8] | None = None,
) -> Sample:
    """Pass generated images, uint8 N x 3 x R x R, through each extractor once. `labels`: what they were told."""
    extractors = reference.extractors if final else snapshot_extractors(reference)
    features = {
        extractor.label: extract(extractor, images, progress=progress, stage="samples").measured_on(reference.device)
        for extractor in extractors
    }
    if not final:
        return Sample(features, labels=labels)
    array = images.numpy() if isinstance(images, Tensor) else images
    first, second = (array[places] for places in pairs_of(len(array)))
    similarity = mean_similarity(first, second, reference.device)
    kept = array if reference.own_metrics else None
    return Sample(features, Pixels(thumbnails(array), similarity), images=kept, labels=labels)


def sample_of_real(part: Part, reference: Reference, *, final: bool) -> Sample:
    """Return real images as a sample, for floors."""
    extractors = reference.extractors if final else snapshot_extractors(reference)
    features = {extractor.label: reference.features(extractor, part) for extractor in extractors}
    labels = reference.labels(part) if reference.factors else None
    if not final:
        return Sample(features, labels=labels)
    small, own_place = reference.thumbnails(part)
    kept = reference.view(part) if reference.own_metrics else None
    return Sample(features, Pixels(small, reference.similarity(part)), own_place, kept, labels)


def snapshot_extractors(reference: Reference) -> tuple[Extractor, ...]:
    """Return what intermediate snapshots are measured with: the first extractor, and the judge, which costs little."""
    first, *others = reference.extractors
    return (first, *(extractor for extractor in others if extractor.name == "judge"))


def snapshot_values(sample: Sample, reference: Reference) -> list[Value]:
    """Return the Fréchet distances of the first `snapshot_samples` images to as many held-out ones.

    Of images that were told labels also the joint distances, and how many the judge reads as told.
    """
    count = reference.settings.snapshot_samples
    heldout = reference.heldout_part(count)
    values: list[Value] = []
    for extractor in snapshot_extractors(reference):
        features = sample.features[extractor.label].part(0, count)
        by_name = {
            frechet_name(extractor.label): frechet_distance(features.pool, reference.gaussian(extractor, heldout))
        }
        if sample.labels is not None:
            by_name |= _with_labels(features, sample.labels[:count], heldout, extractor, reference)
        named = {reference.settings.snapshot_metric(name): value for name, value in by_name.items()}
        values.extend(Value(name, value, heldout, extractor) for name, value in named.items())
    return values


def final_values(sample: Sample, reference: Reference) -> list[Value]:
    """Return every metric of a sample set of `samples` images."""
    heldout = reference.heldout_part(reference.settings.samples)
    values: list[Value] = []
    for extractor in reference.extractors:
        values.extend(_feature_values(sample, heldout, extractor, reference))
        modes = sample.features[extractor.label].modes
        if modes is not None:
            values.extend(_mode_values(modes, heldout, extractor, reference))
        if sample.labels is not None:
            told = sample.features[extractor.label], sample.labels, heldout, extractor, reference
            by_name = _with_labels(*told) | _by_probe(*told) | _by_class(*told)
            values.extend(Value(name, value, heldout, extractor) for name, value in by_name.items())
    if sample.pixels is not None:
        values.extend(_pixel_values(sample.pixels, sample.own_place, heldout, reference))
    if reference.own_metrics:
        values.extend(_values_of_own(sample, heldout, reference))
    return values


def floors(reference: Reference, samples: int, *, final: bool) -> dict[str, float]:
    """Return every metric of as many real images, by name: what a perfect generator would reach."""

    def compute() -> dict[str, float]:
        sample = sample_of_real(reference.floor_part(samples), reference, final=final)
        measured = final_values(sample, reference) if final else snapshot_values(sample, reference)
        found = {value.metric: value.value for value in measured}
        if final:
            found |= _training_floors(reference, samples) | _probe_floors(reference, samples)
        return found

    return reference.floors(samples, final, compute)


def floor_part(reference: Reference, metric: str, samples: int) -> Part:
    """Return the real images whose value is a metric's floor.

    For what training images are held against, for what D recognises of real ones, and for pairs, whose floor has the
    reference's inputs, that is the reference; for what generated images teach, training images.
    """
    labels = [extractor.label for extractor in reference.extractors]
    of_reference = {name for label in labels for name in (f"{frechet_name(label)}_train", f"gan_test_{label}")}
    paired = (info := find_metric(metric)) is not None and info.pairs is not None
    if paired or metric in of_reference or extractor_of(metric) == "recogniser":
        return reference.heldout_part(samples)
    if metric in {f"gan_train_{label}" for label in labels}:
        return reference.training_part(samples)
    return reference.floor_part(samples)


def _feature_values(sample: Sample, heldout: Part, extractor: Extractor, reference: Reference) -> list[Value]:
    """Return every metric of a sample's features under one extractor."""
    generated = sample.features[extractor.label]
    by_name = _against_heldout(generated, heldout, extractor, reference)
    training = reference.training_part(reference.settings.samples)
    distance = frechet_distance(generated.pool, reference.gaussian(extractor, training))
    scale = reference.geometry(extractor, heldout, len(generated)).scale
    own = nearest_in_features(
        generated.pool,
        reference.features(extractor, training).pool,
        scale,
        same_place=sample.own_place is not None,
    )
    of_heldout = reference.nearest_features(extractor, heldout, training, scale)
    to_training = {
        f"{frechet_name(extractor.label)}_train": distance,
        f"nearest_train_{extractor.label}": _ratio(own, of_heldout),
        f"ct_{extractor.label}": copying_z(own, of_heldout),
    }
    return [
        *(Value(name, value, heldout, extractor) for name, value in by_name.items()),
        *(Value(name, value, training, extractor) for name, value in to_training.items()),
    ]


def _against_heldout(
    generated: Features, heldout: Part, extractor: Extractor, reference: Reference
) -> dict[str, float]:
    real, gaussian = reference.features(extractor, heldout), reference.gaussian(extractor, heldout)
    subsets = reference.subsets(len(generated), len(real))
    real_own = reference.geometry(extractor, heldout, len(generated))
    own = generated_geometry(generated.pool, subsets.generated, real_own)
    compared = min(len(generated), len(real), VENDI_IMAGES)
    effective = vendi_score(generated.pool[:compared])
    label, distance = extractor.label, frechet_name(extractor.label)
    by_name = {
        distance: frechet_distance(generated.pool, gaussian),
        **{
            f"{name}_{label}": value
            for name, value in compare(generated.pool, real.pool, own, real_own, subsets).items()
        },
        f"diversity_{label}": own.mean_distance / real_own.mean_distance,
        f"unique_{label}": effective_unique_share(own),
        f"vendi_{label}": effective / reference.vendi(extractor, Part("heldout", 0, compared)),
        f"support_{label}": birthday_support(own),
    }
    fewest = _fewest(reference)
    if min(fewest, len(real)) <= reference.settings.kid_subset_size:
        del by_name[f"kid_deviation_{label}"]  # all subsets are the same
    if can_extrapolate(fewest, generated.pool.shape[1]):
        by_name[f"{distance}_inf"] = extrapolated_distance(generated.pool, gaussian)
    if generated.logits is not None:
        by_name[inception_score_name(label)] = inception_score(generated.logits, reference.settings.inception_splits)
    return by_name


def _with_labels(
    features: Features, labels: npt.NDArray[np.uint8], heldout: Part, extractor: Extractor, reference: Reference
) -> dict[str, float]:
    """Return the joint distance of features and labels and, by the judge, the label accuracy."""
    joint = reference.beside_labels(features.pool, labels, extractor, heldout)
    by_name = {f"fjd_{extractor.label}": frechet_distance(joint, reference.joint_gaussian(extractor, heldout))}
    if features.answers is not None:
        read = read_labels(features, labels, reference.factors, reference.source)
        by_name["label_accuracy_judge"] = float(read.all_right.mean())
        by_name["label_accuracy_gated_judge"] = float((read.all_right & read.sure).mean())
    return by_name


def _by_probe(
    features: Features, labels: npt.NDArray[np.uint8], heldout: Part, extractor: Extractor, reference: Reference
) -> dict[str, float]:
    """Return what a classifier that real images taught reads of these, and what these teach one to read of real ones.

    Both classifiers are taught by equally many images.
    """
    training = reference.training_part(len(features))
    taught = fit_probe(features.pool[: len(training)], labels[: len(training)], reference.factor_sizes)
    real = reference.features(extractor, heldout).pool
    return {
        f"gan_test_{extractor.label}": reference.probe(extractor, training).accuracy(features.pool, labels),
        f"gan_train_{extractor.label}": taught.accuracy(real, reference.labels(heldout)),
    }


def _by_class(
    features: Features, labels: npt.NDArray[np.uint8], heldout: Part, extractor: Extractor, reference: Reference
) -> dict[str, float]:
    """Return what is measured within classes, over all of them and of each; {} where no two have images enough."""
    factors, label = reference.factors, extractor.label
    by_name: dict[str, float] = {}
    told = classes_of(labels, factors)
    classes = reference.measured_classes(reference.settings.samples)
    of_each = classes if 2 <= len(classes) <= MOST_CLASSES else []
    if features.answers is not None:
        read = read_labels(features, labels, factors, reference.source)
        if len(factors) > 1:
            by_name |= {
                f"label_accuracy_judge+{factor}": float(read.right[:, place].mean())
                for place, factor in enumerate(factors)
            }
        for number in of_each:
            name = f"label_accuracy_judge+{class_name(number, factors)}"
            by_name[name] = float(read.all_right[told == number].mean())
    if len(classes) < 2:
        return by_name
    real = reference.features(extractor, heldout).pool
    found = within_classes(features.pool, told, real, classes_of(reference.labels(heldout), factors), classes)
    by_name[f"intra_kid_{label}"] = fmean(within.kid for within in found.values())
    by_name[f"worst_class_coverage_{label}"] = min(within.coverage for within in found.values())
    for number in of_each:
        by_name[f"kid_{label}+{class_name(number, factors)}"] = found[number].kid
        by_name[f"coverage_{label}+{class_name(number, factors)}"] = found[number].coverage
    return by_name


def _pixel_values(
    pixels: Pixels, own_place: npt.NDArray[np.int64] | None, heldout: Part, reference: Reference
) -> list[Value]:
    training = Part("train", 0, reference.training_count)
    own = nearest_in_pixels(pixels.thumbnails, reference.training_thumbnails(), own_place, reference.device)
    of_heldout = reference.nearest_pixels(heldout)
    return [
        Value("ms_ssim", pixels.similarity, heldout, None),
        Value("nearest_train", _ratio(own, of_heldout), training, None),
        Value("ct_pixels", copying_z(own, of_heldout), training, None),
    ]


def _values_of_own(sample: Sample, heldout: Part, reference: Reference) -> list[Value]:
    """Return the values of the study's own metrics."""
    extractors = {extractor.label: extractor for extractor in reference.extractors}
    features = {
        label: (sample.features[label].pool, reference.features(extractor, heldout).pool)
        for label, extractor in extractors.items()
    }
    found = own_values(
        reference.own_metrics, reference.settings.metric, sample.images, reference.view(heldout), features
    )
    return [Value(name, value, heldout, extractors.get(label)) for name, (value, label) in found.items()]


def _ratio(own: Distances, of_heldout: Distances) -> float:
    # A training set of copies of the held-out images would make the divisor 0.
    return float(own.mean() / max(of_heldout.mean(), 1e-9))


def _fewest(reference: Reference) -> int:
    """Return the size of the smallest sample measured at the final step: that of the floor may be smaller."""
    samples = reference.settings.samples
    return min(samples, len(reference.floor_part(samples)))


def _training_floors(reference: Reference, samples: int) -> dict[str, float]:
    """Return the distances between held-out and training images: what the distance to training images goes down to."""
    heldout, training = reference.heldout_part(samples), reference.training_part(samples)
    return {
        f"{frechet_name(extractor.label)}_train": frechet_distance(
            reference.features(extractor, heldout).pool, reference.gaussian(extractor, training)
        )
        for extractor in reference.extractors
    }


def _probe_floors(reference: Reference, samples: int) -> dict[str, float]:
    """Return what a classifier that training images taught reads of held-out ones: the floor of both probes."""
    if not reference.factors:
        return {}
    heldout, training = reference.heldout_part(samples), reference.training_part(samples)
    found: dict[str, float] = {}
    for extractor in reference.extractors:
        real, labels = reference.features(extractor, heldout).pool, reference.labels(heldout)
        accuracy = reference.probe(extractor, training).accuracy(real, labels)
        found |= {f"gan_test_{extractor.label}": accuracy, f"gan_train_{extractor.label}": accuracy}
    return found


def _mode_values(modes: Tensor, heldout: Part, extractor: Extractor, reference: Reference) -> list[Value]:
    mode_count = KNOWN[reference.source].mode_count
    found = mode_scores(modes, mode_count)
    # As many real images as generated ones: the reference, unless the held-out part is too small for that.
    real = heldout if len(heldout) == len(modes) else reference.training_part(len(modes))
    real_modes = reference.features(extractor, real).modes
    assert real_modes is not None
    ceiling = mode_scores(real_modes, mode_count)["modes"]
    by_name = {
        "modes_judge": found["modes"],
        "modes_judge_share": found["modes"] / max(ceiling, 1),
        "mode_kl_judge": found["mode_kl"],
        "judge_confident": found["judge_confident"],
    }
    return [Value(name, value, heldout, extractor) for name, value in by_name.items()]
