"""Losses are functions: named scalars out, nothing changed, draws from the step, and no value read."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.objectives.base import Objective
from bench.validation.contract.report import NotApplicable, Problem
from bench.validation.contract.scene import COUNT, Scene, Variant, total
from bench.validation.contract.watching import HostReadError, StreamMoved, line_of, on_the_device

_LEAVE_THE_TENSOR = (
    "A number has no gradient: return the tensor without .item() or float(), and leave out a term that is constant."
)
_STAY_ON_THE_DEVICE = (
    "A GPU would wait there in every step, and the step could not be captured: keep tensors (torch.where instead of "
    "if, clamp instead of max), write constants as plain numbers, and let the device fill new tensors: zeros_like(...) "
    "or torch.full(..., device=real.device)."
)


def terms_are_named_scalars(variant: Variant) -> Iterator[Problem]:
    """Each loss returns a dict of 0-d tensors, whose names no other loss of the same player uses."""
    scene = Scene(variant)
    used: dict[tuple[str, str], str] = {}
    for loss in scene.losses():
        terms: Any = loss.terms(scene.step())
        if not isinstance(terms, dict) or not terms:
            yield Problem(
                f"{loss.name} returns {_kind(terms)} instead of named terms",
                'Return a dict such as {"real": ..., "fake": ...}; its values are summed.',
            )
            continue
        for name, value in terms.items():
            if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                yield Problem(
                    f"{loss.name} names a term {name!r}", "Use small letters, digits and _: it names a curve."
                )
            if not isinstance(value, Tensor) or value.dim() != 0 or not value.is_floating_point():
                yield Problem(
                    f'{loss.name}\'s term "{name}" is {_kind(value)}, not a scalar tensor',
                    _LEAVE_THE_TENSOR if isinstance(value, int | float) else "Average over the batch: .mean().",
                )
            if (loss.player, name) in used:
                both = f"{loss.name} and {used[loss.player, name]}"
                yield Problem(f'{both} both name a term "{name}": one replaces the other', "Give one another name.")
            used[loss.player, name] = loss.name


def losses_change_nothing(variant: Variant) -> Iterator[Problem]:
    """Computed again with the same draws, every loss is bit-identical; state, images and D stay as they were."""
    scene = Scene(variant)
    images = {"real": scene.real.clone(), "fake": scene.fake.clone()}
    weights = {name: value.clone() for name, value in scene.D.state_dict().items()}
    first: dict[str, dict[str, Tensor]] = {}
    for loss in scene.losses():
        step = scene.step()
        kept = {name: value.clone() for name, value in step.state.items()}
        first[loss.name] = loss.terms(step)
        for name in _moved(kept, step.state):
            yield Problem(
                f'{loss.name} changes step.state["{name}"]',
                "Note what is needed with step.observe(...) and move the state in after_discriminator_step.",
            )
    moved = _moved(images, {"real": scene.real, "fake": scene.fake})
    for name in moved:
        yield Problem(f"a loss changes `{name}` in place", "Work on a copy, without methods that end in _.")
    for loss in [] if moved else scene.losses():
        again = loss.terms(scene.step())
        if again.keys() != first[loss.name].keys() or _moved(first[loss.name], again):
            yield Problem(
                f"{loss.name} returns something else when it is computed again with the same draws",
                "Keep nothing between calls: state belongs into initial_state(), draws come from the step.",
            )
    for name in _moved(weights, scene.D.state_dict()):
        yield Problem(f"a loss changes D's {name}", "Change D in after_discriminator_step alone.")


def draws_come_from_the_step(variant: Variant) -> Iterator[Problem]:
    """No global random stream moves; each draw's first axis is the batch, and no draw is asked for twice."""
    scene = Scene(variant)
    for loss in scene.losses():
        step = scene.step()
        before = _streams()
        loss.terms(step)
        for name, stream in _streams().items():
            if stream != before[name]:
                watched = StreamMoved(type(variant.objective))
                with watched:
                    loss.terms(scene.step())
                yield Problem(
                    f"{loss.name} draws from {name}'s global random stream{watched.place}",
                    "Draw through step.normal(purpose, shape) or step.uniform(purpose, shape): that is what makes runs "
                    "resumable and comparable.",
                )
        for purpose, shape in step.drawn:
            if not shape or shape[0] == 0 or shape[0] % COUNT != 0:
                yield Problem(
                    f'{loss.name} draws "{purpose}" with shape {shape} for a batch of {COUNT}',
                    "The first axis of a draw is the batch: (len(real), 1, 1, 1) is one number per sample.",
                )
        purposes = [purpose for purpose, _ in step.drawn]
        for purpose in sorted({purpose for purpose in purposes if purposes.count(purpose) > 1}):
            yield Problem(
                f'{loss.name} asks for the draw "{purpose}" twice and gets the same numbers',
                "Give each draw a purpose of its own, or keep the first.",
            )


def nothing_is_read_back(variant: Variant) -> Iterator[Problem]:
    """No loss, nor the hook after D's step, reads a value, has a shape depend on one, or takes values of the host."""
    scene, objective = Scene(variant), variant.objective
    step = scene.step()
    for loss in scene.losses():
        try:
            with on_the_device():
                value = total(loss.terms(step))
                if value.requires_grad:
                    torch.autograd.backward(value)
        except HostReadError as error:
            yield Problem(f"in {loss.name}, {error}{line_of(error, type(objective))}", _STAY_ON_THE_DEVICE)
    try:
        with on_the_device():
            objective.after_discriminator_step(scene.D, step)
    except HostReadError as error:
        yield Problem(f"in after_discriminator_step, {error}{line_of(error, type(objective))}", _STAY_ON_THE_DEVICE)


def state_moves_in_its_place(variant: Variant) -> Iterator[Problem]:
    """State is declared, finite and scalar; after_discriminator_step moves it, and D's parameters, in place."""
    objective = variant.objective
    declared = objective.initial_state()
    if not declared and type(objective).after_discriminator_step is Objective.after_discriminator_step:
        raise NotApplicable("it keeps no state and does nothing after D's step")
    for name, start in declared.items():
        if not math.isfinite(start):
            yield Problem(f'initial_state() starts "{name}" at {start}', "Start values are finite numbers.")
    scene = Scene(variant, dtype=torch.float32)
    step = scene.step()
    before, places = dict(step.state), _places(scene.D)
    for loss in scene.losses():
        if loss.player == "D":
            loss.terms(step)
    objective.after_discriminator_step(scene.D, step)
    for name in sorted(step.state.keys() - before.keys()):
        yield Problem(f'after D\'s step there is a new step.state["{name}"]', "Declare it in initial_state().")
    for name, value in before.items():
        if step.state.get(name) is not value:
            yield Problem(
                f'after D\'s step step.state["{name}"] is another tensor, not the old one with a new value',
                "Change it in place: step.state[name].copy_(...), .add_(...) or .clamp_(...).",
            )
        elif not value.isfinite():
            yield Problem(f'after D\'s step step.state["{name}"] is {value.item()}', "Keep it finite, as by a clamp.")
    if _places(scene.D) != places or not all(parameter.isfinite().all() for parameter in scene.D.parameters()):
        yield Problem(
            "after_discriminator_step replaces D's parameters or makes them non-finite",
            "Change them in place under torch.no_grad(), as in `parameter.clamp_(-c, c)`.",
        )


def _moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    return [name for name, value in before.items() if name not in after or not torch.equal(value, after[name])]


def _streams() -> dict[str, bytes | str]:
    """Return the states of the process's own random streams."""
    torch_state = torch.get_rng_state().numpy().tobytes()
    return {"torch": torch_state, "numpy": str(np.random.get_state()), "random": str(random.getstate())}


def _places(network: nn.Module) -> list[int]:
    return [parameter.data_ptr() for parameter in network.parameters()]


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    return "an empty dict" if value == {} else f"{type(value).__name__} {value!r}"
