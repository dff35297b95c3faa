"""Metrics of images that were made of input images: how near to their targets, how true to the input, how various.

Sample i has the input of reference image i, in turn, and that image is its target. Of drawn faces more is known. An
input shows what is worn; a map of parts hides every colour, and the colours are independent of it and uniform. So faces
of the same map in other colours are what a perfect generator draws, and the floor of each metric is measured of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binom
from torch import Tensor

from bench.data.faces import FACTORS, HELDOUT_START, Face, draw, recoloured
from bench.data.faces.sampling import faces as sampled
from bench.evaluation.codes import answers_of, seen_factors
from bench.evaluation.features import UNSURE, Extractor, Features, extract
from bench.evaluation.metrics import Sample, Value
from bench.evaluation.reference import Reference
from bench.evaluation.scores import mode_scores
from bench.evaluation.similarity import ssim

SEVERAL_INPUTS = 250
LATENTS_OF_AN_INPUT = 8
KEPT = ("glasses", "hat")
"""What every input of a drawn face shows."""

HIDDEN = ("skin", "background", "shirt")
"""What a map of parts hides, of the factors that the judge reads with certainty: 120 combinations."""

HIDDEN_SIZES = tuple(len(FACTORS[name]) for name in HIDDEN)
_BLOCK = 100
_LEAST_ERROR = 1e-10  # of equal images, whose PSNR would be infinite: 100 dB
_COLOURS_OF = 20_500  # the seed of the faces whose colours the floor's faces have

Bytes = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]


def nearness(images: Bytes, targets: Callable[[int, int], Bytes]) -> dict[str, float]:
    """Return mean L1, PSNR in dB and SSIM of images, uint8 N x 3 x R x R, and their targets, on [0, 1].

    `targets(start, stop)` gives those of a block. PSNR is the mean over images of each one's, SSIM that of all colours.
    """
    sums: dict[str, float] = {"l1": 0.0, "psnr": 0.0, "ssim": 0.0}
    for start in range(0, len(images), _BLOCK):
        stop = min(start + _BLOCK, len(images))
        own, other = (torch.from_numpy(block).double() / 255 for block in (images[start:stop], targets(start, stop)))
        error = (own - other).square().mean(dim=(1, 2, 3)).clamp(min=_LEAST_ERROR)
        sums["l1"] += float((own - other).abs().mean(dim=(1, 2, 3)).sum())
        sums["psnr"] += float((-10 * error.log10()).sum())
        sums["ssim"] += float(ssim(own * 255, other * 255).sum())
    return {name: total / len(images) for name, total in sums.items()}


def distance_to_targets(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean distance between N x d features and those of the target of each."""
    return float((outputs.double() - targets.double()).norm(dim=1).mean())


def distance_within_inputs(outputs: Tensor, of_each: int) -> float:
    """Return the mean distance between two outputs of one input; those of an input stand together, N of_each x d."""
    grouped = outputs.double().view(-1, of_each, outputs.shape[1])
    return float(torch.cdist(grouped, grouped).sum()) / (len(grouped) * of_each * (of_each - 1))


def expected_entropy(draws: int, values: int) -> float:
    """Return the mean entropy, in nats, of the counts of so many draws from so many equally likely values."""
    counts = np.arange(1, draws + 1)
    terms = binom.pmf(counts, draws, 1 / values) * counts / draws * np.log(counts / draws)
    return float(-values * terms.sum())


def entropies(seen: Whole, of_each: int) -> list[float]:
    """Return of each factor the entropy of its values among the outputs of one input, as a mean over inputs.

    seen     N of_each x F, outputs of one input together

    Over what draws from equally likely values have: 1 for the exact law, 0 where all outputs of an input are alike.
    """
    found = []
    for place, size in enumerate(HIDDEN_SIZES):
        values = seen[:, place].reshape(-1, of_each)
        shares = (values[:, :, None] == np.arange(size + 1)).mean(axis=1)
        nats = -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0).sum(axis=1)
        found.append(float(nats.mean()) / expected_entropy(of_each, size))
    return found


def divergence_from_law(seen: Whole) -> float:
    """Return the KL divergence, in nats, of the combinations that N x F factors have from equally frequent ones.

    Images of which the judge is not sure are left out; of none that it is sure of the KL is the largest there is.
    """
    sure = (seen < np.array(HIDDEN_SIZES)).all(axis=1)
    combined = np.full(len(seen), UNSURE)
    combined[sure] = np.ravel_multi_index(tuple(seen[sure].T), HIDDEN_SIZES)
    return mode_scores(torch.from_numpy(combined), math.prod(HIDDEN_SIZES))["mode_kl"]


@dataclass(frozen=True)
class Outputs:
    """What a generator makes of a reference's inputs.

    images    uint8 N x 3 x R x R, image i of input i; `features` of them by extractor
    several   features by extractor of LATENTS_OF_AN_INPUT outputs of each of the first inputs, which stand together
    """

    images: Bytes
    features: Mapping[str, Features]
    several: Mapping[str, Features]


def pair_values(
    images: Bytes, sample: Sample, reference: Reference, draw_more: Callable[..., Tensor], inputs: Tensor
) -> list[Value]:
    """Return the metrics of final samples that were made of `inputs`, uint8 M x 3 x R x R, in turn.

    `draw_more(count, told=inputs)` draws images of other inputs.
    """
    first = inputs[: min(SEVERAL_INPUTS, len(inputs), len(images))]
    more = draw_more(len(first) * LATENTS_OF_AN_INPUT, told=first.repeat_interleave(LATENTS_OF_AN_INPUT, dim=0))
    outputs = Outputs(images, sample.features, _features(reference.extractors, more, reference))
    return _values(measured(outputs, reference), reference, len(images))


def snapshot_pair_values(images: Bytes, sample: Sample, reference: Reference) -> list[Value]:
    """Return what intermediate snapshots are measured by, of the first images: L1, and what they keep of inputs."""
    count = reference.settings.snapshot_samples
    found = measured_at_snapshots(images[:count], sample.features, reference)
    named = {reference.settings.snapshot_metric(name): value for name, value in found.items()}
    return _values(named, reference, count)


def measured(outputs: Outputs, reference: Reference) -> dict[str, float]:
    """Return every metric of the outputs, by name."""
    places = _places(reference, len(outputs.images))
    heldout = reference.heldout_part(len(outputs.images))
    found = nearness(outputs.images, _targets(reference, places))
    for extractor in reference.extractors:
        label, own = extractor.label, outputs.features[extractor.label].pool
        targets = reference.features(extractor, heldout).pool[np.arange(len(own)) % len(heldout)]
        real = reference.geometry(extractor, heldout, len(own)).mean_distance
        found[f"pair_distance_{label}"] = distance_to_targets(own, targets) / real
        within = distance_within_inputs(outputs.several[label].pool, LATENTS_OF_AN_INPUT)
        found[f"intra_diversity_{label}"] = within / real
    if (judge := _judge(reference)) is not None:
        found["kept_judge"] = kept(outputs.features[judge.label], _true(reference, places, KEPT))
        if reference.input_kind == "parts":
            by_factor = entropies(seen_factors(outputs.several[judge.label], HIDDEN), LATENTS_OF_AN_INPUT)
            found["hidden_entropy"] = fmean(by_factor)
            found |= {f"hidden_entropy+{name}": value for name, value in zip(HIDDEN, by_factor, strict=True)}
            found["hidden_law"] = divergence_from_law(seen_factors(outputs.features[judge.label], HIDDEN))
    return found


def measured_at_snapshots(images: Bytes, features: Mapping[str, Features], reference: Reference) -> dict[str, float]:
    """Return the metrics that intermediate snapshots have, by name."""
    places = _places(reference, len(images))
    found = {"l1": nearness(images, _targets(reference, places))["l1"]}
    if (judge := _judge(reference)) is not None:
        found["kept_judge"] = kept(features[judge.label].part(0, len(images)), _true(reference, places, KEPT))
    return found


def kept(features: Features, truth: Whole) -> float:
    """Return the share of N images in which the judge sees glasses and hat, N x 2, as their inputs show them."""
    return float((answers_of(features, KEPT) == truth).all(axis=1).mean())


def floors_of_pairs(reference: Reference, samples: int, *, final: bool) -> dict[str, float]:
    """Return what a perfect generator would reach, by metric: known of drawn faces alone.

    Of maps of parts it is measured of faces with the same maps in other colours; of other inputs only what the judge
    makes of the targets is known.
    """
    judge = _judge(reference)
    if reference.source != "faces" or (reference.input_kind != "parts" and judge is None):
        return {}

    def compute() -> dict[str, float]:
        places = _places(reference, samples)
        if reference.input_kind != "parts":
            assert judge is not None
            part = reference.heldout_part(samples)
            return {"kept_judge": kept(reference.features(judge, part), _true(reference, places[: len(part)], KEPT))}
        images = recolourings(reference, places)
        if not final:
            return measured_at_snapshots(images, _features((judge,) if judge else (), images, reference), reference)
        first = places[: min(SEVERAL_INPUTS, samples, len(reference.heldout_part(samples)))]
        several = recolourings(reference, first.repeat(LATENTS_OF_AN_INPUT), skip=samples)
        own, more = (_features(reference.extractors, drawn, reference) for drawn in (images, several))
        return measured(Outputs(images, own, more), reference)

    return reference.values("pair-floors", {"samples": samples, "final": final}, compute)


def recolourings(reference: Reference, places: Whole, skip: int = 0) -> Bytes:
    """Draw the held-out faces at these places in colours of other faces, from number `skip` on: uint8 N x 3 x R x R."""
    resolution = reference.images(reference.heldout_part(1))[0].shape[-1]
    others = sampled(_COLOURS_OF, range(skip, skip + len(places)))
    return np.stack(
        [
            draw(recoloured(face, other), resolution).transpose(2, 0, 1)
            for face, other in zip(_faces(reference, places), others, strict=True)
        ]
    )


def _values(found: Mapping[str, float], reference: Reference, count: int) -> list[Value]:
    heldout = reference.heldout_part(count)
    extractors: dict[str, Extractor] = {extractor.label: extractor for extractor in reference.extractors}
    judge = _judge(reference)

    def looked(metric: str) -> Extractor | None:
        base = metric.partition("@")[0].partition("+")[0]
        if base in ("kept_judge", "hidden_entropy", "hidden_law"):
            return judge
        return extractors.get(base.rpartition("_")[2])

    return [Value(name, value, heldout, looked(name)) for name, value in found.items()]


def _features(extractors: Sequence[Extractor], images: Tensor | Bytes, reference: Reference) -> dict[str, Features]:
    return {one.label: extract(one, images, stage="samples").measured_on(reference.device) for one in extractors}


def _judge(reference: Reference) -> Extractor | None:
    """Return the judge where it knows what the inputs show: that of drawn faces."""
    if reference.source != "faces":
        return None
    return next((extractor for extractor in reference.extractors if extractor.name == "judge"), None)


def _places(reference: Reference, count: int) -> Whole:
    """Return the places among the held-out images of the targets of `count` samples."""
    places = reference.images(reference.heldout_part(count))[1]
    return places[np.arange(count) % len(places)]


def _targets(reference: Reference, places: Whole) -> Callable[[int, int], Bytes]:
    images = reference.images(reference.heldout_part(len(places)))[0]
    return lambda start, stop: np.asarray(images[places[start:stop]])


def _faces(reference: Reference, places: Whole) -> list[Face]:
    return sampled(reference.drawn_with, [HELDOUT_START + int(place) for place in places])


def _true(reference: Reference, places: Whole, names: Sequence[str]) -> Whole:
    return np.array([[face.factors[name] for name in names] for face in _faces(reference, places)])
