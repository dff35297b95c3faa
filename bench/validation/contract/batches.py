"""A loss is a mean over samples: neither their order nor their repetition matters, and no sample leans on another."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.networks.backbone import Norm
from bench.validation.contract.report import NotApplicable, Problem
from bench.validation.contract.scene import COUNT, RESOLUTION, Loss, Scene, Variant
from bench.validation.contract.watching import GradientsTaken

_ORDER = (3, 0, 5, 1, 4, 2)


def order_does_not_matter(variant: Variant) -> Iterator[Problem]:
    """Permute real images, generated images and draws alike."""
    for term, before, after in _changed(variant, torch.tensor(_ORDER)):
        yield Problem(
            f"{term} goes from {before:.9g} to {after:.9g} when the samples of the batch change places together",
            "Treat every sample alike: no fixed positions, and draws whose first axis is the batch.",
        )


def repetition_does_not_matter(variant: Variant) -> Iterator[Problem]:
    """Give every sample twice."""
    changed = list(_changed(variant, torch.arange(COUNT).repeat(2)))
    if changed and not variant.objective.duplication_invariant:
        raise NotApplicable("its estimate leaves out pairs of a sample with itself (duplication_invariant is False)")
    for term, before, after in changed:
        yield Problem(
            f"{term} goes from {before:.9g} to {after:.9g} when every sample of the batch is given twice",
            "Average over the batch: a sum, a norm over the whole batch or an unbiased standard deviation depends on "
            "its size. If an unbiased estimate is meant, set `duplication_invariant: ClassVar[bool] = False`.",
        )


def norms_fit(variant: Variant) -> Iterator[Problem]:
    """Where gradients with respect to images are taken, D must judge each image by itself under every norm allowed."""
    if not takes_input_gradients(variant):
        raise NotApplicable("it takes no gradient with respect to images")
    for norm in variant.objective.allowed_norms():
        moved = _leaning(variant, norm)
        if moved > 1e-9:
            yield Problem(
                f'under norm "{norm}" D\'s output for an image moves by {moved:.2g} when only the other images change, '
                "so the gradient of the summed scores is no image's own",
                "Set `norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS`.",
            )


def takes_input_gradients(variant: Variant) -> bool:
    """Tell whether a loss takes gradients of D with respect to images, as gradient penalties do."""
    scene = Scene(variant)
    with GradientsTaken() as taken:
        for loss in scene.losses():
            loss.terms(scene.step())
    return bool(taken.any)


def _changed(variant: Variant, index: Tensor) -> Iterator[tuple[str, float, float]]:
    """Yield the terms that differ between the batch and the samples `index` of it."""
    scene = Scene(variant)
    for before, after in zip(scene.losses(), scene.losses(index), strict=True):
        first, second = _values(scene, before, None), _values(scene, after, index)
        for term, value in first.items():
            if not math.isclose(value, second.get(term, math.nan), rel_tol=1e-9, abs_tol=1e-10):
                yield f'{before.name}\'s term "{term}"', value, second.get(term, math.nan)


def _values(scene: Scene, loss: Loss, index: Tensor | None) -> dict[str, float]:
    return {name: value.item() for name, value in loss.terms(scene.step(index)).items()}


def _leaning(variant: Variant, norm: Norm) -> float:
    """Return by how much D's output for the first image moves when the others change."""
    scene = Scene(variant, norm=norm)
    generator = torch.Generator().manual_seed(13)
    others = torch.rand(COUNT - 1, 3, RESOLUTION, RESOLUTION, generator=generator, dtype=scene.dtype)
    with torch.no_grad():
        outputs = [scene.judge()(images) for images in (scene.real, torch.cat([scene.real[:1], others]))]
    before, after = ((out if isinstance(out, Tensor) else out[0])[0] for out in outputs)
    return float((before - after).abs().max())
