"""Scores of one sample set's own predictions: the Inception-type score, and what the judge recognises."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from bench.evaluation.features import UNSURE

_SHUFFLE_SEED = 2020  # torch-fidelity's


def inception_score(logits: Tensor, splits: int) -> float:
    """Return exp(E[KL(p(y|x) || p(y))]) of N x K logits, the mean over `splits` parts (arXiv 1606.03498).

    The same numbers, in the same order, as torch-fidelity's `isc_features_to_metric`, without the seconds that
    importing it takes in every worker.
    """
    count = len(logits)
    order = np.random.RandomState(_SHUFFLE_SEED).permutation(count)
    shuffled = logits[torch.from_numpy(order)]
    scores = []
    for part in range(splits):
        log_p = shuffled[part * count // splits : (part + 1) * count // splits].double().log_softmax(dim=1)
        p = log_p.exp()
        marginal = p.mean(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
        scores.append(math.exp(float((p * (log_p - marginal.log())).sum(dim=1).mean())))
    return fmean(scores)


def mode_scores(modes: Tensor, mode_count: int) -> dict[str, float]:
    """Return what the judge found among N images: distinct modes, the share it was sure of, KL from uniform in nats.

    modes   int64, UNSURE where the judge was not confident; the other metrics leave those images out

    Where it was sure of none the KL is the largest there is, log(mode_count) (arXiv 1611.02163 for count and KL).
    """
    sure = modes[modes != UNSURE]
    frequencies = torch.bincount(sure, minlength=mode_count).double() / max(len(sure), 1)
    found = frequencies[frequencies > 0]
    divergence = float((found * (found * mode_count).log()).sum()) if len(sure) else math.log(mode_count)
    return {
        "modes": float(len(found)),
        "judge_confident": len(sure) / len(modes),
        "mode_kl": divergence,
    }
