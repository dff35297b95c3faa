"""The contract catches planted mistakes, and says in plain words which and where."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from bench.cli.verbs.check import check
from bench.errors import BenchError
from bench.validation.contract import CHECKS, check_objective
from bench.validation.contract.watching import GradientsTaken

GOOD = """
from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from bench.objectives.base import ALL_NORMS, PER_SAMPLE_NORMS, Card, Golden, Objective, Published, input_gradient


def own_gradient(D, points, create_graph=True):
    with torch.autocast("cpu", enabled=False):
        return torch.autograd.grad(D(points).sum(), points, create_graph=create_graph)[0]


class Planted(Objective):
    weight: float = Field(1.0, ge=0, description="the weight of the penalty")

    norms: ClassVar = PER_SAMPLE_NORMS
    card: ClassVar[Card] = Card(
        title="Planted", paper="None", authors="Nobody", year=2026, arxiv="", family="logistic",
        discriminator_loss="a", generator_loss="b", published=Published(source="here", norm="none"),
        golden=(Golden(discriminator=1.378363, generator=0.806941, penalty=16.0),),
    )

    def initial_state(self):
        return {"count": 0.0}

    def discriminator_loss(self, D, real, fake, step):
        return {"real": softplus(-D(real)).mean(), "fake": softplus(D(fake)).mean()}

    def discriminator_penalty(self, D, real, fake, step):
        norm = torch.linalg.vector_norm(input_gradient(D, real), dim=1)
        return {"penalty": self.weight * (norm - 1).square().mean()}

    def generator_loss(self, D, fake, real, step):
        return {"fake": softplus(-D(fake)).mean()}

    @torch.no_grad()
    def after_discriminator_step(self, D, step):
        step.state["count"].add_(1)
"""
REAL, FAKE, PENALTY = "softplus(-D(real)).mean()", "softplus(-D(fake)).mean()", "input_gradient(D, real)"
MOVE = 'step.state["count"].add_(1)'
# What is planted: the text replaced, what stands there instead, the checks that fail, and words of the first.
MISTAKES = {
    "a sign": (REAL, "softplus(D(real)).mean()", {"direction", "golden numbers"}, "discriminator is 1.878363"),
    "a number on the card": ("0.806941", "0.806951", {"golden numbers"}, "generator is 0.806941 "),
    "a target": ("(norm - 1)", "(norm - 2)", {"golden numbers"}, "penalty is 9.000000 "),
    "a sum": (
        REAL,
        "softplus(-D(real)).sum()",
        {"repetition", "golden numbers"},
        'term "real" goes from',
    ),
    "one sample alone": (
        REAL,
        "softplus(-D(real))[0]",
        {"order", "golden numbers"},
        "change places",
    ),
    "a detached score": (REAL, "softplus(-D(real).detach()).mean()", {"reach", "gradients"}, "holds a value constant"),
    "no_grad": (
        REAL,
        "(softplus(-D(real)) * torch.no_grad()(D)(real)).mean()",
        {"direction", "gradients", "golden numbers"},
        "(detach, .data or no_grad)",
    ),
    "G cut off": (
        FAKE,
        "softplus(-D(fake.detach())).mean()",
        {"players"},
        "generator_loss carries no gradient",
    ),
    "create_graph forgotten": (
        PENALTY,
        "own_gradient(D, real.detach().requires_grad_(), create_graph=False).flatten(1)",
        {"gradients"},
        "create_graph=True",
    ),
    "gradients of the batch itself": (
        PENALTY,
        "own_gradient(D, real.requires_grad_()).flatten(1)",
        {"players"},
        "asks for gradients of `real` itself",
    ),
    "the channels' norm": (
        PENALTY,
        "own_gradient(D, real.detach().requires_grad_())",
        {"pixels"},
        "discriminator_penalty is",
    ),
    "the whole batch's norm": (
        PENALTY + ", dim=1",
        PENALTY,
        {"repetition", "golden numbers"},
        "given twice",
    ),
    "batch norm under a penalty": (
        "norms: ClassVar = PER",
        "norms: ClassVar = ALL_NORMS or PER",
        {"norms"},
        'under norm "batch"',
    ),
    "a penalty in bf16": (
        PENALTY,
        "torch.autograd.grad(D(p := real.detach().requires_grad_()).sum(), p, create_graph=True)[0].flatten(1)",
        {"precision"},
        "under mixed precision and",
    ),
    "a value read": ("(norm - 1)", "(norm - float(norm.sum() > -1))", {"device"}, "float reads a tensor's value, line"),
    "a branch on a value": (REAL, f"({REAL} if D(real).sum() > -1e9 else 0)", {"device"}, "bool reads a tensor's"),
    "an index by values": (REAL, "softplus(-D(real)[D(real) > -1e9]).mean()", {"device"}, "an index of true and false"),
    "a tensor made on the CPU": (REAL, "softplus(-D(real) + torch.zeros(len(real))).mean()", {"device"}, "torch.zeros"),
    "a number copied to the device": (
        REAL,
        "softplus(torch.tensor(0.0, device=real.device) - D(real)).mean()",
        {"device"},
        "to the device, line 33 of planted.py",
    ),
    "a number made beside the images": (
        REAL,
        "softplus(real.new_tensor(0.0) - D(real)).mean()",
        {"device"},
        "new_tensor copies a value from the host",
    ),
    "a number moved to the device": (
        REAL,
        "softplus(torch.tensor(0.0, dtype=real.dtype).to(real.device) - D(real)).mean()",
        {"device"},
        "to copies a value from the host",
    ),
    "an index by a list": (
        REAL,
        "softplus(-D(real)[[*range(len(real))]]).mean()",
        {"device"},
        "a list of values",
    ),
    "torch's own stream": (REAL, "softplus(-D(real + 0 * torch.rand(1))).mean()", {"draws"}, "torch's global random"),
    "one draw for the batch": (
        REAL,
        'softplus(-D(real) + 0 * step.uniform("share", (1,))).mean()',
        {"draws"},
        '"share" with shape (1,)',
    ),
    "one draw twice": (
        REAL,
        'softplus(-D(real) + 0 * (step.normal("a", (len(real),)) - step.normal("a", (len(real),)))).mean()',
        {"draws"},
        'asks for the draw "a" twice',
    ),
    "images changed": (
        FAKE,
        "softplus(-D(real.mul_(0.5)) + D(real) - D(fake)).mean()",
        {"purity"},
        "a loss changes `real` in place",
    ),
    "state moved in a loss": (
        REAL,
        'softplus(-D(real) + 0 * step.state["count"].add_(1)).mean()',
        {"purity"},
        'discriminator_loss changes step.state["count"]',
    ),
    "state replaced": (MOVE, 'step.state["count"] = step.state["count"] + 1', {"state"}, "is another tensor"),
    "state that overflows": (MOVE, 'step.state["count"].div_(0)', {"state"}, 'step.state["count"] is inf'),
    "state not declared": (
        REAL,
        'softplus(-D(real) * step.state["k"]).mean()',
        {"terms"},
        "initial_state() declares count",
    ),
    "log(sigmoid)": (FAKE, "-torch.log(torch.sigmoid(D(fake))).mean()", {"extremes"}, "generator_loss is inf where"),
    "a root at zero": (
        f"torch.linalg.vector_norm({PENALTY}, dim=1)",
        f"{PENALTY}.square().sum(1).sqrt()",
        {"extremes"},
        "where D's outputs are about 0",
    ),
    "a vector for a term": (
        FAKE,
        "softplus(-D(fake))",
        {"terms"},
        "a tensor of shape (6,) and type float64",
    ),
    "one name twice": (
        '"penalty": self',
        '"real": self',
        {"terms"},
        "discriminator_penalty and discriminator_loss both",
    ),
    "a misspelt name": (
        REAL,
        "softplos(-D(real)).mean()",
        {"terms"},
        "'softplos' is not defined, line 33",
    ),
    "a loss left out": (
        "def generator_loss",
        "def generators_loss",
        {"methods"},
        "generators_loss, line 39 of planted.py",
    ),
    "a setting without words": (
        ', description="the weight of the penalty"',
        "",
        {"settings"},
        "weight has no description",
    ),
    "an unknown setting": ("(source=", '(settings={"wieght": 2.0}, source=', {"settings"}, "Known settings: weight"),
    "a norm that is not allowed": ('norm="none"', 'norm="batch"', {"settings"}, 'the published norm "batch" is not'),
    "a source without an address": (
        "(source=",
        '(references=("the paper",), source=',
        {"card"},
        '"the paper" is neither',
    ),
    "a card with holes": ('authors="Nobody"', 'authors=" "', {"card"}, "the card's authors is empty"),
}
QUICK = tuple(check for check in CHECKS if check.name not in ("training", "packing"))


def planted(folder: Path, old: str, new: str) -> Path:
    assert GOOD.count(old) == 1, old
    path = folder / "planted.py"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_right_check_fails_in_words_that_name_the_mistake(mistake: str, tmp_path: Path) -> None:
    old, new, expected, words = MISTAKES[mistake]
    report = check_objective(planted(tmp_path, old, new), QUICK)
    assert {result.check for result in report.failures} == expected, report.text(verbose=True)
    assert words in report.text()


def test_what_the_mistakes_are_planted_in_is_good(tmp_path: Path) -> None:
    report = check_objective(planted(tmp_path, "\n\n\ndef", "\n\n\ndef"))
    assert report.passed, report.text()
    assert report.counts() == f"{len(CHECKS)} passed"


def test_training_notices_what_a_checkpoint_does_not_hold(tmp_path: Path) -> None:
    path = planted(tmp_path, REAL, "softplus(-D(real) + 0.01 * (CALLS.append(1) or len(CALLS))).mean()")
    path.write_text(path.read_text().replace("class Planted", "CALLS = []\n\n\nclass Planted"), encoding="utf-8")
    report = check_objective(path, [check for check in CHECKS if check.name == "training"])
    assert "ends elsewhere" in report.failures[0].problems[0].what


def test_training_notices_a_loss_that_explodes(tmp_path: Path) -> None:
    path = planted(tmp_path, REAL, "(D(real) * 1e30).square().mean()")
    (result,) = check_objective(path, [check for check in CHECKS if check.name == "training"]).results
    assert "training is not finite from step 1 on" in result.problems[0].what


def test_a_declared_stop_gradient_is_taken_at_its_word(tmp_path: Path) -> None:
    """Values held constant on purpose pass once declared, and a gradient that is wrong beside them still fails."""
    declared = 'stop_gradients: ClassVar[str] = "the score of real images"\n    norms: ClassVar'
    gradients = [check for check in CHECKS if check.name == "gradients"]
    path = planted(tmp_path, REAL, "(softplus(-D(real)) * D(real).detach()).mean()")
    path.write_text(path.read_text().replace("norms: ClassVar", declared), encoding="utf-8")
    assert check_objective(path, gradients).passed
    wrong = "own_gradient(D, real.detach().requires_grad_(), create_graph=False).flatten(1)"
    other = tmp_path / "other.py"
    other.write_text(path.read_text().replace(PENALTY, wrong), encoding="utf-8")
    assert not check_objective(other, gradients).passed


# One cause each, which would fail many checks: the only one told, with its place and what to write instead.
CAUSES = {
    "torch.randn": ("D(real))", "D(real + 0.1 * torch.randn_like(real)))", "draws", "stream, line 33 of planted.py"),
    "numpy's stream": ("D(real))", "D(real) + 0 * __import__('numpy').random.rand())", "draws", "numpy's global"),
    "a misspelt method": ("def discriminator_loss", "def discriminater_loss", "methods", "is discriminator_loss meant"),
    "a misspelt hook": ("after_discriminator_step", "after_discriminator_steps", "methods", "nothing calls after_disc"),
    "a misspelt attribute": (
        "norms: ClassVar",
        "stop_gradient: ClassVar[str] = ''\n    norms: ClassVar",
        "methods",
        "is stop_gradients meant?",
    ),
    "an argument too few": ("(self, D, fake, real, step)", "(self, D, fake)", "methods", "takes (D, fake) where"),
    "arguments exchanged": ("(self, D, fake, real, step)", "(self, D, real, fake, step)", "methods", "change places"),
    "an assigned attribute": (
        'return {"real"',
        'self.count = 1\n        return {"real"',
        "terms",
        "assigns self.count, and an objective keeps nothing on itself, line 33 of planted.py",
    ),
    "a number for a term": (REAL, f"{REAL}.item()", "terms", "return the tensor without .item()"),
    "a constant for a term": (REAL, "0.5", "terms", "is float 0.5"),
    "sys.exit": ('return {"real"', 'raise SystemExit(3)\n        return {"real"', "terms", "ends the whole program"),
    "a term forgotten": ('{"fake": ' + FAKE + "}", "{}", "terms", "generator_loss returns an empty dict"),
    "nothing returned": ('return {"real"', '_ = {"real"', "terms", "discriminator_loss returns NoneType"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_told_first_and_alone(cause: str, tmp_path: Path) -> None:
    old, new, check_name, words = CAUSES[cause]
    report = check_objective(planted(tmp_path, old, new))
    assert [result.check for result in report.failures] == [check_name], report.text()
    assert words in report.text()
    assert report.waiting > 0


@pytest.mark.parametrize(
    "same",
    [
        "@staticmethod\n    def generator_loss(D, fake, real, step)",
        "def generator_loss(self, D, generated, data, step)",
        "def generator_loss(self, D, fake, *others)",
        "def generator_loss(self, D, fake, real, step, scale=1.0)",
    ],
)
def test_other_ways_to_write_a_method_pass(same: str, tmp_path: Path) -> None:
    """A method without `self`, arguments under other names, more of them with defaults."""
    text = planted(tmp_path, "def generator_loss(self, D, fake, real, step)", same).read_text(encoding="utf-8")
    path = tmp_path / "other.py"
    path.write_text(text.replace("-D(fake)", "-D(generated)") if "generated" in same else text, encoding="utf-8")
    assert check_objective(path, [check for check in CHECKS if check.name in ("methods", "terms")]).passed


def test_what_is_broken_on_purpose_is_said_with_its_reason(tmp_path: Path) -> None:
    """And only what may be: an objective cannot excuse itself from its golden numbers."""
    inside = f'{{"real": {REAL}, "gradient": {PENALTY}.square().mean(), '
    path = planted(tmp_path, f'{{"real": {REAL}, ', inside)
    some = [check for check in CHECKS if check.name in ("settings", "penalty")]
    report = check_objective(path, some)
    assert [result.check for result in report.failures] == ["penalty"]
    assert "line 32 of planted.py" in report.text()
    reasoned = path.read_text().replace(
        "    norms: ClassVar", '    on_purpose: ClassVar = {"penalty": "so it is"}\n    norms: ClassVar'
    )
    other = tmp_path / "other.py"
    other.write_text(reasoned, encoding="utf-8")
    report = check_objective(other, some)
    assert report.passed
    assert "so it is" in report.text()
    third = tmp_path / "third.py"
    third.write_text(reasoned.replace('{"penalty": "so', '{"golden numbers": "so'), encoding="utf-8")
    assert {result.check for result in check_objective(third, some).failures} == {"settings", "penalty"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("import torch\n", "import torch as\n", "SyntaxError"),
        ("import torch\n", "import sys\nimport torch\nsys.exit(3)\n", "SystemExit"),
        ("import torch\n", "import torch\n1 / 0\n", "division by zero, line 7 of planted.py"),
        ("(Objective)", "", "must define exactly one subclass"),
        ("Field(1.0, ", "Field(", "weight: Field required"),
        ("penalty=16.0),)", "penalty=16.0))", "'Golden' object is not iterable"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_not_thrown(old: str, new: str, words: str, tmp_path: Path) -> None:
    report = check_objective(planted(tmp_path, old, new))
    assert [result.check for result in report.results] == ["loading"]
    assert words in report.text()


def test_check_prints_and_returns_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = planted(tmp_path, REAL, "softplus(-D(real)).sum() / 3")
    assert check.main([str(wrong), "nsgan"], standalone_mode=False) == 1
    printed = capsys.readouterr().out
    assert "FAILED repetition " in printed
    assert re.search(r"1 of 2 objectives .*: planted", printed)
    assert check.main(["vae", "--json"], standalone_mode=False) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert {result["outcome"] for result in report["results"]} == {"passed", "not applicable"}
    with pytest.raises(BenchError, match="did you mean"):
        check.main(["nsgna"], standalone_mode=False)


@pytest.mark.parametrize(
    "same", ["torch.tensor(0.0) - D(real)", "torch.full((), 0.0, device=real.device) - D(real)", "0.0 - D(real)"]
)
def test_constants_that_need_no_copy_pass(same: str, tmp_path: Path) -> None:
    path = planted(tmp_path, "-D(real)", same)
    assert check_objective(path, [check for check in CHECKS if check.name == "device"]).passed


@pytest.mark.parametrize("way", ["grad", "backward", "Tensor.backward"])
def test_gradients_are_seen_whichever_way_they_are_taken(way: str) -> None:
    points = torch.ones(3, requires_grad=True)
    with GradientsTaken() as taken:
        loss = points.square().sum()
        assert not taken.any
        if way == "grad":
            torch.autograd.grad(loss, points)
        elif way == "backward":
            torch.autograd.backward(loss, inputs=[points])
        else:
            loss.backward(inputs=[points])  # type: ignore[no-untyped-call]
    assert taken.any
