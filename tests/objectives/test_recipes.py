"""The recipes that authors state: where each was read, and what public copies of them get wrong."""

from __future__ import annotations

import pytest
import torch

from bench.networks.heads import Autoencoded
from bench.objectives import load, names
from bench.objectives.base import Published
from bench.validation.contract.scene import FixedStep
from bench.validation.references import reference_url

STATED = {
    "wgan": ("rmsprop", 5e-5, 5, "batch"),
    "fisher": ("adam", 2e-4, 2, "batch"),
    "sobolev": ("adam", 2e-4, 1, "none"),
    "dragan": ("adam", 1e-4, 1, "none"),
    "san": ("adam", 1e-3, 1, "spectral"),
    "lecam": ("adam", 2e-4, 4, "spectral"),
    "ebgan": ("adam", 1e-3, 1, "batch"),
    "began": ("adam", 1e-4, 1, "none"),
}


def published(name: str) -> Published:
    return load(name).card.published


@pytest.mark.parametrize("name", names())
def test_every_recipe_says_where_it_was_read_or_that_it_was_not_found(name: str) -> None:
    recipe = published(name)
    assert recipe.references or recipe.not_found
    for reference in recipe.references:
        assert reference_url(reference).startswith(("https://arxiv.org/abs/", "https://github.com/"))


@pytest.mark.parametrize("name", sorted(STATED))
def test_recipes_are_the_authors_own(name: str) -> None:
    recipe = published(name)
    rates = {recipe.learning_rate_discriminator, recipe.learning_rate_generator}
    optimizer, rate, steps, norm = STATED[name]
    assert (recipe.optimizer, rates, recipe.discriminator_steps, recipe.norm) == (optimizer, {rate}, steps, norm)


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("arXiv 1701.07875, algorithm 1", "https://arxiv.org/abs/1701.07875"),
        ("a/b.c@0123abc:d/e.py#L3-L40", "https://github.com/a/b.c/blob/0123abc/d/e.py#L3-L40"),
        ("a/b@0123abc:d/e.py#name", "https://github.com/a/b/blob/0123abc/d/e.py"),
        ("a/b@0123abc", "https://github.com/a/b/tree/0123abc"),
    ],
)
def test_references_have_addresses(reference: str, url: str) -> None:
    assert reference_url(reference) == url


@pytest.mark.parametrize("reference", ["", "the paper", "a/b", "a/b@main:c.py", "arXiv 17", "arXiv 1701.07875, "])
def test_what_is_no_reference(reference: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        reference_url(reference)


@pytest.mark.parametrize(("resolution", "margin"), [(32, 10.0), (64, 20.0), (128, 40.0)])
def test_ebgans_margin_is_the_same_error_a_pixel_at_every_size(resolution: int, margin: float) -> None:
    real = torch.full((2, 3, resolution, resolution), 0.18, dtype=torch.float64)
    step = FixedStep({})
    terms = load("ebgan")().discriminator_loss(
        lambda images: Autoencoded(torch.zeros_like(images), images), real, torch.zeros_like(real), step
    )
    assert terms["fake"].item() == pytest.approx(margin)
    assert step.observed["real_energy_to_margin"].item() == pytest.approx(0.18 * 110.8513 / 20, rel=1e-5)


def test_a_margin_that_is_given_is_taken_as_it_is() -> None:
    real = torch.zeros(2, 3, 32, 32)
    objective = load("ebgan").model_validate({"margin": 20.0})
    terms = objective.discriminator_loss(
        lambda images: Autoencoded(torch.zeros_like(images), images), real, real, FixedStep({})
    )
    assert terms["fake"].item() == 20.0
