"""Metrics of codes: what each decides of an image, and what D reads of real images.

Factors are those that the judge reads with certainty. Information is mutual information in nats, of the counts of all
pairs of values, less the bias of finite N (Miller 1955): (K - 1)(L - 1) / 2N of K and L values that occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from bench.data.faces import FACTORS, HELDOUT_START, MODE_FACTORS, TRAITS
from bench.data.faces.sampling import faces as sampled
from bench.evaluation.features import Features, extract
from bench.evaluation.metrics import Sample, Value
from bench.evaluation.reference import Reference
from bench.networks.codes import Codes
from bench.networks.sampling import draw_codes

CHANGED_IMAGES = 500
"""Of so many samples at most each code is changed alone."""

_SURE = 0.9
_SIZES = [len(FACTORS[name]) for name in MODE_FACTORS]
_BATCH = 100

Whole = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Coded:
    """What a run gives its generator beside latents, and the network that reads it off images; None: it has none."""

    codes: Codes
    recogniser: nn.Module | None = None


def information(first: Whole, second: Whole) -> float:
    """Return the mutual information of two values of N images each, in nats; about 0 of independent ones."""
    table = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    np.add.at(table, (first, second), 1)
    rows, columns = table.sum(1), table.sum(0)
    there = table > 0
    expected = np.outer(rows, columns)[there] / len(first)
    plain = float((table[there] * np.log(table[there] / expected)).sum() / len(first))
    return plain - (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1) / (2 * len(first))


def information_matrix(codes: Whole, factors: Whole) -> Matrix:
    """Return the information of each of N x C codes on each of N x F factors, C x F nats."""
    return np.array([[information(code, factor) for factor in factors.T] for code in codes.T])


def of_factors(matrix: Matrix, sizes: Sequence[int] = _SIZES) -> Matrix:
    """Return C x F nats as shares of what decides a factor of so many values: 1 where a code decides it."""
    return matrix / np.log(sizes)


def mean_of_best(shares: Matrix) -> float:
    """Return the mean over factors (columns) of the best code's share."""
    return float(shares.max(axis=0).mean())


def mutual_information_gap(shares: Matrix) -> float:
    """Return the mean over factors of the best code's share less the second best's (Chen et al. 2018, 1802.04942).

    Shares are of log K, not of a factor's entropy among the images: a factor that does not vary counts 0 and is not
    left out.
    """
    ordered = np.sort(np.vstack([shares, np.zeros(shares.shape[1])]) if len(shares) == 1 else shares, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def entropy_used(matrix: Matrix, codes: Codes) -> float:
    """Return what the categorical codes say of the factor that each says most of, over their entropy.

    Of all codes where none is categorical. No factor has the 20 parts of a continuous one: with them in it, a perfect
    match would not be 1.
    """
    counted = len(codes.categorical) or codes.continuous
    return float(matrix[:counted].max(axis=1).sum() / np.log(codes.values[:counted]).sum())


def seen_factors(features: Features, names: Sequence[str] = MODE_FACTORS) -> Whole:
    """Return which value of each of these factors the judge sees, N x F; one more where it is not sure.

    So broken images, of which it is not sure, create no information, and count as alike.
    """
    assert features.certainty is not None
    sure = features.certainty[:, _columns(names)].cpu().numpy() >= _SURE
    return np.where(sure, answers_of(features, names), [len(FACTORS[name]) for name in names])


def answers_of(features: Features, names: Sequence[str]) -> Whole:
    """Return which value of each of these factors the judge sees, N x F, however sure it is."""
    assert features.answers is not None
    return np.asarray(features.answers[:, _columns(names)].long().cpu().numpy())


def _columns(names: Sequence[str]) -> list[int]:
    return [list(FACTORS).index(name) for name in names]


def changed_alone(codes: Codes, numbers: Tensor, sample_seed: int) -> Iterator[Tensor]:
    """Yield for each code N x `width` numbers in which it alone has another value.

    A categorical code gets any other value; a continuous one goes on by half its range, from its end to its beginning.
    """
    hot, rest = codes.split(numbers)
    for place, one in enumerate(hot):
        size = one.shape[1]
        generator = torch.Generator().manual_seed(sample_seed)
        further = torch.randint(1, size, (len(one),), generator=generator)
        moved = torch.eye(size)[(one.argmax(1) + further) % size]
        yield torch.cat([*hot[:place], moved, *hot[place + 1 :], rest], dim=1)
    for place in range(codes.continuous):
        moved = rest.clone()
        moved[:, place] += torch.where(rest[:, place] < 0, 1.0, -1.0)
        yield torch.cat([*hot, moved], dim=1)


def values_of_samples(codes: Codes, numbers: Tensor, seen: Whole, effect: Matrix) -> dict[str, float]:
    """Return the metrics of N samples with these codes, in which the judge sees these factors.

    `effect` C x F: in which share of images a factor changes when a code does, and nothing else.
    """
    matrix = information_matrix(codes.counted(numbers).numpy(), seen)
    shares = of_factors(matrix)
    return {
        "code_information_judge": mean_of_best(shares),
        "mig_judge": mutual_information_gap(shares),
        "codes_used_judge": entropy_used(matrix, codes),
        "code_effect_judge": float(effect.max(axis=1).mean()),
        **_by_code("code_information_judge", codes, shares),
        **_by_code("code_effect_judge", codes, effect),
    }


def values_of_reading(codes: Codes, answers: Tensor, truth: Truth) -> dict[str, float]:
    """Return the metrics of what D answers of N drawn faces of known factors and traits, N x `width` (or more)."""
    read = answers[:, : codes.width]
    shares = of_factors(information_matrix(codes.counted(read).numpy(), truth.factors))
    found = {"code_information_recogniser": mean_of_best(shares), "mig_recogniser": mutual_information_gap(shares)}
    if codes.continuous:
        correlations = rank_correlations(codes.split(read)[1].numpy(), truth.traits)
        best = correlations.max(axis=1)
        found["trait_correlation_recogniser"] = float(best.mean())
        for place, name in enumerate(codes.names[len(codes.categorical) :]):
            trait = list(TRAITS)[int(correlations[place].argmax())]
            found[f"trait_correlation_recogniser+{name}.{trait}"] = float(best[place])
    return found


def rank_correlations(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Matrix:
    """Return the absolute rank correlation (Spearman) of each of N x C with each of N x T values; 0 of a constant."""
    one, other = (rankdata(values, axis=0) for values in (first, second))
    one, other = one - one.mean(0), other - other.mean(0)
    lengths = np.outer(np.linalg.norm(one, axis=0), np.linalg.norm(other, axis=0))
    return np.asarray(np.abs(one.T @ other) / np.where(lengths > 0, lengths, np.inf))


@dataclass(frozen=True)
class Truth:
    """What drawn faces are: `factors` N x F, `traits` N x 43."""

    factors: Whole
    traits: Matrix


def truth_of_part(reference: Reference, samples: int) -> Truth:
    """Return what the held-out faces of a reference are; each is a function of its number."""
    places = reference.images(reference.heldout_part(samples))[1]
    faces = sampled(reference.drawn_with, [HELDOUT_START + int(place) for place in places])
    return Truth(
        np.array([[face.factors[name] for name in MODE_FACTORS] for face in faces]),
        np.array([list(face.traits.values()) for face in faces]),
    )


@torch.inference_mode()
def read_codes(recogniser: nn.Module, images: npt.NDArray[np.uint8], places: Whole, device: torch.device) -> Tensor:
    """Return what D answers of the codes of images, uint8 M x 3 x R x R, at N places among them, on the CPU."""
    network = recogniser.to(device)
    parts = [
        network(torch.from_numpy(images[places[start : start + _BATCH]]).to(device).float() / 127.5 - 1).classes
        for start in range(0, len(places), _BATCH)
    ]
    return torch.cat(parts).float().cpu()


def values_of_none(codes: Codes, seen: Whole, truth: Truth) -> dict[str, float]:
    """Return the same metrics of real images beside codes drawn for them: what images without any codes give."""
    drawn = draw_codes(codes, max(len(seen), len(truth.factors)), "codes of no image")
    no_effect = np.zeros((len(codes.values), seen.shape[1]))
    found = values_of_samples(codes, drawn[: len(seen)], seen, no_effect)
    return found | values_of_reading(codes, drawn[: len(truth.factors)], truth)


def code_values(
    sample: Sample, reference: Reference, coded: Coded, numbers: Tensor, draw: Callable[..., Tensor], sample_seed: int
) -> list[Value]:
    """Return the metrics of samples with these codes, N x `width`; none where the judge does not look at images.

    `draw(count, told=numbers)` draws the first `count` samples with other codes and the same latents.
    """
    judge = next((extractor for extractor in reference.extractors if extractor.name == "judge"), None)
    if judge is None:
        return []
    heldout = reference.heldout_part(reference.settings.samples)
    seen = seen_factors(sample.features[judge.label])
    count = min(len(seen), CHANGED_IMAGES)
    effect = [
        (seen_factors(extract(judge, draw(count, told=changed), stage="samples")) != seen[:count]).mean(axis=0)
        for changed in changed_alone(coded.codes, numbers[:count], sample_seed)
    ]
    found = values_of_samples(coded.codes, numbers, seen, np.array(effect))
    values = [Value(name, value, heldout, judge) for name, value in found.items()]
    if coded.recogniser is not None:
        answers = read_codes(coded.recogniser, *reference.images(heldout), reference.device)
        read = values_of_reading(coded.codes, answers, truth_of_part(reference, reference.settings.samples))
        values += [Value(name, value, heldout, None) for name, value in read.items()]
    return values


def floors_of_codes(reference: Reference, samples: int, codes: Codes) -> dict[str, float]:
    """Return what `code_values` gives of as many real images and of D's answers where neither knows of any code."""
    judge = next(extractor for extractor in reference.extractors if extractor.name == "judge")

    def compute() -> dict[str, float]:
        seen = seen_factors(reference.features(judge, reference.floor_part(samples)))
        return values_of_none(codes, seen, truth_of_part(reference, samples))

    return reference.values("code-floors", {"samples": samples, "codes": [*codes]}, compute)


def _by_code(metric: str, codes: Codes, matrix: Matrix) -> dict[str, float]:
    return {
        f"{metric}+{code}.{factor}": float(matrix[row, column])
        for row, code in enumerate(codes.names)
        for column, factor in enumerate(MODE_FACTORS)
    }
