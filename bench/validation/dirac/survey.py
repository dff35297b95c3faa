"""Every objective's portrait: its game solved from one start, and what was predicted beside what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import BenchError
from bench.objectives import load
from bench.objectives.base import Objective
from bench.validation.dirac.behaviour import NEARER, Behaviour, behaviour_of
from bench.validation.dirac.game import DiracGan, Place
from bench.validation.dirac.motion import Numbers, Path, eigenvalues, flow, steps
from bench.validation.dirac.predictions import PREDICTIONS, Pair, Prediction

START = (1.2, 0.6)
DURATION = 30.0
STEP = 0.2
REACH = 2.0  # portraits show theta and psi up to here
_ARROWS = 8


@dataclass(frozen=True)
class Portrait:
    """One objective's game under `settings` that differ from its defaults."""

    name: str
    settings: dict[str, Any]
    eigenvalues: Pair | None
    flow: Path
    steps: Path
    flow_does: Behaviour
    steps_do: Behaviour
    arrows: Numbers  # rows of theta, psi, d theta/dt, d psi/dt
    prediction: Prediction | None
    predicted_eigenvalues: Pair | None

    @property
    def agrees(self) -> bool | None:
        """Tell whether simulation and theory say the same; None without a prediction."""
        if self.prediction is None:
            return None
        return self.flow_does is self.prediction.behaviour and _near(self.eigenvalues, self.predicted_eigenvalues)


def portrait(name: str) -> Portrait:
    """Solve the game of one objective (a name, or the path of a user's own file).

    Raises BenchError where its losses fail on a batch of points.
    """
    cls = load(name)
    if cls.needs:
        raise BenchError(f"{name} needs {cls.needs}, which a game of two points has not")
    try:
        return _solved(cls, PREDICTIONS.get(name))
    except Exception as error:
        raise BenchError(
            f"{name} cannot be played on one point: {type(error).__name__}: {error}",
            hint="Its losses must take batches of any shape N x ..., here two numbers, and a D with one parameter.",
        ) from error


def _solved(cls: type[Objective], prediction: Prediction | None) -> Portrait:
    settings = dict(prediction.settings) if prediction else {}
    objective = cls.model_validate(settings)
    game = DiracGan(objective)
    start, nearer = game.start(*START), game.start(START[0] * NEARER, START[1] * NEARER)
    count = round(DURATION / STEP)
    flowing, stepping = flow(game, start, DURATION), steps(game, start, STEP, count)
    return Portrait(
        name=cls.name(),
        settings=settings,
        eigenvalues=eigenvalues(game),
        flow=flowing,
        steps=stepping,
        flow_does=behaviour_of(flowing, lambda: flow(game, nearer, DURATION)),
        steps_do=behaviour_of(stepping, lambda: steps(game, nearer, STEP, count)),
        arrows=_arrows(game),
        prediction=prediction,
        predicted_eigenvalues=prediction.eigenvalues(objective) if prediction and prediction.eigenvalues else None,
    )


def as_table(portraits: Sequence[Portrait]) -> pd.DataFrame:
    """Return what was predicted and found, a row per objective; eigenvalues as Python writes complex numbers."""

    def plain(pair: Pair | None) -> str:
        return " ".join(f"{value.real + 0.0:.6g}{value.imag:+.6g}j" for value in pair or ())

    return pd.DataFrame(
        [
            {
                "objective": p.name,
                "settings": " ".join(f"{key}={value}" for key, value in p.settings.items()),
                "eigenvalues_predicted": plain(p.predicted_eigenvalues),
                "eigenvalues_found": plain(p.eigenvalues),
                "flow_predicted": str(p.prediction.behaviour) if p.prediction else "",
                "flow_found": str(p.flow_does),
                "steps_found": str(p.steps_do),
                "flow_last_theta": round(float(p.flow.theta[-1]), 6),
                "flow_last_psi": round(float(p.flow.psi[-1]), 6),
                "steps_last_theta": round(float(p.steps.theta[-1]), 6),
                "steps_last_psi": round(float(p.steps.psi[-1]), 6),
            }
            for p in portraits
        ]
    )


def eigenvalue_text(pair: Pair | None) -> str:
    """Write two eigenvalues in short: "±0.5i", "−0.15 ± 0.48i", "−1.87, −0.134", or that there are none."""
    if pair is None:
        return "none: the field jumps"
    first, second = pair
    if abs(first.imag) > 5e-7:
        size = _number(abs(first.imag))
        turning = "" if size == "1" else size
        return f"±{turning}i" if abs(first.real) < 5e-4 else f"{_number(first.real)} ± {turning}i"
    values = sorted((first.real, second.real))
    return ", ".join(map(_number, values)) if values[0] != values[1] else f"{_number(values[0])}, twice"


def _number(value: float) -> str:
    text = f"{0.0 if abs(value) < 5e-7 else value:.3g}"
    return text.replace("-", "−")


def _near(simulated: Pair | None, predicted: Pair | None) -> bool:
    if simulated is None or predicted is None:
        return simulated is predicted
    first, second = (np.sort_complex(np.round(pair, 6)) for pair in (simulated, predicted))
    return bool(np.allclose(first, second, atol=1e-5))


def _arrows(game: DiracGan) -> Numbers:
    """Return the field on a grid that misses both axes."""
    places = REACH * (np.arange(1, 2 * _ARROWS, 2) / _ARROWS - 1)
    state = game.objective.initial_state()
    return np.array([(theta, psi, *game.velocity(Place(theta, psi, state))) for psi in places for theta in places])
