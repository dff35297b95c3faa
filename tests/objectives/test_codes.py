"""Codes and what InfoGAN says of them, on cases with closed answers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench.networks.codes import Codes, DrawnCodes
from bench.networks.heads import Classified
from bench.networks.sampling import BLOCK, draw_codes
from bench.objectives.infogan import InfoGAN, categorical_error
from bench.validation.contract.scene import FixedStep

LAW = Codes((3,), 2)
LOGITS = torch.tensor([[1.0, 0.0, -1.0], [0.2, 0.5, 0.1], [-0.3, 0.4, 1.2]], dtype=torch.float64)
MEANS = torch.tensor([[0.5, -0.2], [0.0, 0.1], [-1.0, 0.3]], dtype=torch.float64)
SPREAD = torch.tensor([[0.1, -0.3], [0.0, 0.2], [-0.5, 0.4]], dtype=torch.float64)
CONTINUOUS = torch.tensor([[0.2, -0.4], [0.1, 0.1], [-0.9, 0.8]], dtype=torch.float64)
DRAWN = DrawnCodes(torch.cat([torch.eye(3, dtype=torch.float64), CONTINUOUS], dim=1), LAW)
ANSWERS = torch.cat([LOGITS, MEANS, SPREAD], dim=1)


def test_the_parts_have_the_reference_values() -> None:
    assert float(categorical_error(ANSWERS, DRAWN)) == pytest.approx(math.log(3) - 0.497946, abs=6e-7)
    assert float(InfoGAN().continuous_error(ANSWERS, DRAWN)) == pytest.approx(0.066667, abs=6e-7)
    constant = math.log(2 * math.pi)  # half of it for each of two codes
    learned = float(InfoGAN(variance="learned").continuous_error(ANSWERS, DRAWN))
    assert learned + constant == pytest.approx(1.876127, abs=6e-7)
    normal = torch.distributions.Normal(MEANS, (SPREAD / 2).exp())
    assert learned + constant == pytest.approx(-float(normal.log_prob(CONTINUOUS).sum(1).mean()))


def test_several_codes_are_read_independently_of_each_other() -> None:
    law = Codes((3, 2), 1)
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    numbers = draw_codes(law, 6, "test").double()
    first, second = numbers[:, :3].argmax(1), numbers[:, 3:5].argmax(1)
    joint = logits[:, :3].log_softmax(1)[:, :, None] + logits[:, 3:5].log_softmax(1)[:, None]
    expected = -joint[torch.arange(6), first, second].mean()
    torch.testing.assert_close(categorical_error(logits, DrawnCodes(numbers, law)), expected)


def test_a_perfect_reader_reaches_the_entropy_and_no_reader_exceeds_it() -> None:
    objective, entropy = InfoGAN(), math.log(3)

    def bound(answers: Tensor) -> float:
        step = FixedStep({}, codes=DRAWN)
        scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        objective.generator_loss(lambda images: Classified(scores, answers), torch.zeros(3, 1), torch.zeros(3, 1), step)
        return float(step.observed["code_bound"])

    assert bound(40 * DRAWN.numbers) == pytest.approx(entropy)
    assert bound(ANSWERS) == pytest.approx(0.497946, abs=6e-7)
    assert bound(0 * DRAWN.numbers) == pytest.approx(0)


@pytest.mark.parametrize("kind", ["continuous", "categorical"])
def test_a_study_may_have_one_kind_of_codes_alone(kind: str) -> None:
    law = Codes((4,)) if kind == "categorical" else Codes((), 3)
    drawn = DrawnCodes(draw_codes(law, 5, "test"), law)
    assert list(InfoGAN().unread(torch.zeros(5, law.width), drawn)) == [kind]


def test_drawn_codes_are_uniform_and_do_not_depend_on_their_number() -> None:
    law = Codes((4, 3), 2)
    codes = draw_codes(law, 40_000, "test", 1)
    assert torch.equal(codes[:130], draw_codes(law, 130, "test", 1))
    assert not torch.equal(codes[:BLOCK], codes[BLOCK : 2 * BLOCK])
    assert not torch.equal(codes[:BLOCK], draw_codes(law, BLOCK, "test", 2))
    hot, rest = law.split(codes)
    for part in hot:
        assert (part.sum(1) == 1).all()
        torch.testing.assert_close(part.mean(0), torch.full((part.shape[1],), 1 / part.shape[1]), atol=0.01, rtol=0)
    assert float(rest.mean()) == pytest.approx(0, abs=0.01)
    assert float(rest.square().mean()) == pytest.approx(1 / 3, abs=0.01)
    assert law.names == ("categorical1", "categorical2", "continuous1", "continuous2")


def test_the_largest_number_below_one_still_gives_a_value() -> None:
    most = torch.tensor([[1 - 2**-24]])
    for size in range(2, 1001):
        assert Codes((size,)).of(most)[0, -1] == 1


def test_codes_are_counted_by_value_and_in_twenty_parts() -> None:
    numbers = torch.tensor([[0.0, 1.0, -1.0], [3.0, 2.0, 0.9999], [0.0, 5.0, 7.0], [1.0, 0.0, 0.0]])
    assert Codes((2,), 1).counted(numbers).tolist() == [[1, 0], [0, 19], [1, 19], [0, 10]]
