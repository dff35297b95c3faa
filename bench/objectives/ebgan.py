"""Energy-based GAN, with its pulling-away term as a setting."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize, relu

from bench.networks.heads import Autoencoded, Head
from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms, widened


class EnergyBased(Objective):
    """Zhao et al. 2016, equations 1, 2 and 4. A sample's energy is its reconstruction error, an L2 norm on [-1, 1]."""

    margin: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto",
        description="m: D raises the energy of generated images only up to here; auto: 20 at 3 x 64 x 64 (authors: "
        "CelebA), in proportion to the root of the number of pixel values (10 at 32 x 32)",
    )
    pulling_away: float = Field(0.0, ge=0, description="weight of the pulling-away term in G's loss (authors: 0.1)")

    head: ClassVar[Head] = "autoencoder"
    duplication_invariant: ClassVar[bool] = False  # the pulling-away term leaves out each sample's pair with itself
    card: ClassVar[Card] = Card(
        title="Energy-based GAN",
        paper="Energy-based Generative Adversarial Network",
        authors="Zhao, Mathieu, LeCun",
        year=2016,
        arxiv="1609.03126",
        family="autoencoding",
        discriminator_loss=(
            r"\mathbb{E}_x\,E(x) + \mathbb{E}_{\tilde{x}}\,[m - E(\tilde{x})]_+, \quad E(x) = \|R(x)-x\|_2"
        ),
        generator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,E(\tilde{x}) + \lambda_{PT}\,\frac{1}{N(N-1)}\sum_{i\neq j}"
            r"\left(\frac{s_i^\top s_j}{\|s_i\|\,\|s_j\|}\right)^2"
        ),
        published=Published(
            source="arXiv 1609.03126: margin 20 on CelebA at 64x64; Adam 1e-3 as for MNIST",
            learning_rate_discriminator=1e-3,
            learning_rate_generator=1e-3,
            references=("arXiv 1609.03126",),
            not_found="the authors' code, their optimiser for CelebA and their beta1",
        ),
        golden=(
            Golden(discriminator=6.0, generator=7.0, settings={"margin": 10.0}, real=(1.0, 3.0), fake=(2.0, 12.0)),
            Golden(generator=7.1, settings={"pulling_away": 0.1}, real=(1.0, 3.0), fake=(2.0, 12.0)),
            # One number a sample: m is 20 / sqrt(12288) = 0.180422.
            Golden(discriminator=0.090211, generator=0.55, real=(0.0, 0.1), fake=(0.1, 1.0)),
        ),
        notes=(
            "The hinge is inside the mean over samples: a hinge on the batch mean is another loss.",
            "While real images have more energy than m the hinge mostly sleeps and D is an autoencoder; the share of "
            "active hinges and the real energy against m are logged.",
            "The energy is a norm over all pixel values, so that the same error a pixel gives half the energy at 32x32 "
            "and twice at 128x128: the margin follows it, and 20 keeps the meaning that it had at 64x64.",
        ),
        code_differences=("Public codes differ in energy (norm, square, sum over the batch) and so in what m means.",),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        real_energy, fake_energy = energy(D(real), real), energy(D(fake), fake)
        margin = margin_at(real[0].numel()) if self.margin == "auto" else self.margin
        step.observe("active_hinge_share", (fake_energy < margin).to(fake_energy.dtype).mean())
        step.observe("real_energy_to_margin", real_energy.mean() / margin)
        return {"real": real_energy.mean(), "fake": relu(margin - fake_energy).mean()}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        out = D(fake)
        terms = {"fake": energy(out, fake).mean()}
        if self.pulling_away > 0:
            terms["pulling_away"] = self.pulling_away * pulling_away_term(out.code)
        return terms


def margin_at(values: int) -> float:
    """Return the margin for images of so many pixel values: 20 at 3 x 64 x 64, and the same error a pixel elsewhere."""
    return 20.0 * math.sqrt(values / (3 * 64 * 64))


def energy(out: Autoencoded, images: Tensor) -> Tensor:
    """Return each sample's reconstruction error ||R(x) - x||_2 over all pixels and channels, shape (N,), in fp32.

    The target carries its graph: the generator's loss needs the direct path through x as well.
    """
    norms: Tensor = torch.linalg.vector_norm(widened((out.images - images).flatten(1)), dim=1)
    return norms


def pulling_away_term(code: Tensor) -> Tensor:
    """Return the mean squared cosine between the codes (N x d) of different samples (equation 4)."""
    unit = normalize(widened(code.flatten(1)), dim=1)
    squared = (unit[:, None] * unit[None]).sum(2).square()  # no matrix product: autocast would take it in bf16
    count = len(code)
    off_diagonal: Tensor = squared.sum() - squared.diagonal().sum()
    return off_diagonal / (count * (count - 1))
