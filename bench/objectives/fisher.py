"""Fisher GAN."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms


class Fisher(Objective):
    """Mroueh and Sercu 2017, algorithm 1: the mean difference under a bound on second moments.

    The constraint Omega = 1 is kept by an augmented Lagrangian, whose multiplier moves after each discriminator step.
    """

    rho: float = Field(1e-6, gt=0, description="rho: the quadratic penalty's weight and the multiplier's rate")

    card: ClassVar[Card] = Card(
        title="Fisher GAN",
        paper="Fisher GAN",
        authors="Mroueh, Sercu",
        year=2017,
        arxiv="1705.09675",
        family="integral probability metric",
        discriminator_loss=(
            r"\mathbb{E}\,C(\tilde{x}) - \mathbb{E}\,C(x) - \Lambda\,(1-\Omega) + \frac{\rho}{2}\,(1-\Omega)^2,"
            r" \quad \Omega = \frac{1}{2}\,\mathbb{E}\,C(x)^2 + \frac{1}{2}\,\mathbb{E}\,C(\tilde{x})^2"
        ),
        generator_loss=r"-\mathbb{E}_{\tilde{x}}\,C(\tilde{x}), \quad \Lambda \leftarrow \Lambda + \rho\,(\Omega-1)",
        published=Published(
            source="the commands of the authors' README for LSUN and, identically, CelebA; rho and batch norm are "
            "their code's",
            discriminator_steps=2,
            references=(
                "tomsercu/FisherGAN@ccfc386:README.md#L11",
                "tomsercu/FisherGAN@bf1c7d8:main.py#L30-L47",
                "tomsercu/FisherGAN@4123951:models/dcgan.py#L28-L36",
            ),
            not_found="the paper's own table of settings",
        ),
        golden=(
            Golden(
                discriminator=-0.500927,
                generator=0.066667,
                settings={"rho": 0.1},
                state={"multiplier": 0.3},
                state_after={"multiplier": 0.3211667},
            ),
        ),
        notes=(
            "At the optimal D with Omega = 1 the value is sqrt(2 sum (p - q)^2 / (p + q)).",
            "With rho 1e-6 the constraint acts only once scores are in the tens; Omega is logged.",
        ),
        code_differences=(
            "RMSProp 5e-5 and 5 D steps are defaults that the authors' code inherited from WGAN's; no command of "
            "theirs uses them.",
            "A later version of the authors' code (4123951) adds weight decay (1e-6, and 1e-3 on the last layer); "
            "their commands also give G two extra layers, and an option warms up with 100 D steps. None is done here.",
        ),
        controlled_notes=("Not its authors' algorithm: one discriminator step per generator step.",),
    )

    def initial_state(self) -> dict[str, float]:
        return {"multiplier": 0.0}

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        real_scores, fake_scores = D(real), D(fake)
        omega = 0.5 * real_scores.square().mean() + 0.5 * fake_scores.square().mean()
        return {"real": -real_scores.mean(), "fake": fake_scores.mean(), **constraint_terms(omega, self.rho, step)}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": -D(fake).mean()}

    @torch.no_grad()
    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        step.state["multiplier"].add_(self.rho * (step.observed["omega"] - 1))


def constraint_terms(omega: Tensor, rho: float, step: Step) -> Terms:
    """Return what D pays for missing Omega = 1: the multiplier's term and the quadratic one."""
    multiplier = step.state["multiplier"].clone()
    step.observe("omega", omega)
    step.observe("multiplier", multiplier)
    return {"multiplier": -multiplier * (1 - omega), "penalty": 0.5 * rho * (1 - omega).square()}
