"""The reference of bench.toml is complete and current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bench.config.models import Study
from bench.config.recipe import Recipe, RecipeOverrides, Table
from bench.config.reference import TABLES, meanings, page

ROOT = Path(__file__).parents[2]
MODELS = {model for _, model in TABLES} | {Recipe}


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "bench-toml.md").read_text(encoding="utf-8")
    assert written == page(), "python -m bench.config.reference writes it anew"


@pytest.mark.parametrize("model", sorted(MODELS, key=lambda model: model.__name__))
def test_every_key_says_what_it_means(model: type[BaseModel]) -> None:
    silent = [name for name, text in meanings(model).items() if not text]
    assert not silent, f"{model.__name__}: Field(description=...), or a line in the docstring's list"


def test_every_table_of_a_study_is_described() -> None:
    """Also those that tables hold: every model that can be reached from a study has a table of its own."""
    reached: set[type[BaseModel]] = set()
    waiting: list[type[BaseModel]] = [Study]
    while waiting:
        model = waiting.pop()
        reached.add(model)
        inside = [part for field in model.model_fields.values() for part in models_in(field.annotation)]
        waiting += [part for part in inside if part not in reached]
    assert reached <= MODELS
    tables = {model for model in Table.__subclasses__() if model.__module__.startswith("bench.config.")}
    assert tables <= MODELS | set(RecipeOverrides.__mro__)


def models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]


def test_no_docstring_lists_a_key_that_is_not_there() -> None:
    for model in MODELS:
        listed = re.findall(r"^ {4}(\w+(?:, \w+)*) {2,}\S", model.__doc__ or "", re.MULTILINE)
        names = {name for names in listed for name in names.split(", ")}
        assert names <= set(model.model_fields), model.__name__
