"""What the losses ask of the players, without golden numbers: which way each batch moves, and that it moves at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.networks.heads import Encoded, Head
from bench.objectives.base import Objective
from bench.validation.contract.plain import LEVEL, SHAPE, PlainGame, Pull, Said, View
from bench.validation.contract.report import NotApplicable, Problem
from bench.validation.contract.scene import COUNT, FixedStep, Variant, total
from bench.validation.contract.watching import GradientsTaken, line_of_definition

_FLAT = 1e-9  # a slope below this is none
_DEAD = 1e-3  # far off, a loss must pull at least with this share of its pull nearby
_FAR = 20.0  # an embedding so far from the origin that a sigmoid or tanh of it is constant
_SLOPES = (0.01, 0.5, 2.0, 1000.0)  # gradient norms of D at which penalties are looked at
_STATES: dict[Head, tuple[Said, ...]] = {  # what D says of both kinds: of neither more, then the wrong way round
    "score": (Said(0, 0), Said(-1, 1), Said(-10, 10)),
    "embedding": (Said(0.1, -0.1), Said(0.1, 0.3), Said(-0.2, 0.1)),
    "autoencoder": tuple(  # the least errors are below any margin that acts
        Said(real, fake, sign=sign)
        for real, fake in ((-0.02, -0.02), (-0.2, -0.02), (-5e-4, -5e-4))
        for sign in (1, -1)
    ),
}
_STATES["sliced"] = _STATES["score"]
_WORDS: dict[Head, str] = {
    "score": "score of",
    "sliced": "score of",
    "embedding": "embedding of",
    "autoencoder": "reconstruction of",
}
_HIGH_ON_REAL = (
    "D is high on real images here, every loss is minimised: softplus(-D(real)) + softplus(D(fake)) asks for that, or "
    "D(fake) - D(real). Under an autoencoding head the error of real images falls."
)
_NO_ACTIVATION = (
    "D has no activation: leave out a sigmoid or tanh of its output, and write log(sigmoid(..)) with softplus. If the "
    'paper bounds it: on_purpose = {"reach": "why"}.'
)


def both_batches_reach(variant: Variant) -> Iterator[Problem]:
    """D's loss moves what D says of real and of generated images; no loss is flat wherever D is sure."""
    _alternating(variant)
    yield from _generator_is_flat(variant.objective)
    for view in _views(variant.objective):
        pulls = [pull for _, pull in _pulls(variant, view, both_states=True)]
        for kind, given in (("real", "D(real)"), ("fake", "D(fake)")):
            near = max(abs(getattr(pull, kind)) for pull in pulls)
            if not near > _FLAT:
                yield Problem(
                    f"D's loss does not depend on {given}{_of(view)}, whatever D says of the images",
                    f"Give it a term of {given}, without detach or no_grad: D learns nothing from a batch else.",
                )
                continue
            far = _far_pull(variant, view, kind)
            if far is not None and not far > _dead(variant.objective) * near:
                yield Problem(
                    f"where D is far off, D's loss pulls the {_WORDS[variant.objective.head]} {given} by {far:.2g}, "
                    f"nearby by {near:.2g}: it saturates",
                    _NO_ACTIVATION,
                )


def players_pull_the_right_way(variant: Variant) -> Iterator[Problem]:
    """D's loss sets real images above generated ones, and G's brings generated images towards the real."""
    if variant.objective.updates == "joint":
        yield from _joint(variant)
        return
    _alternating(variant)
    embeds = variant.objective.head == "embedding"
    for view in _views(variant.objective):
        pulls = list(_pulls(variant, view))
        if all(abs(pull.real) <= _FLAT and abs(pull.fake) <= _FLAT for _, pull in pulls):
            continue  # it pulls at nothing: that is for the check of the reach to tell
        for said, pull in pulls:
            if (-pull.apart if embeds and said.real < said.fake else pull.apart) > _FLAT:
                continue
            does = "brings real and generated images together" if embeds else "sets no real image above generated ones"
            yield Problem(
                f"D's loss {does}{_of(view)}: where D says {said.real:g} of real and {said.fake:g} of generated "
                f"images, a step moves these by {pull.real:+.3g} and {pull.fake:+.3g}",
                "Check the sign: D's loss falls as embeddings part." if embeds else _HIGH_ON_REAL,
            )
            break
    yield from _generator(variant.objective)


def penalties_restrain(variant: Variant) -> Iterator[Problem]:
    """A penalty stands in its own method, is never negative and does not fall where D grows steeper."""
    objective = variant.objective
    _alternating(variant)
    if _takes_gradients(objective):
        yield Problem(
            "discriminator_loss takes gradients of D with respect to images itself" + line_of_definition(objective),
            "Move the penalty into discriminator_penalty(self, D, real, fake, step), where a study can take it lazily "
            'and D\'s pass is shared; or say why it cannot be apart: on_purpose = {"penalty": "why"}.',
        )
    if not objective.has_penalty() or objective.head == "autoencoder":
        return
    unit = 2 * LEVEL * math.sqrt(math.prod(SHAPE))  # the distance of D's two numbers at which its gradient's norm is 1
    for slope in _SLOPES:
        value, growth = PlainGame(objective, Said(slope * unit / 2, -slope * unit / 2)).penalty()
        if value < -_FLAT:
            yield Problem(
                f"the penalty is {value:.3g} where D's gradient has norm {slope:g}: it rewards D",
                "Penalties are squares, or otherwise never negative; check the sign.",
            )
            return
    if growth < 0:
        yield Problem(
            f"the penalty falls as D grows steeper (at a gradient norm of {slope:g})",
            "Check the sign: D minimises the penalty, which must hold its slope down.",
        )


def _generator(objective: Objective) -> Iterator[Problem]:
    """Look at G's loss where D tells both kinds apart."""
    moves = [PlainGame(objective, said).brightening() for said in _told_apart(objective)]
    if all(abs(move) <= _FLAT for move in moves):
        yield Problem(
            "G's loss does not change with its images where D tells them from real ones",
            "Compute it from D(fake), without detach or no_grad.",
        )
    elif min(moves) <= _FLAT:
        yield Problem(
            "G's loss drives generated images away from the real ones: D scores real images higher, and a step makes "
            f"the generated ones less like them ({min(moves):+.3g})",
            "Check the sign: G minimises a loss that falls as D takes its images for real, as softplus(-D(fake)).",
        )


def _generator_is_flat(objective: Objective) -> Iterator[Problem]:
    """Look at G's loss where D is sure of itself: it may be flat on one side, not on both."""
    if objective.head == "autoencoder":
        return
    far = [Said(0.5, -0.5, offset=_FAR)] if objective.head == "embedding" else [Said(0, 10), Said(20, -10)]
    pulled = max(abs(_brightening_of_score(objective, said)) for said in far)
    near = abs(_brightening_of_score(objective, _told_apart(objective)[0]))
    if not pulled > _dead(objective) * near and near > _FLAT:
        yield Problem(
            f"G's loss pulls by {near:.2g} where D hardly tells images apart, and by {pulled:.2g} wherever D is sure: "
            "it saturates",
            _NO_ACTIVATION,
        )


def _told_apart(objective: Objective) -> list[Said]:
    """Return what D says where it scores real images higher."""
    return [Said(-0.02, -0.2, sign=sign) for sign in (1, -1)] if objective.head == "autoencoder" else [Said(0.5, -0.5)]


def _brightening_of_score(objective: Objective, said: Said) -> float:
    """Return G's pull per unit of D's slope, which differs between places."""
    return PlainGame(objective, said).brightening() / abs(said.real - said.fake)


def _joint(variant: Variant) -> Iterator[Problem]:
    """Look at an encoder and a decoder: images come nearer to those encoded, codes to the prior."""
    if variant.objective.head != "encoder":
        raise NotApplicable("a joint update of other networks than encoder and decoder has no direction of its own")
    for off in (0.2, -0.2):
        made, real = _rebuilt(variant, off)
        nearer = -(_joint_slopes(variant, made, real, 0.5, 0.0)[0] * (real - made)).sum().item()
        if not nearer > _FLAT:
            yield Problem(
                f"the joint loss drives rebuilt images away from the real ones (a step: {nearer:+.3g})",
                "Check the sign and the target of the reconstruction: G(code) and `real` are both in [-1, 1].",
            )
            break
    pulls = {mean: _code_pull(variant, mean, 0.0)[0] for mean in (1.0, -1.0, 10.0)}
    narrower = {log: _code_pull(variant, 0.0, log)[1] for log in (2.0, -2.0)}
    if min(pulls[1.0], pulls[-1.0]) < -_FLAT or min(narrower.values()) < -_FLAT:
        yield Problem(
            "the joint loss drives codes away from the prior N(0, I), from which samples are drawn "
            f"(mean {min(pulls.values()):+.3g}, log-variance {min(narrower.values()):+.3g} a step)",
            "Check the sign of the divergence: 0.5 * (exp(log_variance) + mean^2 - 1 - log_variance) is minimised.",
        )
    elif max(*pulls.values(), *narrower.values()) <= _FLAT or pulls[10.0] < _DEAD * pulls[1.0]:
        yield Problem(
            f"codes far from the prior are not drawn to it (pull {pulls[10.0]:.2g} at 10, {pulls[1.0]:.2g} at 1)",
            "The encoder's output has no activation: leave out a sigmoid or tanh, and keep a term for the prior.",
        )


def _rebuilt(variant: Variant, off: float) -> tuple[Tensor, Tensor]:
    real = PlainGame(variant.objective, Said(0, 0)).real
    return (real + off).requires_grad_(), real


def _code_pull(variant: Variant, mean: float, log_variance: float) -> tuple[float, float]:
    """Return how a step moves the code's mean towards 0 and its log-variance towards 0, the images held."""
    made, real = _rebuilt(variant, 0.2)
    _, by_mean, by_log = _joint_slopes(variant, made, real, mean, log_variance)
    return by_mean.sum().item() * mean, by_log.sum().item() * log_variance


def _joint_slopes(
    variant: Variant, made: Tensor, real: Tensor, mean: float, log_variance: float
) -> tuple[Tensor, Tensor, Tensor]:
    codes = [torch.full((COUNT, 4), value, dtype=torch.float64, requires_grad=True) for value in (mean, log_variance)]
    step = FixedStep(variant.objective.initial_state())
    value = total(variant.objective.joint_loss(lambda images: Encoded(*codes), lambda z: made, real, step))
    leaves = (made, *codes)
    found = torch.autograd.grad(value, leaves, allow_unused=True) if value.requires_grad else (None,) * 3
    by_images, by_mean, by_log = (
        torch.zeros_like(leaf) if gradient is None else gradient for leaf, gradient in zip(leaves, found, strict=True)
    )
    return by_images, by_mean, by_log


def _pulls(variant: Variant, view: View, both_states: bool = False) -> Iterator[tuple[Said, Pull]]:
    """Yield what D's loss asks for in every place; with the state at its start, or also away from it."""
    states = [None, dict(variant.state)] if both_states and variant.state else [None]
    for said in _STATES[variant.objective.head]:
        for state in states:
            yield said, PlainGame(variant.objective, said, view).pull(state)


def _far_pull(variant: Variant, view: View, kind: str) -> float | None:
    """Return the pull where D is far off; None under a head where nothing can be."""
    head = variant.objective.head
    if head == "autoencoder":
        return None
    places: tuple[Said, ...] = (Said(-10, 10), Said(10, -10))  # a loss may be flat where D is right
    if head == "embedding":
        places = tuple(Said(said.real, said.fake, offset=_FAR) for said in _STATES[head])
    return max(abs(float(getattr(PlainGame(variant.objective, said, view).pull(), kind))) for said in places)


def _dead(objective: Objective) -> float:
    return 1e-6 if objective.head == "embedding" else _DEAD


def _views(objective: Objective) -> tuple[View, ...]:
    return ("function", "direction") if objective.head == "sliced" else ("whole",)


def _of(view: View) -> str:
    return "" if view == "whole" else f" (D's `{view}`)"


def _alternating(variant: Variant) -> None:
    if variant.objective.updates == "joint":
        raise NotApplicable("both networks move together, by one loss")
    if variant.objective.needs in ("labels", "codes"):
        raise NotApplicable(f"its losses compare D's answers with {variant.objective.needs}; scores are not all of it")
    if variant.objective.head not in _STATES:
        raise NotApplicable(f"what D says under the {variant.objective.head} head is no matter of high or low")


def _takes_gradients(objective: Objective) -> bool:
    game = PlainGame(objective, Said(0.5, -0.5))
    with GradientsTaken() as taken:
        game.objective.discriminator_loss(game.judge, game.real, game.fake, FixedStep(objective.initial_state()))
    return bool(taken.any)
