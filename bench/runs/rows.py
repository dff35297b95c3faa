"""The rows of a plan: what an entry resolves to under each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.config.models import Entry, Protocol, Study
from bench.config.problems import Problem, problems_of
from bench.config.recipe import Recipe
from bench.errors import BenchError
from bench.objectives import is_file, load, source_file
from bench.runs.fitting import check_batch, check_needs, check_patches, conditioned, fitting
from bench.runs.identity import objective_hash
from bench.runs.spec import ObjectiveSpec

if TYPE_CHECKING:
    from bench.objectives.base import LeastBudget, Objective, Published


@dataclass(frozen=True)
class PlannedEntry:
    """One row of the comparison under one protocol, resolved."""

    label: str
    protocol: Protocol
    objective: type[Objective]
    spec: ObjectiveSpec
    recipe: Recipe
    deviations: tuple[str, ...]
    notes: tuple[str, ...]
    least_budget: LeastBudget | None = None
    same_as: str | None = None  # an A/A arm: the entry that this one repeats on other seeds
    added: bool = False  # by hand: bench.toml does not have it


def controlled_recipe(study: Study) -> Recipe:
    """Return the recipe that every row of the study shares under `controlled`."""
    return study.recipe.over(Recipe())


def published_recipe(card: Published, shared: Recipe) -> Recipe:
    """Return the recipe that authors state, with what they leave open as the study shares it."""
    stated: dict[str, Any] = {
        "optimizer": card.optimizer,
        "learning_rate_discriminator": card.learning_rate_discriminator,
        "learning_rate_generator": card.learning_rate_generator,
        "betas": card.betas,
        "discriminator_steps": card.discriminator_steps,
        "norm": card.norm,
    }
    if card.conditioning is not None:
        stated["conditioning"] = card.conditioning
    return shared.model_copy(update=stated)


def plan_entry(study: Study, entry: Entry) -> list[PlannedEntry]:
    """Resolve an entry under every protocol of its study. Raises BenchError for settings that do not fit it."""
    objective = load(entry.objective)
    given = {name: value for name, value in study.settings.items() if name in objective.model_fields}
    lacking = tuple(f'"{name}" has no meaning for this objective' for name in study.settings if name not in given)
    given |= entry.settings
    try:
        settings = objective.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        found = problems_of(error, (entry.label,), objective)
        raise BenchError("\n  ".join(_setting_mistake(problem) for problem in found)) from error
    file = source_file(entry.objective)
    own = is_file(entry.objective)
    controlled_spec = ObjectiveSpec(
        name=objective.name(),
        file=str(file) if own else None,
        source_sha256=objective_hash(file) if own else None,
        settings=settings,
    )
    shared = controlled_recipe(study)
    planned = []
    notes: tuple[str, ...]
    protocols: tuple[Protocol, ...] = ("custom",) if entry.custom else study.protocols
    for protocol in protocols:
        recipe, spec, notes = shared, controlled_spec, ()
        if protocol == "published":
            recipe, spec = _published(objective, controlled_spec, given, shared)
        elif protocol == "controlled":
            notes = objective.card.controlled_notes
        if entry.recipe is not None:
            recipe = entry.recipe.over(recipe)
        instance = objective.model_validate(spec.settings)
        if recipe.norm not in instance.allowed_norms():
            raise BenchError(
                f'{entry.label}: norm "{recipe.norm}" couples the samples of a batch, which {objective.name()} does '
                f"not allow; use one of {', '.join(instance.allowed_norms())}"
            )
        check_needs(study, instance, entry)
        recipe, without = fitting(instance, recipe, entry)
        recipe, untold = conditioned(study, instance, recipe, entry)
        without += untold
        check_patches(study, instance, recipe, entry)
        check_batch(study, instance, recipe, entry)
        least = instance.least_budget(recipe.discriminator_steps)
        planned.append(
            PlannedEntry(
                label=entry.label,
                protocol=protocol,
                objective=objective,
                spec=spec,
                recipe=recipe,
                deviations=(*_deviations(recipe, shared), *_other_settings(spec, controlled_spec)),
                notes=(*notes, *lacking, *without, *_too_short(study, least)),
                least_budget=least,
            )
        )
    return planned


def _published(
    objective: type[Objective], spec: ObjectiveSpec, given: Mapping[str, Any], shared: Recipe
) -> tuple[Recipe, ObjectiveSpec]:
    """Return the authors' recipe and settings; the settings that the study gives stand above the authors'."""
    card = objective.card.published
    settings = objective.model_validate({**card.settings, **given}).model_dump(mode="json")
    return published_recipe(card, shared), spec.model_copy(update={"settings": settings})


def _too_short(study: Study, least: LeastBudget | None) -> tuple[str, ...]:
    if least is None or study.budget.generator_steps >= least.generator_steps:
        return ()
    return (f"A row means something from {least.generator_steps:,} generator steps on: {least.reason}.",)


def _deviations(recipe: Recipe, shared: Recipe) -> tuple[str, ...]:
    """Name every value of `recipe` that is not the shared one, leaving out what its optimiser does not read."""
    unread = {"adam": {"alpha", "momentum"}, "rmsprop": {"betas", "momentum"}, "sgd": {"alpha", "betas", "epsilon"}}
    unused = {key: Recipe.model_fields[key].default for key in Recipe.later}
    own, common = (unused | one.model_dump(mode="json") for one in (recipe, shared))
    if common["conditioning"] is None and own["conditioning"] is not None:
        common["conditioning"] = "concat"  # what the controlled protocol tells D by
    return tuple(
        f"{key} {_show(own[key])}"
        for key in Recipe.model_fields
        if key not in unread[recipe.optimizer] and own[key] != common[key]
    )


def _other_settings(spec: ObjectiveSpec, controlled: ObjectiveSpec) -> tuple[str, ...]:
    """Name every setting of the objective that is not the controlled entry's."""
    return tuple(f"{key} {_show(value)}" for key, value in spec.settings.items() if value != controlled.settings[key])


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return "(" + ", ".join(_show(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _setting_mistake(problem: Problem) -> str:
    value = "" if problem.value is None else f" = {_show(problem.value)}"
    return f"{'.'.join(map(str, problem.where))}{value}: {problem.what}"
