"""Mistakes that golden numbers pasted from the code let pass, each made in objectives of several kinds.

Every file is one of the package's with a line changed, as a user would write it. The check of golden numbers is left
out: none is independent of such a file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.objectives import source_file
from bench.validation.contract import CHECKS, Report, check_objective

WITHOUT_GOLDEN = [
    check
    for check in CHECKS
    if check.name in ("methods", "terms", "draws", "purity", "players", "reach", "direction", "penalty", "game")
]
HINGE_D = '{"real": relu(1 - D(real)).mean(), "fake": relu(1 + D(fake)).mean()}'
WASSERSTEIN_D = '{"real": -D(real).mean(), "fake": D(fake).mean()}'
LSGAN_REAL, LSGAN_FAKE = "(D(real) - self.real_label)", "(D(fake) - self.fake_label)"
LSGAN_D = (
    '{\n            "real": 0.5 * (D(real) - self.real_label).square().mean(),\n'
    '            "fake": 0.5 * (D(fake) - self.fake_label).square().mean(),\n        }'
)
PAIRS = "softplus(D(fake) - D(real))"
MMD_D = '"mmd": -unbiased_mmd(h_real, h_fake, rational_quadratic)'
MMD_H = "h_real, h_fake = widened(D(real)), widened(D(fake))"
CRAMER_REAL, CRAMER_FAKE = "-surrogate(D(real), anchor).mean()", "surrogate(D(first), anchor).mean()"
EBGAN_D = '{"real": real_energy.mean(), "fake": relu(margin - fake_energy).mean()}'
BEGAN_D = '{"real": real_error, "fake": -step.state["k"] * fake_error}'
SAN_D = "cached(fake).direction.mean() - cached(real).direction.mean()"
SAN_G = "return self.inner.generator_loss(lambda images: D(images).function, fake, real, step)"
LECAM_TERMS = "terms = self.inner.discriminator_loss(cached, real, fake, step)"
PENALTY = '"penalty": 10 * input_gradient({}, real).square().sum(1).mean()'
IMPORT = ("from torch import Tensor", "from torch import Tensor\nfrom bench.objectives.base import input_gradient")

Change = tuple[str, str]
# Mistake, objective it is made in, the texts replaced and what stands there instead, the check that fails first.
MISTAKES: list[tuple[str, str, list[Change], str]] = [
    ("G's sign", "hinge", [("-D(fake).mean()", "D(fake).mean()")], "direction"),
    ("G's sign", "nsgan", [("softplus(-D(fake))", "softplus(D(fake))")], "direction"),
    ("G's sign", "rsgan", [("softplus(behind).mean()", "softplus(-behind).mean()")], "direction"),
    ("G's sign", "mmd-gan", [('return {"mmd": unbiased', 'return {"mmd": -unbiased')], "direction"),
    ("G's sign", "ebgan", [('{"fake": energy(out, fake).mean()}', '{"fake": -energy(out, fake).mean()}')], "direction"),
    ("G's sign", "began", [('return {"fake": recon', 'return {"fake": -recon')], "direction"),
    ("G's sign", "vae", [('"reconstruction": residual', '"reconstruction": -residual')], "direction"),
    ("G's sign", "san", [(SAN_G, SAN_G.replace("return ", "return _less(") + ")")], "direction"),
    ("D's sign", "hinge", [(HINGE_D, HINGE_D.replace("+", "!").replace("-", "+").replace("!", "-"))], "direction"),
    ("D's sign", "wgan-gp", [(WASSERSTEIN_D, '{"real": D(real).mean(), "fake": -D(fake).mean()}')], "direction"),
    ("D's sign", "rsgan", [(PAIRS, "softplus(D(real) - D(fake))")], "direction"),
    ("D's sign", "mmd-gan", [(MMD_D, MMD_D.replace("-", ""))], "direction"),
    (
        "D's sign",
        "cramer",
        [(CRAMER_REAL, CRAMER_REAL[1:]), (f'"fake": {CRAMER_FAKE}', f'"fake": -{CRAMER_FAKE}')],
        "direction",
    ),
    (
        "D's sign",
        "ebgan",
        [(EBGAN_D, '{"real": relu(margin - real_energy).mean(), "fake": fake_energy.mean()}')],
        "direction",
    ),
    ("D's sign", "began", [(BEGAN_D, BEGAN_D.replace(": real", ": -real").replace("-step", "step"))], "direction"),
    ("D's sign", "vae", [("self.kl_weight * kl", "-self.kl_weight * kl")], "direction"),
    ("D's sign", "san", [(SAN_D, "cached(real).direction.mean() - cached(fake).direction.mean()")], "direction"),
    ("D's sign", "lecam", [(LECAM_TERMS, LECAM_TERMS.replace("real, fake", "fake, real"))], "direction"),
    ("sigmoid", "hinge", [(HINGE_D, HINGE_D.replace(").mean", ".sigmoid()).mean"))], "reach"),
    (
        "sigmoid",
        "lsgan",
        [
            (LSGAN_REAL, LSGAN_REAL.replace(") -", ").sigmoid() -")),
            (LSGAN_FAKE, LSGAN_FAKE.replace(") -", ").sigmoid() -")),
        ],
        "reach",
    ),
    ("sigmoid", "wgan-gp", [(WASSERSTEIN_D, WASSERSTEIN_D.replace(").mean", ").sigmoid().mean"))], "reach"),
    ("sigmoid", "rsgan", [(PAIRS, "softplus(D(fake).sigmoid() - D(real).sigmoid())")], "reach"),
    (
        "sigmoid",
        "mmd-gan",
        [(MMD_H, "h_real, h_fake = widened(D(real)).sigmoid(), widened(D(fake)).sigmoid()")],
        "reach",
    ),
    (
        "sigmoid",
        "cramer",
        [
            (
                "first, second = fake.chunk(2)",
                "first, second = fake.chunk(2)\n        E, D = D, lambda images: E(images).sigmoid()",
            )
        ],
        "reach",
    ),
    ("sigmoid", "ebgan", [("(out.images - images)", "(out.images.sigmoid() - images)")], "direction"),
    ("sigmoid", "began", [("(out.images - images)", "(out.images.sigmoid() - images)")], "direction"),
    ("sigmoid", "vae", [("noise = step", "mean = mean.sigmoid()\n        noise = step")], "direction"),
    (
        "sigmoid",
        "lecam",
        [("cached = CachedOutputs(D)", "cached = CachedOutputs(lambda images: D(images).sigmoid())")],
        "reach",
    ),
    ("sigmoid in G's loss", "nsgan", [("softplus(-D(fake))", "softplus(-D(fake).sigmoid())")], "reach"),
    ("sigmoid in G's loss", "hinge", [("-D(fake).mean()", "-D(fake).sigmoid().mean()")], "reach"),
    ("constant", "hinge", [(HINGE_D, '{"real": 0 * D(real).mean(), "fake": 0 * D(fake).mean()}')], "reach"),
    ("constant", "rsgan", [(PAIRS, "softplus(D(fake) - D(fake) + 0 * D(real))")], "reach"),
    (
        "constant",
        "mmd-gan",
        [(MMD_D, '"mmd": 0 * h_real.mean()'), ("self.activation_weight * activation", "0 * activation")],
        "reach",
    ),
    ("constant", "ebgan", [(EBGAN_D, '{"real": 0 * real_energy.mean(), "fake": 0 * fake_energy.mean()}')], "reach"),
    ("constant", "vae", [("residual.square()", "(0 * residual).square()")], "direction"),
    (
        "constant",
        "lecam",
        [(LECAM_TERMS, LECAM_TERMS + "\n        terms = {name: 0 * value for name, value in terms.items()}")],
        "reach",
    ),
    ("without real", "hinge", [(HINGE_D, '{"fake": relu(1 + D(fake)).mean()}')], "reach"),
    ("without real", "rsgan", [(PAIRS, "softplus(D(fake))")], "reach"),
    ("without real", "wgan-gp", [(WASSERSTEIN_D, '{"fake": D(fake).mean()}')], "reach"),
    ("without real", "cramer", [(f'"real": {CRAMER_REAL},', "")], "reach"),
    ("without real", "mmd-gan", [(MMD_H, "h_real, h_fake = torch.zeros_like(D(fake)), widened(D(fake))")], "reach"),
    ("without real", "ebgan", [(EBGAN_D, '{"fake": relu(margin - fake_energy).mean()}')], "reach"),
    ("without real", "began", [(BEGAN_D, '{"fake": -step.state["k"] * fake_error}')], "reach"),
    ("without real", "vae", [("* noise) - real)", "* noise))")], "direction"),
    ("without real", "lecam", [(LECAM_TERMS, LECAM_TERMS + '\n        del terms["real"]')], "reach"),
    ("penalty inside", "hinge", [IMPORT, (HINGE_D, HINGE_D[:-1] + ", " + PENALTY.format("D") + "}")], "penalty"),
    ("penalty inside", "rsgan", [IMPORT, (PAIRS + ".mean()", PAIRS + ".mean(), " + PENALTY.format("D"))], "penalty"),
    (
        "penalty inside",
        "ebgan",
        [IMPORT, (EBGAN_D, EBGAN_D[:-1] + ", " + PENALTY.format("lambda x: energy(D(x), x)") + "}")],
        "penalty",
    ),
    ("penalty inside", "lecam", [IMPORT, (LECAM_TERMS, LECAM_TERMS + " | {" + PENALTY.format("D") + "}")], "penalty"),
    ("penalty inside", "mmd-gan", [("on_purpose: ClassVar", "_why: ClassVar")], "penalty"),
    # Others, as people make them.
    (
        "real and fake exchanged in both relativistic losses",
        "rsgan",
        [(PAIRS, "softplus(D(real) - D(fake))"), ("behind = D(real) - D(fake)", "behind = D(fake) - D(real)")],
        "direction",
    ),
    (
        "G's relativistic loss not exchanged",
        "rsgan",
        [("softplus(behind).mean()", "softplus(D(fake) - D(real)).mean()")],
        "direction",
    ),
    (
        "one sign of two",
        "wgan-gp",
        [(WASSERSTEIN_D, '{"real": -D(real).mean(), "fake": -D(fake).mean()}')],
        "direction",
    ),
    ("the hinge inside out", "hinge", [("relu(1 - D(real))", "relu(D(real) - 1)")], "reach"),
    ("the penalty subtracted", "wgan-gp", [('"penalty": self', '"penalty": -self')], "penalty"),
    ("no square", "wgan-gp", [("self.excess(norm).square()", "self.excess(norm)")], "penalty"),
    ("the error without its modulus", "began", [("(out.images - images).abs()", "(out.images - images)")], "direction"),
    ("real for fake", "hinge", [("-D(fake).mean()", "-D(real).mean()")], "players"),
    ("weights frozen by the hook", "wgan", [("parameter.clamp_(-self.clip, self.clip)", "parameter.zero_()")], "game"),
    (
        "arguments in another order",
        "hinge",
        [("D: Network, fake: Tensor, real: Tensor", "D: Network, real: Tensor, fake: Tensor")],
        "methods",
    ),
]
# Other objectives rather than wrong ones: both players pull the right way. Only independent numbers tell them apart.
NOT_CAUGHT: list[tuple[str, str, list[Change]]] = [
    (
        "labels smoothed on the generated side",
        "minimax",
        [('"fake": softplus(D(fake)).mean()', '"fake": (softplus(D(fake)) - 0.1 * D(fake)).mean()')],
    ),
    ("a factor", "hinge", [("relu(1 + D(fake)).mean()", "2 * relu(1 + D(fake)).mean()")]),
    ("a hinge in G's loss", "hinge", [("-D(fake).mean()", "relu(1 - D(fake)).mean()")]),
    ("the penalty at other points", "wgan-gp", [("interpolated(real, fake, step)", "real")]),
]

# Objectives as papers have them, which no check may take for a mistake: D's loss and G's.
OWN = {
    "f-GAN, KL": ('{"d": (D(fake) - 1).exp().mean() - D(real).mean()}', '{"g": -(D(fake) - 1).exp().mean()}'),
    "f-GAN, Pearson": (
        '{"real": -D(real).mean(), "fake": (0.25 * D(fake).square() + D(fake)).mean()}',
        '{"g": -D(fake).mean()}',
    ),
    "boundary seeking": (
        '{"real": softplus(-D(real)).mean(), "fake": softplus(D(fake)).mean()}',
        '{"g": D(fake).square().mean()}',
    ),
    "one pass over both batches": (
        '{"d": sum(softplus(sign * said).mean() for sign, said in zip((-1, 1), D(torch.cat([real, fake])).chunk(2)))}',
        '{"g": softplus(-D(fake)).mean()}',
    ),
    "softmax over both batches": (
        '{"d": torch.cat([D(real), D(fake)]).logsumexp(0) - D(real).mean()}',
        '{"g": torch.cat([D(real), D(fake)]).logsumexp(0) - 0.5 * (D(real).mean() + D(fake).mean())}',
    ),
    "a drift term": (
        '{"d": D(fake).mean() - D(real).mean() + 1e-3 * D(real).square().mean()}',
        '{"g": -D(fake).mean()}',
    ),
}
OWN_FILE = """
from typing import ClassVar
import torch
from torch.nn.functional import softplus
from bench.objectives.base import Card, Golden, Objective, Published

class Own(Objective):
    {on_purpose}
    card: ClassVar[Card] = Card(
        title="a", paper="b", authors="c", year=2026, arxiv="", family="d", discriminator_loss="e", generator_loss="f",
        published=Published(source="here"), golden=(Golden(),),
    )

    def discriminator_loss(self, D, real, fake, step):
        return {discriminator}

    def generator_loss(self, D, fake, real, step):
        return {generator}
"""
BOUNDED = ('{"d": (D(fake).tanh() - D(real).tanh()).mean() / 2}', '{"g": -D(fake).tanh().mean() / 2}')


def own(folder: Path, losses: tuple[str, str], on_purpose: str = "") -> Report:
    path = folder / "own.py"
    text = OWN_FILE.replace("{on_purpose}", on_purpose).replace("{discriminator}", losses[0])
    path.write_text(text.replace("{generator}", losses[1]), encoding="utf-8")
    return check_objective(path, WITHOUT_GOLDEN)


@pytest.mark.parametrize("name", OWN)
def test_objectives_of_papers_pass(name: str, tmp_path: Path) -> None:
    report = own(tmp_path, OWN[name])
    assert report.passed, report.text()


def test_an_output_that_the_paper_bounds_is_said_to_be(tmp_path: Path) -> None:
    """The f-GAN of the total variation: only the saturation is excused, its direction is checked as ever."""
    assert [result.check for result in own(tmp_path, BOUNDED).failures] == ["reach"]
    reason = 'on_purpose: ClassVar = {"reach": "the total variation is bounded"}'
    (tmp_path / "right").mkdir()
    assert own(tmp_path / "right", BOUNDED, reason).passed
    (tmp_path / "wrong").mkdir()
    wrong = (BOUNDED[0], BOUNDED[1].replace("-D", "D"))
    assert [result.check for result in own(tmp_path / "wrong", wrong, reason).failures] == ["direction"]


def changed(folder: Path, name: str, changes: list[Change]) -> Path:
    """Write the package's objective `name` as a user's file, with changes."""
    text = source_file(name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    less = "\n\ndef _less(terms):\n    return {name: -value for name, value in terms.items()}\n"
    path = folder / f"my_{name.replace('-', '_')}.py"
    path.write_text(text + less, encoding="utf-8")
    return path


def checked(folder: Path, name: str, changes: list[Change]) -> Report:
    return check_objective(changed(folder, name, changes), WITHOUT_GOLDEN, settings={})


@pytest.mark.parametrize(
    ("name", "changes", "first"),
    [pytest.param(*rest, id=f"{mistake}-{rest[0]}") for mistake, *rest in MISTAKES],
)
def test_it_is_caught_without_golden_numbers(name: str, changes: list[Change], first: str, tmp_path: Path) -> None:
    report = checked(tmp_path, name, changes)
    assert report.failures, report.text(verbose=True)
    assert report.failures[0].check == first, report.text()
    assert "Error" not in report.text()


@pytest.mark.parametrize(
    ("name", "changes"), [pytest.param(*rest, id=f"{mistake}-{rest[0]}") for mistake, *rest in NOT_CAUGHT]
)
def test_another_objective_is_none_of_these_checks_business(name: str, changes: list[Change], tmp_path: Path) -> None:
    report = checked(tmp_path, name, changes)
    assert report.passed, report.text()


@pytest.mark.parametrize("name", sorted({name for _, name, *_ in [*MISTAKES, *NOT_CAUGHT]}))
def test_what_the_mistakes_are_made_in_passes(name: str, tmp_path: Path) -> None:
    report = checked(tmp_path, name, [])
    assert report.passed, report.text()
