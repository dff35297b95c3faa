"""Boundary equilibrium GAN."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.networks.heads import Autoencoded, Head
from bench.objectives.base import Card, Golden, LeastBudget, Network, Objective, Published, Step, Terms, widened

_ERROR = 0.2  # mean |R(x) - x| of real images on [-1, 1] while an autoencoder learns


class BoundaryEquilibrium(Objective):
    """Berthelot et al. 2017, section 3.4: k holds the two reconstruction errors at the ratio gamma."""

    gamma: float = Field(0.5, gt=0, le=1, description="the ratio of fake to real reconstruction error to hold")
    lambda_k: float = Field(0.001, ge=0, description="how fast k follows")

    head: ClassVar[Head] = "autoencoder"
    card: ClassVar[Card] = Card(
        title="Boundary equilibrium GAN",
        paper="BEGAN: Boundary Equilibrium Generative Adversarial Networks",
        authors="Berthelot, Schumm, Metz",
        year=2017,
        arxiv="1703.10717",
        family="autoencoding",
        discriminator_loss=r"\ell(x) - k_t\,\ell(\tilde{x}), \quad \ell(x) = \mathbb{E}\,|R(x)-x|",
        generator_loss=(
            r"\ell(\tilde{x}), \quad k_{t+1} = \mathrm{clip}(k_t + \lambda_k\,(\gamma\,\ell(x)-\ell(\tilde{x})), 0, 1)"
        ),
        published=Published(
            source="arXiv 1703.10717, section 4: Adam 1e-4, no batch norm; Adam's other settings are its defaults",
            references=("arXiv 1703.10717, section 4",),
            not_found="code by the authors",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.9, 0.999),
            norm="none",
        ),
        golden=(
            Golden(
                discriminator=0.088,
                generator=0.06,
                real=(0.10,),
                fake=(0.06,),
                state={"k": 0.2},
                state_after={"k": 0.19999},
            ),
        ),
        notes=(
            "k moves by the errors of the same discriminator step. At k = 0, where it starts, D is an autoencoder.",
            "The decoder ends in tanh here; the authors' is linear.",
            "A D step moves k by at most lambda_k gamma l(x), about 1e-4 with the authors' settings at an error of "
            "0.2: a row means something from 10,000 generator steps on. Before, k is near 0 and D hardly more than an "
            "autoencoder.",
        ),
        code_differences=(
            "The authors halve the learning rate when the convergence measure stalls; here the study's schedule does.",
        ),
    )

    def initial_state(self) -> dict[str, float]:
        return {"k": 0.0}

    def least_budget(self, discriminator_steps: int) -> LeastBudget | None:
        if not self.lambda_k:
            return None
        steps = math.ceil(round(1 / (self.lambda_k * self.gamma * _ERROR * discriminator_steps), 6))
        return LeastBudget(steps, f"k needs so many to cross [0, 1] at lambda_k {self.lambda_k:g}")

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        real_error, fake_error = reconstruction_error(D(real), real), reconstruction_error(D(fake), fake)
        step.observe("real_error", real_error)
        step.observe("fake_error", fake_error)
        step.observe("convergence", real_error + (self.gamma * real_error - fake_error).abs())
        step.observe("k", step.state["k"].clone())
        return {"real": real_error, "fake": -step.state["k"] * fake_error}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": reconstruction_error(D(fake), fake)}

    @torch.no_grad()
    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        imbalance = self.gamma * step.observed["real_error"] - step.observed["fake_error"]
        step.state["k"].add_(self.lambda_k * imbalance).clamp_(0.0, 1.0)


def reconstruction_error(out: Autoencoded, images: Tensor) -> Tensor:
    """Return mean |R(x) - x| over pixels, channels and batch, in fp32. The target carries its graph."""
    return widened(out.images - images).abs().mean()
