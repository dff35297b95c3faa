"""What of a recipe fits an objective: what has no meaning for it is left out or refused, and how D is told labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.config.models import Entry, Study
from bench.config.recipe import Recipe
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.objectives.base import Objective


def fitting(objective: Objective, recipe: Recipe, entry: Entry) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe without what has no meaning for the objective, and what was left out, in words.

    Raises BenchError where the entry itself asks for it.
    """
    unfit = {}
    if not objective.takes_packs():
        judges = "recognises codes of" if objective.needs == "codes" else "judges"
        unfit["packing"] = f"its discriminator's {objective.head} head {judges} single images"
    if objective.updates == "joint":
        unfit["instance_noise"] = "it has no discriminator"
        unfit["generator_steps_per_iteration"] = "it moves both networks in one step"
    if not objective.has_penalty():
        unfit["lazy_penalty"] = "it has no penalty that can be taken lazily"
    if objective.latent_law is not None:
        unfit["latent_law"] = f"its latents are {objective.latent_law} by definition"
    neutral = Recipe()
    asked = {name: why for name, why in unfit.items() if getattr(recipe, name) != getattr(neutral, name)}
    for name, why in asked.items():
        if entry.recipe is not None and getattr(entry.recipe, name) is not None:
            raise BenchError(f"{entry.label}: {name} has no meaning for {objective.name()}: {why}")
    update = {name: getattr(neutral, name) for name in asked}
    return recipe.model_copy(update=update), tuple(f"without {name}: {why}" for name, why in asked.items())


def unused_conditioning(study: Study) -> list[str]:
    """Name a way of telling labels that a study without any asks for."""
    if study.recipe.conditioning is None or study.data.labels:
        return []
    return [
        f'recipe.conditioning = "{study.recipe.conditioning}" tells D labels, and the study has none; name them in '
        f"[study.{study.name}.data] labels, or take it out"
    ]


def check_codes(study: Study, objective: Objective, entry: Entry) -> None:
    """Raise BenchError where the row needs codes that the study has not, or has no place for those that it has."""
    codes = study.backbone.codes
    if objective.needs == "codes" and codes is None:
        raise BenchError(
            f"{entry.label}: {objective.name()} needs codes; give [study.{study.name}.backbone] codes, such as "
            "{ categorical = [10], continuous = 2 }"
        )
    if codes is not None and objective.updates == "joint":
        raise BenchError(
            f"{entry.label}: {objective.name()} encodes images into latents alone and has no place for codes; take it "
            f"out of study {study.name}, or codes out of its backbone"
        )


def labels_and_codes(study: Study) -> list[str]:
    """Name codes in a study with labels, which are told in their place."""
    if study.backbone.codes is None or not study.data.labels:
        return []
    return ["backbone.codes: G is told labels or given codes, not both; take these out, or data.labels"]


def conditioned(study: Study, objective: Objective, recipe: Recipe, entry: Entry) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with how D is told the study's labels, and what of it was left out, in words.

    Without labels nothing is told. Raises BenchError where the row, or its recipe, asks for labels that are not there,
    and where the entry asks for a way that its head or its loss has not.
    """
    from bench.networks.heads import RECOGNISING  # brings torch, which nothing that only reads plans needs

    asked = recipe.conditioning
    if not study.data.labels:
        if objective.needs == "labels":
            raise BenchError(
                f"{entry.label}: {objective.name()} needs labels; name them in [study.{study.name}.data] labels"
            )
        if entry.recipe is not None and entry.recipe.conditioning is not None:
            raise BenchError(
                f'{entry.label}: conditioning = "{asked}" tells D labels, and the study has none; name them in '
                f"[study.{study.name}.data] labels, or take it out"
            )
        return recipe.model_copy(update={"conditioning": None}), ()
    why = ""
    if asked in ("projection", "product") and objective.head not in ("score", *RECOGNISING):
        why = f'{asked} adds to a score, and its head is "{objective.head}"'
    if asked == "none" and objective.needs == "labels" and objective.conditioning != "none":
        why = "its loss is about what D is told"
    if why and entry.recipe is not None and entry.recipe.conditioning is not None:
        raise BenchError(f'{entry.label}: conditioning = "{asked}" has no meaning for {objective.name()}: {why}')
    told = objective.conditioning if why else asked or objective.conditioning
    return recipe.model_copy(update={"conditioning": told}), ((f"without conditioning {asked}: {why}",) if why else ())
