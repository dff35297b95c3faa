"""Gradients: what autograd returns is what the loss does, and no player moves the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.validation.contract.report import Problem
from bench.validation.contract.scene import Loss, Scene, Variant, total
from bench.validation.contract.watching import HeldConstant

_DECLARE_OR_REMOVE = (
    'If the method means it, say so in the class: `stop_gradients: ClassVar[str] = "what is held constant, and where '
    'the paper says so"`. If not, remove the detach.'
)
_KEEP_THE_GRAPH = (
    "Part of the graph is lost: take inner gradients with create_graph=True (as input_gradient does), and change no "
    "tensor in place."
)
WIDTHS = (1e-6, 1e-7, 1e-8)  # one per try, as a try may cross a kink of a hinge or a leaky unit


def gradients_are_right(variant: Variant) -> Iterator[Problem]:
    """Compare each loss's gradient with finite differences in float64, in a random direction per parameter."""
    scene = Scene(variant)
    for loss in scene.losses():
        problem = next(_wrong_gradients(scene, loss), None)
        if problem is not None:
            yield problem


def players_keep_to_themselves(variant: Variant) -> Iterator[Problem]:
    """Backward of D's loss reaches D alone, that of G's loss G alone with D frozen; the images stay as they are."""
    for player in ("both",) if variant.objective.updates == "joint" else ("D", "G"):
        scene = Scene(variant)
        if player == "G":
            scene.D.requires_grad_(False)
        step = scene.step()
        losses = [loss for loss in scene.losses() if loss.player == player]
        value = torch.stack([total(loss.terms(step)) for loss in losses]).sum()
        called = " and ".join(loss.name for loss in losses)
        if not value.requires_grad:
            yield Problem(f"{called} carries no gradient", "Compute it from D's output without detach or no_grad.")
            continue
        torch.autograd.backward(value)
        yield from _reached(scene, player, called)
        if scene.real.requires_grad or scene.real.grad is not None:
            yield Problem(
                f"{called} asks for gradients of `real` itself, which other losses get too",
                "Work on a copy: `points = real.detach().requires_grad_()`, or use input_gradient(D, real).",
            )


def stop_gradients(variant: Variant) -> str:
    """Return what the objective declares to hold constant on purpose; empty where it declares nothing."""
    return variant.objective.stop_gradients


def _reached(scene: Scene, player: str, called: str) -> Iterator[Problem]:
    for network, letter in ((scene.D, "D"), (scene.G, "G")):
        wanted = player in (letter, "both")
        for name, parameter in network.named_parameters():
            if wanted and parameter.grad is None:
                yield Problem(
                    f"{called} gives {letter}'s {name} no gradient",
                    f"{letter} would not learn from it: the loss must depend on all of {letter}'s output.",
                )
                return
            if not wanted and parameter.grad is not None:
                yield Problem(
                    f"{called} gives {letter}'s {name} a gradient",
                    "Use the images that the loss is given; keep no images, outputs or networks between losses.",
                )
                return
    if player == "G" and any(parameter.requires_grad for parameter in scene.D.parameters()):
        yield Problem(f"{called} unfreezes D", "Leave requires_grad of D's parameters alone: the loop sets it.")


def _parameters(scene: Scene, loss: Loss) -> Iterator[tuple[str, nn.Parameter]]:
    for network, letter in ((scene.D, "D"), (scene.G, "G")):
        if loss.player in (letter, "both"):
            yield from ((f"{letter}'s {name}", parameter) for name, parameter in network.named_parameters())


def _wrong_gradients(scene: Scene, loss: Loss) -> Iterator[Problem]:
    """Yield what is wrong with a loss's gradient with respect to each parameter that minimises it."""

    def value() -> Tensor:
        return total(loss.terms(scene.step()))

    held = HeldConstant()

    def value_with_constants_held() -> Tensor:
        with held.repeated():
            return value()

    with held:
        reference = value()
    names, parameters = zip(*_parameters(scene, loss), strict=True)
    gradients: tuple[Tensor | None, ...] = (None,) * len(parameters)
    if reference.requires_grad:
        gradients = torch.autograd.grad(reference, parameters, allow_unused=True)
    declared = stop_gradients(scene.variant)
    for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
        slopes = list(_slopes(value_with_constants_held if declared else value, parameter, gradient))
        if slopes[-1].agrees:
            continue
        moves, said = slopes[0].moves, slopes[0].said
        what = f"along {name}, {loss.name} moves by {moves:.6g} per unit where its gradient says {said:.6g}"
        if not declared and list(_slopes(value_with_constants_held, parameter, gradient))[-1].agrees:
            yield Problem(f"{what}: the loss holds a value constant (detach, .data or no_grad)", _DECLARE_OR_REMOVE)
        else:
            yield Problem(what, _KEEP_THE_GRAPH)


@dataclass(frozen=True)
class _Slope:
    """By how much a loss moves along a direction, and by how much its gradient says it does."""

    moves: float
    said: float

    @property
    def agrees(self) -> bool:
        return abs(self.moves - self.said) <= 1e-5 * max(abs(self.moves), abs(self.said)) + 1e-6


def _slopes(value: Callable[[], Tensor], parameter: nn.Parameter, gradient: Tensor | None) -> Iterator[_Slope]:
    """Yield slopes (central differences) along random directions, up to the first that agrees with the gradient."""
    start = parameter.detach().clone()
    generator = torch.Generator().manual_seed(11)
    for width in WIDTHS:
        direction = torch.randn(start.shape, generator=generator, dtype=start.dtype)
        ends = []
        for shift in (width, -width):
            with torch.no_grad():
                parameter.copy_(start + shift * direction)
            ends.append(value().item())
        with torch.no_grad():
            parameter.copy_(start)
        said = 0.0 if gradient is None else (gradient * direction).sum().item()
        slope = _Slope((ends[0] - ends[1]) / (2 * width), said)
        yield slope
        if slope.agrees:
            return
