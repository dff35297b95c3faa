"""What of a recipe fits an objective: what has no meaning for it is left out or refused, and how D is told labels or
input images."""

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
    if objective.needs == "input":
        unfit["instance_noise"] = "its losses compare generated images with their targets"
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
    """Name a way of telling labels that a study without any asks for, and one that pictures are not told by."""
    asked = study.recipe.conditioning
    if asked is None or study.data.labels:
        return []
    if study.data.input is not None:
        return [f"recipe.conditioning: {_ONLY_LABELS.format(asked)}"] if asked in ("projection", "product") else []
    return [
        f'recipe.conditioning = "{asked}" tells D labels, and the study has none; name them in '
        f"[study.{study.name}.data] labels, or take it out"
    ]


_ONLY_LABELS = '"{}" tells labels; pictures are told by "concat", or not at all ("none")'


def check_needs(study: Study, objective: Objective, entry: Entry) -> None:
    """Raise BenchError where the row needs what the study has not, or has no place for what it has."""
    codes, pictures = study.backbone.codes, study.data.input is not None
    if pictures and objective.needs in ("labels", "codes"):
        raise BenchError(
            f"{entry.label}: {objective.name()} needs {objective.needs}, and study {study.name} has input images in "
            "their place; take the row out"
        )
    if objective.needs == "input" and not pictures:
        raise BenchError(
            f"{entry.label}: {objective.name()} needs input images; name them in [study.{study.name}.data] input, "
            'such as "edges"'
        )
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


def told_twice(study: Study) -> list[str]:
    """Name what a study tells G beside what it tells it already."""
    told = {
        "data.labels": bool(study.data.labels),
        "data.input": study.data.input is not None,
        "backbone.codes": study.backbone.codes is not None,
    }
    there = [key for key, is_there in told.items() if is_there]
    if len(there) < 2:
        return []
    return [f"{' and '.join(there)}: G is told labels or pictures, or given codes; keep one of them"]


def unfit_backbone(study: Study) -> list[str]:
    """Name what of the backbone does not fit the study's images or its input images."""
    from bench.networks.layers import halvings_of  # brings torch, which nothing that only reads plans needs

    switches, pictures = study.backbone.switches, study.data.input is not None
    problems = []
    try:
        halvings_of(switches.discriminator(study.backbone.width), study.data.resolution)
    except BenchError as error:
        problems.append(f"backbone.{error.message}. {error.hint}")
    if pictures and "mlp" in (switches.network, switches.generator_network):
        problems.append(
            "backbone.network: pictures are encoded by convolutions, which an mlp has not; take data.input out"
        )
    if not switches.skips and not pictures:
        problems.append("backbone.skips are G's from its input image, and the study has none (data.input)")
    return problems


def check_patches(study: Study, objective: Objective, recipe: Recipe, entry: Entry) -> None:
    """Raise BenchError where a D that judges patches can not say what the row's losses ask of it."""
    if study.backbone.patch == "whole":
        return
    problem = ""
    if objective.head != "score":
        problem = f'the head of {objective.name()} is "{objective.head}"; take the row out'
    elif recipe.conditioning in ("projection", "product"):
        problem = f'conditioning "{recipe.conditioning}" scores the whole image; use "concat" or "none"'
    if problem:
        raise BenchError(f"{entry.label}: backbone.patch = {study.backbone.patch} scores patches, and {problem}")


def check_batch(study: Study, objective: Objective, recipe: Recipe, entry: Entry) -> None:
    """Raise BenchError where a batch of 1 leaves the row's losses or a norm nothing to compare a sample with."""
    if study.budget.batch > 1:
        return
    switches, why = study.backbone.switches, ""
    players = (
        (switches.network, recipe.norm),
        (switches.generator_network or switches.network, switches.norm_of_generator),
    )
    if not objective.duplication_invariant:
        why = f"{objective.name()} compares the samples of a batch with each other"
    elif any(network == "mlp" and "batch" in norm for network, norm in players):
        why = "batch norm in an mlp has one value a unit"
    if why:
        raise BenchError(f"{entry.label}: budget.batch = 1, and {why}; use 2 or more")


def conditioned(study: Study, objective: Objective, recipe: Recipe, entry: Entry) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with how D is told the study's labels or pictures, and what of it was left out, in words.

    Without either nothing is told. Raises BenchError where the row, or its recipe, asks for labels that are not there,
    and where the entry asks for a way that its head or its loss has not.
    """
    from bench.networks.heads import RECOGNISING  # brings torch, which nothing that only reads plans needs

    asked = recipe.conditioning
    pictures = study.data.input is not None
    if not study.data.labels and not pictures:
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
    if pictures and asked in ("projection", "product"):
        why = _ONLY_LABELS.format(asked)
    if why and entry.recipe is not None and entry.recipe.conditioning is not None:
        raise BenchError(f'{entry.label}: conditioning = "{asked}" has no meaning for {objective.name()}: {why}')
    told = objective.conditioning if why else asked or objective.conditioning
    return recipe.model_copy(update={"conditioning": told}), ((f"without conditioning {asked}: {why}",) if why else ())
