"""What a card says: complete, plain JSON, and what the code returns where the card gives numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from bench.networks.codes import Codes, DrawnCodes
from bench.networks.conditioning import Labels
from bench.networks.heads import RECOGNISING, Autoencoded, Classified, Contrastive, Encoded, Sliced, Twins
from bench.objectives.base import Golden, Objective, Step
from bench.validation.contract.linear import FLAT, SHAPED, LinearNetworks
from bench.validation.contract.report import Problem
from bench.validation.contract.scene import FixedStep, Variant, answers_of, losses_on, total
from bench.validation.references import reference_url

OPTIONAL = {"reach", "direction", "penalty"}  # what `on_purpose` may name
GOLDEN_TOLERANCE = 6e-7  # six digits after the point, rounded
_MEND_GOLDEN = (
    "Golden numbers come from the paper or from working them out by hand, never from the code: if they are right, mend "
    "the loss (its sign, a factor, sum or mean)."
)


def card_is_complete(variant: Variant) -> Iterator[Problem]:
    """The card names its source and states every loss; `describe` is plain JSON."""
    objective, card = variant.objective, variant.objective.card
    for key in ("title", "paper", "authors", "family"):
        if not getattr(card, key).strip():
            yield Problem(f"the card's {key} is empty", f"Fill in {key}= in Card(...).")
    if not card.published.source.strip():
        yield Problem("the published recipe has no source", "Say in Published(source=...) where the authors state it.")
    for reference in card.published.references:
        try:
            reference_url(reference)
        except ValueError as error:
            yield Problem(str(error), "Write it so in Published(references=...), or leave it to `source`.")
    if not 1950 < card.year < 2100:
        yield Problem(f"the card's year is {card.year}", "Write the year of the paper, such as 2017.")
    if card.arxiv and not re.fullmatch(r"\d{4}\.\d{4,5}", card.arxiv):
        yield Problem(f'the card\'s arXiv id is "{card.arxiv}"', 'Write it as "1704.00028", or "" where there is none.')
    joint = objective.updates == "joint"
    for key in ("joint_loss",) if joint else ("discriminator_loss", "generator_loss"):
        if not (getattr(card, key) or "").strip():
            yield Problem(f"the card has no equation for {key}", f'Write {key}=r"..." in LaTeX without dollar signs.')
    try:
        json.dumps(type(objective).describe(), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield Problem(f"the card is not plain JSON: {error}", "Use text, numbers, true/false, lists and tables alone.")


def settings_are_described(variant: Variant) -> Iterator[Problem]:
    """Every setting has a description; published and golden settings are valid; the published norm is allowed."""
    cls = type(variant.objective)
    published = cls.card.published
    for name, info in cls.model_fields.items():
        if not info.description:
            yield Problem(
                f"the setting {name} has no description", f'Write {name}: ... = Field(..., description="...").'
            )
    for name in cls.on_purpose.keys() - OPTIONAL:
        yield Problem(f'on_purpose names "{name}", which has to be met', f"It may name: {', '.join(sorted(OPTIONAL))}.")
    named = [("the published settings", published.settings)]
    named += [(f"golden[{index}].settings", golden.settings) for index, golden in enumerate(cls.card.golden)]
    for what, settings in named:
        try:
            cls.model_validate(dict(settings))
        except ValidationError as error:
            wrong = error.errors()[0]
            where = ".".join(map(str, wrong["loc"]))
            known = ", ".join(cls.model_fields) or "none"
            yield Problem(f"{what} are not valid: {where}: {wrong['msg']}", f"Known settings: {known}.")
    if published.norm not in cls.norms:
        yield Problem(
            f'the published norm "{published.norm}" is not among the norms allowed ({", ".join(cls.norms)})',
            "Allow it in `norms`, or name in Published(norm=...) what stands in for it and say so in `source`.",
        )


def golden_numbers(variant: Variant) -> Iterator[Problem]:
    """Compare every golden number of the card; the settings are each golden's own."""
    objective, cls = variant.objective, type(variant.objective)
    wanted = ["joint"] if objective.updates == "joint" else ["discriminator", "generator"]
    if objective.has_penalty() and objective.head in ("score", "sliced"):
        wanted.append("penalty")
    for key in wanted:
        if all(getattr(golden, key) is None for golden in cls.card.golden):
            yield Problem(
                f"the card has no golden number for {key}",
                f"Add Golden({key}=...): what it is for given outputs of D, to six digits, worked out by hand.",
            )
    for index, golden in enumerate(cls.card.golden):
        settings = f", with {_short(dict(golden.settings))}" if golden.settings else ""
        for key, expected, actual, given in _compared(cls, golden):
            if not abs(actual - expected) <= GOLDEN_TOLERANCE:
                yield Problem(
                    f"golden[{index}]: {key} is {actual:.6f} where the card says {expected:.6f}, for {given}{settings}",
                    _MEND_GOLDEN,
                )


def pixels_count_alike(variant: Variant) -> Iterator[Problem]:
    """Give linear networks the same numbers as vectors and as images: sums and norms must run over all of them."""
    flat, shaped = (dict(_on_shape(variant, shape)) for shape in (FLAT, SHAPED))
    for name, value in flat.items():
        if not math.isclose(value, shaped[name], rel_tol=1e-9, abs_tol=1e-12):
            yield Problem(
                f"{name} is {value:.6f} on vectors of 12 numbers and {shaped[name]:.6f} on the same as 3 x 2 x 2",
                "A norm or sum runs over the channels alone: flatten first, as in `gradient.flatten(1)`, dim=1.",
            )


def _on_shape(variant: Variant, shape: tuple[int, ...]) -> Iterator[tuple[str, float]]:
    objective = variant.objective
    players = LinearNetworks(objective.head, torch.float64, gain=3.0, answers=answers_of(objective))
    generator = torch.Generator().manual_seed(9)
    real, fake = (
        (torch.rand(count, *FLAT, generator=generator, dtype=torch.float64) * 2 - 1).reshape(count, *shape)
        for count in (4, 4 * objective.fakes_per_real)
    )
    for loss in losses_on(objective, players.judge, players.generator_of(shape), real, fake, lambda: fake):
        yield loss.name, total(loss.terms(variant.step(count=4))).item()


def _compared(cls: type[Objective], golden: Golden) -> Iterator[tuple[str, float, float, str]]:
    """Yield for every number that the card gives: its name, what the card says, what the code returns, for what."""
    objective = cls.model_validate(dict(golden.settings))
    step = FixedStep({**objective.initial_state(), **golden.state}, labels=_labels(golden), codes=_codes(golden))
    given = f"real {_short(golden.real)}, fake {_short(golden.fake)}"
    real, fake = _samples(golden.real), _samples(golden.fake)

    def said(images: Tensor, *other: Tensor) -> Any:
        return torch.tensor(golden.mismatched, dtype=torch.float64) if other else _said(objective, images, golden)

    if golden.joint is not None:
        yield "joint", golden.joint, _joint(objective, golden, step), f"encoded {_short(golden.encoded)}"
    if golden.discriminator is not None:
        actual = total(objective.discriminator_loss(said, real, fake, step)).item()
        yield "discriminator", golden.discriminator, actual, given
    if golden.generator is not None:
        actual = total(objective.generator_loss(said, fake.clone().requires_grad_(), real, step)).item()
        yield "generator", golden.generator, actual, given
    if golden.penalty is not None:
        linear = f"C(x) = w x with w = {_short(golden.linear)}"
        yield "penalty", golden.penalty, _penalty(objective, golden, step), linear
    if golden.state_after:
        objective.after_discriminator_step(torch.nn.Linear(1, 1), step)
        for key, expected in golden.state_after.items():
            yield f"state {key} after D's step", expected, step.state[key].item(), given


def _samples(values: tuple[Any, ...]) -> Tensor:
    samples = torch.tensor(values, dtype=torch.float64)
    return samples[:, None] if samples.dim() == 1 else samples


def _labels(golden: Golden) -> Labels | None:
    if golden.labels is None:
        return None
    return Labels(torch.eye(golden.label_values, dtype=torch.float64)[list(golden.labels)], (golden.label_values,))


def _codes(golden: Golden) -> DrawnCodes | None:
    labels = _labels(golden)
    if golden.continuous is None or labels is None:
        return None
    continuous = torch.tensor(golden.continuous, dtype=torch.float64)
    return DrawnCodes(torch.cat([labels.hot, continuous], dim=1), Codes(labels.sizes, continuous.shape[1]))


def _said(objective: Objective, images: Tensor, golden: Golden) -> Any:
    """Return outputs whose score, energy or embedding of each sample is the sample itself.

    Under a head that recognises labels a sample is the row of all that D answers.
    """
    if objective.head in RECOGNISING:
        score, beside, values = images[:, 0], images[:, 1:], golden.label_values
        if objective.head == "classified":
            return Classified(score, beside)
        first, last = beside[:, :-values], beside[:, -values:]
        return Twins(score, first, last) if objective.head == "twins" else Contrastive(score, first, last)
    if objective.head == "autoencoder":
        return Autoencoded(torch.zeros_like(images), images)
    if objective.head == "sliced":
        return Sliced(images.squeeze(1), images.squeeze(1))
    return images if objective.head == "embedding" else images.squeeze(1)


def _joint(objective: Objective, golden: Golden, step: Step) -> float:
    if golden.encoded is None:
        raise ValueError("Golden(joint=...) needs `encoded`: mean and log-variance of one sample")
    encoded = Encoded(*(torch.tensor([values], dtype=torch.float64) for values in golden.encoded))
    real = _samples(golden.real)
    return total(objective.joint_loss(lambda images: encoded, lambda z: real, real, step)).item()


def _penalty(objective: Objective, golden: Golden, step: Step) -> float:
    weight = torch.tensor(golden.linear, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(6)
    points = torch.randn(5 * (1 + objective.fakes_per_real), len(weight), generator=generator, dtype=torch.float64)

    def linear(images: Tensor) -> Any:
        scores = images @ weight
        if objective.head == "sliced":
            return Sliced(scores, scores)
        return scores[:, None] if objective.head == "embedding" else scores

    return total(objective.discriminator_penalty(linear, points[:5], points[5:], step)).item()


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_short(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_short(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)
