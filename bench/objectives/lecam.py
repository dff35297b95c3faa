"""LeCam regularisation, over any base loss."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from bench.objectives._over import OverBase
from bench.objectives.base import CachedOutputs, Card, Golden, LeastBudget, Network, Published, Step, Terms

_SETTLED = {
    "anchored_steps": 1e6,
    "real_anchor": (0.8 - 0.01 * 0.5) / 0.99,
    "fake_anchor": (-0.6 + 0.01 * 0.2 / 3) / 0.99,
}


class LeCam(OverBase):
    """Tseng et al. 2021, equation 7: D's scores are held near the moving average of its scores of the other kind."""

    weight: float = Field(0.3, ge=0, description="lambda: the regulariser's weight")
    decay: float = Field(0.99, ge=0, lt=1, description="how slowly the two anchors follow the mean scores")
    start: int = Field(1000, ge=0, description="discriminator steps before it acts; the anchors move from the start")
    sides: Literal["one", "two"] = Field("one", description="one: only beyond the anchor (code); two: squares (paper)")

    stop_gradients: ClassVar[str] = "the anchors: the moving averages carry no gradient"
    card: ClassVar[Card] = Card(
        title="LeCam regularisation",
        paper="Regularizing Generative Adversarial Networks under Limited Data",
        authors="Tseng et al.",
        year=2021,
        arxiv="2104.03310",
        family="regulariser",
        discriminator_loss=(
            r"L_{base} + \lambda\left(\mathbb{E}_x\,[C(x)-\alpha_F]_+^2"
            r" + \mathbb{E}_{\tilde{x}}\,[\alpha_R-C(\tilde{x})]_+^2\right)"
        ),
        generator_loss=r"L_{base}",
        published=Published(
            source="the authors' BigGAN script for CIFAR-10 and its defaults: hinge, Adam 2e-4, (0, 0.999), 4 D steps, "
            "spectral norm, lambda 0.3, decay 0.9, start after 1,000 generator steps, which are 4,000 of D",
            betas=(0.0, 0.999),
            discriminator_steps=4,
            norm="spectral",
            settings={"decay": 0.9, "start": 4000},
            references=(
                "google/lecam-gan@db6debc:biggan_cifar/scripts/lc-biggan-cifar10.sh#L16-L27",
                "google/lecam-gan@db6debc:third_party/utils.py#prepare_parser",
                "google/lecam-gan@4b48815:biggan_cifar/train.py#L28",
            ),
        ),
        golden=(
            Golden(discriminator=1.833333, generator=0.066667),
            # Long-settled totals from which this batch moves the anchors to 0.8 and -0.6.
            Golden(discriminator=3.056333, generator=0.066667, state=_SETTLED),
            Golden(discriminator=5.91, generator=0.066667, settings={"weight": 1.0}, state=_SETTLED),
            Golden(
                discriminator=5.963333, generator=0.066667, settings={"weight": 1.0, "sides": "two"}, state=_SETTLED
            ),
        ),
        notes=(
            "With the Wasserstein loss and anchors (alpha, -alpha) the optimal value is a multiple of the LeCam "
            "(triangular) divergence.",
            "The anchors are detached, corrected for their start at zero, and updated before they are used.",
            "It acts only after `start` discriminator steps: a row says something from twice as many on.",
        ),
        code_differences=(
            "The paper squares both differences; the authors' code, which made the results and is followed, squares "
            'only what lies beyond the anchor. The paper\'s form is the setting sides = "two".',
            "The authors' two code bases use decay 0.9 (BigGAN) and 0.99 with the correction for zero (StyleGAN2). The "
            "former's anchors follow each batch alone until the start.",
        ),
        controlled_notes=("Over the base's losses alone, with one discriminator step.",),
    )

    def least_budget(self, discriminator_steps: int) -> LeastBudget | None:
        steps = 2 * math.ceil(self.start / discriminator_steps)
        return LeastBudget(steps, f"it acts after {self.start:,} discriminator steps only") if steps else None

    def compressed_settings(self) -> dict[str, Any]:
        return {"start": min(self.start, 2)}

    def initial_state(self) -> dict[str, float]:
        return self.inner.initial_state() | {"real_anchor": 0.0, "fake_anchor": 0.0, "anchored_steps": 0.0}

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        cached = CachedOutputs(D)
        terms = self.inner.discriminator_loss(cached, real, fake, step)
        real_anchor = self._moved("real_anchor", cached(real), step)
        fake_anchor = self._moved("fake_anchor", cached(fake), step)
        above, below = cached(real) - fake_anchor, real_anchor - cached(fake)
        if self.sides == "one":
            above, below = relu(above), relu(below)
        begun = step.state["anchored_steps"] >= self.start
        return terms | {"lecam": self.weight * (above.square().mean() + below.square().mean()) * begun}

    @torch.no_grad()
    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        self.inner.after_discriminator_step(D, step)
        for name in ("real_anchor", "fake_anchor"):
            step.state[name].copy_(step.observed[name] * self._settled(step))
        step.state["anchored_steps"].add_(1)

    def _moved(self, name: str, scores: Tensor, step: Step) -> Tensor:
        """Return the anchor after this batch: the average of the batches' means so far, weighted towards the latest."""
        total = step.state[name] * self.decay + (1 - self.decay) * scores.detach().mean()
        anchor = total / self._settled(step)
        step.observe(name, anchor)
        return anchor

    def _settled(self, step: Step) -> Tensor:
        """Return the weight that this batch and those before it have in a moving average that started at zero."""
        return 1 - self.decay ** (step.state["anchored_steps"] + 1)
