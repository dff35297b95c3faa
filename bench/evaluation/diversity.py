"""How many different images a sample holds, from its features: the Vendi score and the birthday paradox."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.evaluation.neighbours import Geometry


def vendi_score(features: Tensor) -> float:
    """Return the effective number of different images among N x d features (Friedman and Dieng, arXiv 2210.02410).

    The exponential of the entropy of the eigenvalues of K/N, K being the cosine similarities: 1 for N equal images, N
    for N orthogonal ones.
    """
    unit = normalize(features.double(), dim=1)
    if len(unit) > unit.shape[1]:
        unit = unit.T  # the same eigenvalues but for zeros
    eigenvalues = torch.linalg.eigvalsh(unit @ unit.T / len(features)).clamp(min=0)
    return math.exp(float(torch.special.entr(eigenvalues).sum()))


def birthday_support(generated: Geometry) -> float:
    """Return the number of equally likely images that would repeat themselves as soon (Arora and Zhang, 1706.08224).

    s is the smallest size at which half of the batches (runs of consecutive samples, in cyclic order, one from each
    sample on) hold a pair of near-duplicates; the estimate is s(s-1) / (2 ln 2), which gives 365 for s = 23. Where no
    two of the N samples are near-duplicates s is N, and the estimate the largest that so many samples can give.
    """
    assert generated.back is not None
    back = generated.back.cpu()
    count = len(back)
    # A batch from b on needs no more than the first sample i with i - back[i] >= b, whose near-duplicate it holds too.
    # `ends` has the first i for each i - back[i]; then the least from b on. Laid out twice, as batches run round.
    places = torch.arange(2 * count)
    begins = places - back.repeat(2)
    ends = torch.full((2 * count,), 2 * count).scatter_reduce(
        0, begins.clamp(min=0), torch.where(begins >= 0, places, 2 * count), "amin"
    )
    ends = ends.flip(0).cummin(dim=0).values.flip(0)[:count]
    sizes = (ends - torch.arange(count) + 1).clamp(max=count)
    size = float(torch.quantile(sizes.double(), 0.5, interpolation="lower"))
    return size * (size - 1) / (2 * math.log(2))
