"""How modes are counted, as PacGAN does (Lin et al. 2017, arXiv 1712.04086, section 4.1 and its code).

Never imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.validation.modes.tasks import HIGH_QUALITY_DEVIATIONS, PointTask, draw_points, generator_of, told

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ModeCount:
    """What is said of one set of generated samples.

    `kl` is KL(generated || data over the modes) in nats, None where no sample was counted for any mode. Of samples that
    were told labels, `as_told` is the share near a mode that their label has, and `shared` the share of those counted
    for modes that several labels have, None where there is no such mode.
    """

    found: int
    high_quality: float
    kl: float | None
    as_told: float | None = None
    shared: float | None = None


LOST = ModeCount(found=0, high_quality=0.0, kl=None)
"""What a diverged run gets."""


def count_points(task: PointTask, points: npt.NDArray[Any]) -> ModeCount:
    """Count the modes among points N x 2, told as `tasks.told` says. A point that is not finite is of no mode."""
    centres = np.asarray(task.centres)
    distances = np.linalg.norm(np.asarray(points, np.float64)[:, None] - centres[None], axis=2)
    nearest = np.where(np.isfinite(distances), distances, np.inf).argmin(axis=1)
    good = distances[np.arange(len(points)), nearest] < HIGH_QUALITY_DEVIATIONS * task.deviation
    counts = np.bincount(nearest[good], minlength=task.modes)
    count = ModeCount(int((counts > 0).sum()), float(good.mean()), reverse_kl(counts, task.law))
    if not task.classes:
        return count
    own = np.asarray(task.classes)[told(task, len(points)), nearest] > 0
    shared = float(counts[task.shared].sum() / counts.sum()) if task.shared.any() and counts.sum() else None
    return replace(count, as_told=float((own & good).mean()), shared=shared)


def count_triples(digits: npt.NDArray[np.integer[Any]], good: npt.NDArray[np.bool_]) -> ModeCount:
    """Count the triples among the digits read from images, N x 3; `good` (N,) are the images of high quality.

    As in PacGAN every image counts for the triple that was read from it, whatever its quality.
    """
    triples = digits @ np.array([100, 10, 1])
    counts = np.bincount(triples, minlength=1_000)
    return ModeCount(int((counts > 0).sum()), float(good.mean()), reverse_kl(counts))


def reverse_kl(counts: Counts, law: npt.NDArray[np.float64] | None = None) -> float | None:
    """Return the sum of p log(p / q) over modes with shares p, in nats; q is `law`, or the same for all K.

    Then it is 0 where all shares are alike, log K for one mode.
    """
    if counts.sum() == 0:
        return None
    shares = counts[counts > 0] / counts.sum()
    odds = len(counts) if law is None else 1 / law[counts > 0]
    return float((shares * np.log(shares * odds)).sum())


def ceiling_and_floor(task: PointTask) -> tuple[ModeCount, ModeCount]:
    """Return the counts of as many points of the mixture itself, and of points spread evenly over its square.

    The second is what a generator gets that has learnt no more than where the data lie.
    """
    edge = np.abs(np.asarray(task.centres)).max(axis=0)
    flat = generator_of(task.name, "floor").uniform(-edge, edge, size=(task.samples, 2))
    return count_points(task, draw_points(task, task.samples, "ceiling")), count_points(task, flat)
