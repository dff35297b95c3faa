"""What theory says of each objective's Dirac-GAN, before anything is simulated.

u = θψ throughout, D high on reals, σ the logistic function. The velocities that each entry follows from stand in
tests/validation/test_dirac_fields.py, which compares them with the losses' own gradients. Rates such as 8/t come
from averaging over a turn: the mean of u² on the circle of radius r is r⁴/8.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.validation.dirac.behaviour import Behaviour

Pair = tuple[complex, complex]


@dataclass(frozen=True)
class Prediction:
    """What the flow must do, from the start and under the settings of the portraits, and why.

    `eigenvalues` maps the objective to those at the origin; None where the field jumps there. `settings` are drawn in
    place of the defaults, which belong to images of thousands of numbers or would hide what there is to see.
    """

    behaviour: Behaviour
    why: str
    eigenvalues: Callable[[Any], Pair] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def rotation(frequency: float) -> Pair:
    """Return the eigenvalues of a pure rotation."""
    return damped(0.0, frequency)


def damped(damping: float, frequency: float) -> Pair:
    """Return the eigenvalues of [[0, f], [-f, -d]], which are -d/2 ± sqrt(d²/4 - f²)."""
    root = cmath.sqrt(damping**2 / 4 - frequency**2)
    return -damping / 2 - root, -damping / 2 + root


PREDICTIONS: Mapping[str, Prediction] = {
    "minimax": Prediction(
        Behaviour.CIRCLES,
        "Both players meet the same slope: G moves by ψ σ(u), D by −θ σ(u), and θ² + ψ² never changes.",
        lambda objective: rotation(0.5),
    ),
    "nsgan": Prediction(
        Behaviour.CLOSES_IN,
        "No pull at first order; at higher order θ² + ψ² falls by 2u tanh(u/2), in the end as 8/t.",
        lambda objective: rotation(0.5),
    ),
    "rsgan": Prediction(
        Behaviour.CLOSES_IN,
        "With one point on each side the pair’s loss is nsgan’s but for a constant.",
        lambda objective: rotation(0.5),
    ),
    "rasgan": Prediction(
        Behaviour.CLOSES_IN,
        "Twice nsgan’s field: θ² + ψ² falls as 4/t.",
        lambda objective: rotation(0.5 if objective.halved else 1.0),
    ),
    "ralsgan": Prediction(
        Behaviour.CLOSES_IN,
        "G moves by 4(1 − u)ψ, D by −4(1 + u)θ: θ² + ψ² falls by 16u², in the end as 1/(2t).",
        lambda objective: rotation(2.0 if objective.halved else 4.0),
    ),
    "rahinge": Prediction(
        Behaviour.CIRCLES,
        "A rotation while |u| < 1, at twice hinge’s speed; wider orbits shrink to radius √2, where no hinge sleeps.",
        lambda objective: rotation(1.0 if objective.halved else 2.0),
    ),
    "hinge": Prediction(
        Behaviour.CIRCLES,
        "A rotation while u > −1; beyond it D’s hinge sleeps, so that wider orbits shrink to radius √2.",
        lambda objective: rotation(1.0),
    ),
    "san": Prediction(
        Behaviour.CIRCLES,
        "In one dimension a direction is only a sign, which no gradient turns: what is left is its base, hinge.",
        lambda objective: rotation(1.0),
    ),
    "lecam": Prediction(
        Behaviour.CLOSES_IN,
        "Over hinge: while D rejects (u < 0) it pays λu², so that θ² + ψ² falls as 4/(λt).",
        lambda objective: rotation(1.0),
        {"start": 0},
    ),
    "wgan": Prediction(
        Behaviour.CYCLE,
        "A rotation cut off at |ψ| = clip: whatever meets the bound ends on the circle of that radius.",
        lambda objective: rotation(1.0),
        {"clip": 0.5},
    ),
    "wgan-lp": Prediction(
        Behaviour.CYCLE,
        "A free rotation while |ψ| ≤ 1; wider orbits shrink to the unit circle and no further.",
        lambda objective: rotation(1.0),
        {"penalty_weight": 1.0},
    ),
    "wgan-gp": Prediction(
        Behaviour.CYCLE,
        "The penalty wants |ψ| = 1 even where G has arrived, so that G must move on. A cycle while λ < 1; from there "
        "on G stops at θ = ±2λ, where penalty and data cancel at ψ = 0.",
        settings={"penalty_weight": 0.25},
    ),
    "dragan": Prediction(
        Behaviour.CYCLE,
        "As wgan-gp, over nsgan: a cycle while λ < (√5 − 1)/4; from there on G stops at θ = ±4λ.",
        settings={"penalty_weight": 0.25},
    ),
    "fisher": Prediction(
        Behaviour.CIRCLES,
        "A rotation, pushed outwards at the rate ρ = 1e-6, too slow to be seen: Ω cannot be 1 where G rests.",
        lambda objective: rotation(1.0),
    ),
    "sobolev": Prediction(
        Behaviour.CIRCLES,
        "A rotation, pushed towards radius 2/√3 at the rate ρ = 2e-8, too slow to be seen: as in fisher, Ω cannot be 1 "
        "where G rests.",
        lambda objective: damped(-2 * objective.rho, 1.0),
    ),
    "lsgan": Prediction(
        Behaviour.STOPS_SHORT,
        "D has no bias here, so that the label 1 of a real point at 0 is out of its reach: ψ falls to 0, where all "
        "rests, wherever G is.",
        lambda objective: (0, 0),
    ),
    "r1": Prediction(
        Behaviour.CONVERGES,
        "The penalty adds −γψ to D’s motion: damped, critically at γ = 1.",
        lambda objective: damped(objective.gamma, 0.5),
        {"gamma": 0.3},
    ),
    "r1r2": Prediction(
        Behaviour.CONVERGES,
        "This C has one slope everywhere, so that R2 doubles R1’s damping: critical at γ = 1/2.",
        lambda objective: damped(2 * objective.gamma, 0.5),
        {"gamma": 0.3},
    ),
    "r3gan": Prediction(
        Behaviour.CONVERGES,
        "As r1r2; its γ = 1 is past the critical 1/2, so that it comes in without turning.",
        lambda objective: damped(2 * objective.gamma, 0.5),
    ),
    "mmd-gan": Prediction(
        Behaviour.CONVERGES,
        "G descends on MMD² itself, which D can stretch but not turn round: all of θ = 0 rests, and attracts.",
        lambda objective: (0, 0),
    ),
    "cramer": Prediction(
        Behaviour.CONVERGES,
        "G moves by −2|ψ| sign θ: straight to the data, which it reaches in finite time.",
        settings={"penalty_weight": 0.25},
    ),
    "ebgan": Prediction(
        Behaviour.CONVERGES,
        "G runs to the point that D remembers, and D to the real one, at constant speeds: there in finite time.",
        settings={"margin": 20.0},  # of the images that it is made for; one number a sample has another
    ),
    "began": Prediction(
        Behaviour.CONVERGES,
        "At k = 0 D learns the real point by heart and G runs to what D remembers: there in finite time.",
    ),
    "vae": Prediction(
        Behaviour.CONVERGES,
        "No game: G descends on θ²/2 alone, and nothing moves the encoder.",
        lambda objective: (-1 / objective.noise_scale**2, 0),
    ),
}
