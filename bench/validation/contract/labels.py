"""With labels, or input images: every sample has a condition of its own, and it counts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.validation.contract.batches import order_does_not_matter
from bench.validation.contract.report import NotApplicable, Problem
from bench.validation.contract.scene import Scene, Variant, total

_ORDER = (3, 0, 5, 1, 4, 2)
_CALL_D = "Call D on images alone, in the batch's order: sample i of what it is given is told what real sample i shows."


def conditions_count(variant: Variant) -> Iterator[Problem]:
    """Samples and conditions that change places together change no loss; conditions alone change D's."""
    if variant.objective.needs == "codes":
        raise NotApplicable("in a study with codes G is told no labels")
    told = "input images" if variant.objective.needs == "input" else "labels"
    if any(order_does_not_matter(variant)):
        raise NotApplicable("the order of the batch matters without labels too")
    order = torch.tensor(_ORDER)
    before = _values(Scene(variant, labelled=True), None)
    for name, value in _values(Scene(variant, labelled=True), order).items():
        if not math.isclose(value, before[name], rel_tol=1e-9, abs_tol=1e-10):
            yield Problem(
                f"with {told}, {name} goes from {before[name]:.9g} to {value:.9g} when samples and their {told} change "
                "places together",
                _CALL_D,
            )
    scene = Scene(variant, labelled=True)
    assert scene.condition is not None
    scene.condition = scene.condition[order]
    after = _values(scene, None)
    for name in {"discriminator_loss", "joint_loss"} & after.keys():
        if math.isclose(after[name], before[name], rel_tol=1e-12):
            yield Problem(f"with {told}, {name} is the same under other {told} of the same images", _CALL_D)


def _values(scene: Scene, index: Tensor | None) -> dict[str, float]:
    return {loss.name: total(loss.terms(scene.step(index))).item() for loss in scene.losses(index)}
