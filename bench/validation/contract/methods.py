"""Methods that the loop calls: written under their names, with the arguments that it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bench.objectives.base import Objective
from bench.validation.contract.report import Problem
from bench.validation.contract.scene import Variant

_CALLED = (
    *("discriminator_loss", "discriminator_penalty", "generator_loss", "joint_loss", "initial_state"),
    *("after_discriminator_step", "least_budget", "compressed_settings", "penalised_at"),
)
_ATTRIBUTES = tuple(Objective.__class_vars__)
_ALIKE = 0.82  # as difflib counts: "discriminator_penality" is near, "generator_losses" too


def methods_fit(variant: Variant) -> Iterator[Problem]:
    """Every loss is there; names near those that the loop knows are taken for misspelt; arguments are in its order."""
    cls = type(variant.objective)
    own = _own_names(cls)
    misspelt = {name: near[0] for name in own if (near := get_close_matches(name, _known(), 1, _ALIKE))}
    for name, meant in misspelt.items():
        yield Problem(
            f"nothing calls {name}{_place(getattr(cls, name))}: is {meant} meant?",
            f"Rename it to {meant}; if it is a helper of your own, let its name begin with an underscore.",
        )
    losses = ("joint_loss",) if cls.updates == "joint" else ("discriminator_loss", "generator_loss")
    for name in losses:
        if not _written(cls, name) and name not in misspelt.values():
            yield Problem(f"{name} is missing", f"Write def {name}{_text(getattr(Objective, name))}.")
    for name in _CALLED:
        if _written(cls, name):
            yield from _wrong_arguments(variant.objective, name)


def _wrong_arguments(objective: Objective, name: str) -> Iterator[Problem]:
    wanted = list(inspect.signature(getattr(Objective, name)).parameters)[1:]  # without self
    signature = inspect.signature(getattr(objective, name))
    takes = list(signature.parameters)
    place = _place(getattr(type(objective), name))
    told = f"{name} takes ({', '.join(takes)}) where the loop gives ({', '.join(wanted)}){place}"
    mend = f"Write def {name}({', '.join(['self', *wanted])})."
    try:
        signature.bind(*wanted)
    except TypeError:
        yield Problem(told, mend)
        return
    if any(mine != given and mine in wanted for mine, given in zip(takes, wanted, strict=False)):
        yield Problem(f"{told}: they would change places", mend)


def _written(cls: type[Objective], name: str) -> bool:
    return getattr(cls, name) is not getattr(Objective, name)


def _own_names(cls: type[Objective]) -> list[str]:
    """Return the public names that the class and its bases add to `Objective`, without settings."""
    classes = [base for base in cls.__mro__ if issubclass(base, Objective) and base is not Objective]
    names = dict.fromkeys(name for base in classes for name in (*vars(base), *base.__class_vars__))
    known = set(dir(Objective)) | set(cls.model_fields) | set(_ATTRIBUTES)
    return [name for name in names if not name.startswith("_") and name not in known and hasattr(cls, name)]


def _known() -> list[str]:
    return [*_CALLED, *_ATTRIBUTES]


def _text(function: Callable[..., Any]) -> str:
    return f"({', '.join(inspect.signature(function).parameters)})"


def _place(value: Any) -> str:
    code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
    return f", line {code.co_firstlineno} of {Path(code.co_filename).name}" if code else ""
