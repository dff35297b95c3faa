"""Objectives that recognise labels: their terms on cases with closed answers, and what conditions do to penalties."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.networks.conditioning import Labels, told
from bench.networks.heads import Classified, Contrastive, Twins
from bench.objectives import load, names, unlabelled_names
from bench.objectives._recognising import accuracy, cross_entropy
from bench.objectives.contragan import Contrastively
from bench.objectives.matching import mislabelled
from bench.objectives.reacgan import Rebooted
from bench.validation.contract.scene import LABELS, FixedStep, Scene, Variant, conditions, total

# The joint laws of two images (rows) and two labels (columns): of data p, of a generator q.
P = torch.tensor([[0.4, 0.1], [0.2, 0.3]], dtype=torch.float64)
Q = torch.tensor([[0.3, 0.1], [0.2, 0.4]], dtype=torch.float64)
RECOGNISING = ("acgan", "tacgan", "adcgan", "contragan", "reacgan")


def divergence(one: Tensor, other: Tensor) -> float:
    return float((one * (one / other).log()).sum())


def optimal_term(objective: str) -> float:
    """Return the expectation under q of G's class terms at the heads that are optimal for p and q."""
    of_p, of_q = P / P.sum(1, keepdim=True), Q / Q.sum(1, keepdim=True)
    heads = {
        "acgan": lambda x: Classified(torch.zeros(1), of_p[x].log()[None]),
        "tacgan": lambda x: Twins(torch.zeros(1), of_p[x].log()[None], of_q[x].log()[None]),
        "adcgan": lambda x: Twins(torch.zeros(1), P[x].log()[None], Q[x].log()[None]),  # p and q weigh alike
    }
    made, expected = load(objective)(), 0.0
    for x in range(2):
        for y in range(2):
            labels = Labels(torch.eye(2, dtype=torch.float64)[[y]], (2,))
            terms = made.recognised_by_generator(heads[objective](x), labels)  # type: ignore[attr-defined]
            expected += float(Q[x, y]) * float(total(terms))
    return expected


def test_at_optimal_heads_the_terms_are_divergences_and_ac_gan_pays_for_separable_classes() -> None:
    joint, marginal = divergence(Q, P), divergence(Q.sum(1), P.sum(1))
    entropy = -float((Q * (Q / Q.sum(1, keepdim=True)).log()).sum())
    assert optimal_term("adcgan") == pytest.approx(joint)
    assert optimal_term("tacgan") == pytest.approx(joint - marginal)
    assert optimal_term("acgan") == pytest.approx(joint - marginal + entropy)
    for name, closed in (("acgan", 0.615475), ("tacgan", 0.008633), ("adcgan", 0.028768)):
        assert optimal_term(name) == pytest.approx(closed, abs=6e-7)


def test_cross_entropy_is_the_joint_log_likelihood_of_independent_factors() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = Labels(conditions(6), LABELS)
    first, second = (part.argmax(1) for part in labels.hot.split([3, 2], dim=1))
    joint = logits[:, :3].log_softmax(1)[:, :, None] + logits[:, 3:].log_softmax(1)[:, None]
    expected = -joint[torch.arange(6), first, second].mean()
    torch.testing.assert_close(cross_entropy(logits, labels), expected)
    assert cross_entropy(logits.softmax(1), labels) != pytest.approx(float(expected), rel=0.01)  # a usual mistake
    right = (logits[:, :3].argmax(1) == first) & (logits[:, 3:].argmax(1) == second)
    assert float(accuracy(logits, labels)) == pytest.approx(float(right.double().mean()))


def contrastive(embedding: Tensor, proxies: Tensor) -> Contrastive:
    unit = torch.nn.functional.normalize(embedding, dim=1)
    return Contrastive(torch.zeros(len(unit)), unit, unit @ torch.nn.functional.normalize(proxies, dim=1).T)


E = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
PROXIES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
THREE = Labels(torch.eye(3, dtype=torch.float64)[[0, 1, 0]], (3,))


def test_contrastive_losses_of_the_reference_embeddings() -> None:
    said = contrastive(E, PROXIES)
    assert float(Contrastively().contrast(said, THREE)) == pytest.approx(0.660843, abs=6e-7)
    assert float(Rebooted().contrast(said, THREE)) == pytest.approx(2.524779, abs=6e-7)


@pytest.mark.parametrize("objective", [Contrastively(temperature=0.7), Rebooted(temperature=0.7)])
def test_contrastive_losses_against_a_loop_over_pairs(objective: Any) -> None:
    random = torch.Generator().manual_seed(2)
    said = contrastive(*(torch.randn(n, 4, generator=random, dtype=torch.float64) for n in (6, 5)))
    labels, expected, t = Labels(conditions(6), LABELS), 0.0, 0.7
    for start, size in ((0, 3), (3, 2)):
        y = labels.hot[:, start : start + size].argmax(1).tolist()
        for i in range(6):
            s = float(said.classes[i, start + y[i]])
            near = [float(said.embedding[i] @ said.embedding[j]) for j in range(6)]
            if type(objective) is Contrastively:
                alike = math.exp(s / t) + sum(math.exp(near[j] / t) for j in range(6) if j != i and y[j] == y[i])
                every = math.exp(s / t) + sum(math.exp(near[j] / t) for j in range(6) if j != i)
            else:
                alike = math.exp(min(s - 0.98, 0) / t)
                every = alike + sum(math.exp(max(near[j] - 0.02, 0) / t) for j in range(6) if y[j] != y[i])
            expected -= math.log(alike / every) / 6
    assert float(objective.contrast(said, labels)) == pytest.approx(expected, rel=1e-9)


def test_a_wrong_label_is_wrong_in_one_factor_and_may_be_any_other_value() -> None:
    seen = set()
    hot = conditions(400)
    step = FixedStep({}, count=400)
    wrong = mislabelled(Labels(hot, LABELS), step)
    for right, drawn in zip(hot.split([3, 2], dim=1), wrong.split([3, 2], dim=1), strict=True):
        assert (drawn.sum(1) == 1).all()
        differs = right.argmax(1) != drawn.argmax(1)
        assert 140 < int(differs.sum()) < 260
        seen |= {
            (right.shape[1], *pair) for pair in zip(right.argmax(1).tolist(), drawn.argmax(1).tolist(), strict=True)
        }
    assert ((wrong != hot).sum(1) == 2).all()
    assert len(seen) == 9 + 4


@pytest.mark.parametrize("name", RECOGNISING)
def test_without_class_terms_the_losses_are_the_base_s(name: str) -> None:
    zero = {"weight": 0.0, "generator_weight": 0.0}
    over = Scene(Variant.of(load(name), zero, {}))
    base = load(name)().inner  # type: ignore[attr-defined]
    scores = told(lambda images, condition: over.D(images, condition).score, over.condition)
    mine = {loss.name: total(loss.terms(over.step())).item() for loss in over.losses()}
    step = over.step()
    assert mine["discriminator_loss"] == pytest.approx(
        total(base.discriminator_loss(scores, over.real, over.fake, step)).item()
    )
    assert mine["generator_loss"] == pytest.approx(
        total(base.generator_loss(scores, over.fake, over.real, step)).item()
    )


def test_norms_and_bases_follow_the_base() -> None:
    assert "batch" in load("acgan")().allowed_norms()
    assert "batch" not in load("acgan").model_validate({"base": "wgan-gp"}).allowed_norms()
    for base in ("ebgan", "acgan", "matching", "lecam"):
        with pytest.raises(ValidationError, match="no score head"):
            load("acgan").model_validate({"base": base})
    assert set(names()) - set(unlabelled_names()) == {*RECOGNISING, "matching", "infogan", "pix2pix"}


@pytest.mark.parametrize("name", ["wgan-gp", "wgan-lp", "dragan", "r1", "r1r2", "r3gan"])
def test_penalties_differentiate_images_and_not_conditions(name: str) -> None:
    scene = Scene(Variant.of(load(name), {}, {}), labelled=True)
    assert scene.condition is not None
    D = scene.judge()
    of_labels = scene.condition @ torch.arange(1.0, 6.0, dtype=torch.float64)
    penalty = load(name)().discriminator_penalty
    values = [
        total(penalty(judge, scene.real, scene.fake, scene.step())).item()
        for judge in (D, lambda images: D(images) + 100 * of_labels)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


@pytest.mark.parametrize(("u", "expected"), [((1.0, 1.0), 16.0), ((1.0, 3.0), (16 + 14**2) / 2)])
def test_interpolates_have_the_condition_of_their_own_index(u: tuple[float, ...], expected: float) -> None:
    """With D = (w x)(u y) and w = (3, 4) the penalty is the mean of (5 u_y - 1)^2."""
    w, weights = torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor(u, dtype=torch.float64)
    hot = torch.eye(2, dtype=torch.float64).repeat(3, 1)
    D = told(lambda images, condition: (images @ w) * (condition @ weights), hot)
    real, fake = (torch.randn(6, 2, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (0, 1))
    penalty = (
        load("wgan-gp").model_validate({"penalty_weight": 1.0}).discriminator_penalty(D, real, fake, FixedStep({}))
    )
    assert float(total(penalty)) == pytest.approx(expected)
