"""Mistakes in bench.toml, in words: where (key and line), the value, what is allowed, the nearest known name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bench.errors import suggest


@dataclass(frozen=True)
class Problem:
    """One mistake: the path of keys to it, the value found there, and what is wrong with it."""

    where: tuple[str | int, ...]
    value: Any
    what: str


def problems_of(error: ValidationError, where: tuple[str | int, ...], model: type[BaseModel]) -> list[Problem]:
    """Turn pydantic's errors about `model` into Problems in the user's terms."""
    problems = []
    for item in error.errors(include_url=False):
        location = tuple(item["loc"])
        kind, context = item["type"], item.get("ctx", {})
        value = item["input"]
        if kind == "extra_forbidden":
            known = sorted(_fields_at(model, location[:-1]))
            what = f"unknown key{suggest(str(location[-1]), known)}; allowed: {', '.join(known)}"
        elif kind == "missing":
            what, value = "is missing and has no default", None
        elif kind == "literal_error":
            known = re.findall(r"'([^']*)'", context["expected"])
            what = f"must be one of {', '.join(known)}{suggest(str(value), known)}"
        else:
            what = item["msg"][0].lower() + item["msg"][1:]
            what = what.replace("input should be a valid", "must be a").replace("input should be", "must be")
            what = what.replace("must be a integer", "must be an integer")
            what = re.sub("must be a (tuple|array)", "must be a list in brackets", what)
            what = what.removeprefix("value error, ")
        problems.append(Problem((*where, *location), value, what))
    return problems


def describe(path: Path, text: str, problems: Sequence[Problem]) -> str:
    """Write all problems as one message, a line each with the line number where it can be told."""
    count = f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}"
    lines = [f"{path} has {count}:"]
    for problem in problems:
        number = _line_of(text, problem.where)
        place = f"line {number}, " if number else ""
        value = "" if problem.value is None or isinstance(problem.value, dict) else f" = {_show(problem.value)}"
        lines.append(f"  {place}{key_text(problem.where)}{value}: {problem.what}")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    """Return the keys that the table at `location` inside `model` knows."""
    current = model
    for key in location:
        info = current.model_fields.get(str(key))
        nested = _nested_model(info) if info is not None else None
        if nested is None:
            continue  # an index into a tuple keeps the model that the tuple holds
        current = nested
    return set(current.model_fields) - {"name"}


def _nested_model(info: FieldInfo) -> type[BaseModel] | None:
    candidates = [info.annotation]
    while candidates:
        candidate = candidates.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        candidates.extend(getattr(candidate, "__args__", ()))
    return None


def key_text(where: Sequence[str | int]) -> str:
    """Write the path of keys to a value as one text: `objectives[0].label`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _show(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _line_of(text: str, where: Sequence[str | int]) -> int | None:
    """Return the line of the deepest key of `where` that the file writes down, or None.

    TOML's parser keeps no line numbers: this reads the table headers and keys as they are usually written. A table of
    an array, [[claim]], is found by its number.
    """
    best: tuple[int, int] | None = None
    table: list[str | int] = []
    begun: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.split("#", 1)[0].strip()
        header = re.fullmatch(r"(\[\[?)\s*([^\[\]]+?)\s*\]\]?", stripped)
        path: list[str | int]
        if header:
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            if header[1] == "[[":
                begun[header[2]] += 1
                table.append(begun[header[2]] - 1)
            path = table
        elif match := re.match(r"([A-Za-z0-9_.\"'-]+)\s*=", stripped):
            path = [*table, *(part.strip("\"'") for part in match[1].split("."))]
        else:
            continue
        depth = len(path)
        if path == list(where[:depth]) and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None
