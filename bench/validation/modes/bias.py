"""What AC-GAN's class term does to modes that labels share, in closed form. Never imports torch.

Of the task `overlap` let G move a share t of the middle's mass outwards, to the mode that each label has alone. With
D and classifier at their optimum G's loss over the minimax game is 2 JS(p, q) and lambda times a cross-entropy: in the
middle the classifier gives both labels 1/2, elsewhere it is certain, so that the term is lambda log 2 times the
middle's mass. It rewards an empty middle. The terms of TAC-GAN and ADC-GAN are divergences of q from p, 0 at p.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from bench.validation.modes.rows import Row
from bench.validation.modes.tasks import PointTask


def expected_shared(task: PointTask, row: Row) -> float:
    """Return what share of a row's points a task's shared modes have where G is at its best, of all such members."""
    real = float(task.law[task.shared].sum())
    weight = row.declared.settings.get("generator_weight", 1.0) if row.objective == "acgan" else 0.0
    return real * (1 - _moved(real, weight))


def _moved(real: float, weight: float) -> float:
    """Return the share t of a shared mass `real` that a class term of this weight moves to modes of one label each."""

    def loss(moved: float) -> float:
        kept = real * (1 - moved)
        return _twice_js(np.array([real, 1 - real]), np.array([kept, 1 - kept])) + weight * kept * math.log(2)

    return float(minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-10}).x)


def _twice_js(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """Return 2 JS(p, q) in nats of two laws on the same places."""
    middle = (p + q) / 2
    return float((p * np.log(p / middle) + q * np.log(q / middle)).sum())
